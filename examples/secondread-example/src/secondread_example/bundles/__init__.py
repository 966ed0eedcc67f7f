"""Bundles of this extension, as task/name: copy here what `secondread train` wrote, then build the wheel."""
