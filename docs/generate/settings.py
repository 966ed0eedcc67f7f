"""The table of settings, out of their rows."""

from docs.generate.markdown import cell, table

from secondread.service import SETTINGS


def settings_table() -> str:
    """Every setting: its variable, its default, what it sets."""
    rows = [
        (f"`{row.variable}`", f"`{row.default}`" if row.default != "" else "empty", cell(row.help)) for row in SETTINGS
    ]
    return table(("variable", "default", "what it sets"), rows)
