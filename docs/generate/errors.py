"""The page of all codes and errors: what the source says in refusals and problems, and what each is answered with."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from docs.generate.markdown import cell, table

import secondread
from secondread import errors
from secondread.errors import SecondReadError, UsageError
from secondread.web.language import CODES
from secondread.web.problems import SENTENCES, status_of

_SOURCE = Path(secondread.__file__).parent
# Where a code is given → what it is a code of; the first that gives it.
_GROUPS = {
    "Images that are refused": (
        ("errors.py", "images", "reading"),
        "As `refusal.code` of a reading (command, API, page, DICOM report, table of an archive). The command exits "
        "with 0: an image refused with a reason is an answer. [Why there are refusals](../explanation/refusals.md).",
    ),
    "Uploads and archives": (
        ("service/archives.py", "service/intake.py", "service/uploads.py"),
        "As `code` of a problem where the whole upload is refused (422, or 413 where it is too large), or of the item "
        "that it concerns.",
    ),
    "Work that waits": (
        ("service",),
        "As `code` of an item of an upload.",
    ),
    "Requests": (
        ("web",),
        "As `code` of a problem (`application/problem+json`), see [the API](api.md).",
    ),
}
_CODE = re.compile(r"[a-z]+(_[a-z]+)*")
_START = """\
# Codes and errors

A code is for programs and does not change; the sentence beside it is what people are told, and may become clearer.
Where a page shows it in another language, it is the sentence of the code that is translated.
"""
_CLASSES = """\
## Exceptions of Python

All are `secondread.SecondReadError`. The command line turns them into one line and an exit status, the API into a
status and a code. Where the code is left open, the exception has its own (`error.code`), from the tables above.
"""


def errors_page() -> str:
    """Codes by what they are codes of, then the exceptions with exit status, HTTP status and code."""
    parts = [_START]
    for title, (_, words) in _GROUPS.items():
        rows = [(f"`{code}`", cell(sentence)) for code, sentence in codes_of(title).items()]
        parts += [f"\n## {title}\n\n{words}\n", table(("code", "what is said"), rows)]
    return "\n".join([*parts, _CLASSES, table(("exception", "means", "exit", "HTTP", "code"), _exceptions())])


@cache
def codes_of(group: str) -> dict[str, str]:
    """Codes that this part of the source gives, with their sentences; without those of a part before."""
    seen: set[str] = set()
    for title, (places, _) in _GROUPS.items():
        found = {code: said for place in places for code, said in _given(_SOURCE / place) if code not in seen}
        if title == group:
            return {
                code: str(CODES.get(code) or SENTENCES.get(code) or said or _meaning(code))
                for code, said in sorted(found.items())
            }
        seen |= set(found)
    raise KeyError(group)


def _given(place: Path) -> Iterator[tuple[str, str]]:
    """(code, what the source itself says), of one file or a folder."""
    for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and node.value in CODES:
                yield str(node.value), ""
            elif isinstance(node, ast.Call):
                yield from _called(node)


def _called(node: ast.Call) -> Iterator[tuple[str, str]]:
    """`Refusal("code", "sentence")`, `UploadRefused("sentence", code="code")`, `problem(…, code="code")`."""
    words = [text for arg in node.args if (text := _text(arg))]
    if isinstance(node.func, ast.Name) and node.func.id == "Refusal" and _CODE.fullmatch(_text(node.args[0])):
        yield words[0], words[1] if len(words) > 1 else ""
    for keyword in node.keywords:
        if keyword.arg in ("code", "refusal_code") and _CODE.fullmatch(_text(keyword.value)):
            yield _text(keyword.value), words[0] if words else ""


def _text(node: ast.expr) -> str:
    """A sentence of the source, its values left open; empty for anything else."""
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) if isinstance(part, ast.Constant) else "…" for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _meaning(code: str) -> str:
    """Of the exception with that name, where there is one."""
    kind = getattr(errors, code.title().replace("_", ""), None)
    return (kind.__doc__ or "").split("\n")[0] if kind else ""


def _exceptions() -> Iterator[tuple[str, ...]]:
    for kind in _below(SecondReadError):
        error = kind.__new__(kind)
        status, code = status_of(error)
        meaning = cell((kind.__doc__ or "").strip().split("\n")[0])
        made = getattr(kind.__init__, "__code__", None)
        own = "" if made and "code" in made.co_varnames else f"`{code}`"  # given to each by itself
        yield f"`{kind.__name__}`", meaning, "2" if issubclass(kind, UsageError) else "1", str(status), own


def _below(kind: type[SecondReadError]) -> Iterator[type[SecondReadError]]:
    """A class, then those derived from it, as they stand in the module."""
    yield kind
    for one in kind.__subclasses__():
        if one.__module__ == errors.__name__:
            yield from _below(one)
