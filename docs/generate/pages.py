"""The files of the site that are made of the code: their places, and what makes each.

In docs/ a few lines stand in for each page, for whoever reads plain Markdown.
"""

import json
from collections.abc import Callable

from docs.generate.commands import commands_page
from docs.generate.errors import errors_page
from docs.generate.openapi import addresses_page, openapi_document
from docs.generate.python_names import python_page

MADE: dict[str, Callable[[], str]] = {
    "reference/commands.md": commands_page,
    "reference/errors.md": errors_page,
    "reference/addresses.md": lambda: addresses_page(openapi_document()),
    "reference/openapi.json": lambda: json.dumps(openapi_document(), indent=1),
    "reference/python.md": python_page,
}
