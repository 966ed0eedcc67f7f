"""The page of the public names of Python; mkdocstrings fills in signatures and docstrings."""

from types import ModuleType
from typing import Any

import secondread

_START = """\
# Python

What `import secondread` offers. Nothing is loaded before its first use, and nothing needs torch except what trains.
Every mistake is a `secondread.SecondReadError` ([codes and errors](errors.md)).
"""


def python_page() -> str:
    """A directive for every public name, functions first."""
    found = {name: getattr(secondread, name) for name in secondread.__all__ if not name.startswith("_")}
    functions = [name for name, one in found.items() if not isinstance(one, (type, ModuleType))]
    classes = [name for name in found if name not in functions]
    return "\n".join([_START, *(f"::: {_path(found[name])}\n" for name in [*functions, *classes])])


def _path(one: Any) -> str:
    return f"{one.__module__}.{one.__qualname__}"
