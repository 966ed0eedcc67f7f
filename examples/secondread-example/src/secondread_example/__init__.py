"""An extension of secondread: a task about phantoms, a network, an importer, and room for bundles."""
