"""The task files of this extension: one TOML file for each, named after its task."""
