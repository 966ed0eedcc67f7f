"""Files of the repository that pages link to: they come along, under `repository/`, so that no link is dead."""

import os
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = "repository"
_LINK = re.compile(r"(\]\()([^)#\s]+)")
_RENDERED = (".md", ".png", ".svg")
_TEXT = (*_RENDERED, ".py", ".toml", ".json", ".yaml", ".csv", ".txt", ".sh")


def linked_files(pages: dict[str, str]) -> dict[str, Path]:
    """Place in the site → file or folder outside docs/ that these pages (by place in docs/) link to, or these."""
    found: dict[str, Path] = {}
    waiting = [path for place, text in pages.items() for path in _targets(ROOT / "docs" / place, text)]
    while waiting:
        path = waiting.pop()
        if (place := site_place(path)) in found or path.is_relative_to(ROOT / "docs"):
            continue
        found[place] = path
        if path.is_dir():
            waiting += _shown(path)
        elif path.suffix == ".md":
            waiting += _targets(path, path.read_text(encoding="utf-8"))
    return found


def folder_page(folder: Path) -> str:
    """A page that lists the files of a folder."""
    listed = (f"- [`{path.name}`]({Path(site_place(path)).name})" for path in _shown(folder))
    return "\n".join([f"# {folder.relative_to(ROOT)}", "", *listed, ""])


def rewritten(text: str, place: str, source: Path) -> str:
    """A page's text with links that work in the site. place: of the page, in the site; source: its file."""

    def new(match: re.Match[str]) -> str:
        path = _file(source, match[2])
        if path is None:
            return match[0]
        target = site_place(path)
        return match[1] + os.path.relpath(target, Path(place).parent)

    return _LINK.sub(new, text)


def site_place(path: Path) -> str:
    """Where a file of the repository lies in the site."""
    inside = path.relative_to(ROOT)
    if inside.parts[0] == "docs":
        return str(inside.relative_to("docs"))
    if path.is_dir():
        return f"{FOLDER}/{inside}/index.md"
    # Browsers show text and download what they do not know.
    shown = path.suffix in _RENDERED or path.suffix in (".json", ".csv", ".txt")
    return f"{FOLDER}/{inside}" if shown else f"{FOLDER}/{inside}.txt"


def _shown(folder: Path) -> list[Path]:
    """Files of a folder that may come along: text and pictures of no more than a megabyte."""
    return [
        path
        for path in sorted(folder.iterdir())
        if path.is_file() and path.suffix in _TEXT and path.stat().st_size < 1e6
    ]


def _targets(page: Path, text: str) -> list[Path]:
    return [path for match in _LINK.finditer(text) if (path := _file(page, match[2]))]


def _file(page: Path, target: str) -> Path | None:
    """The file or folder of the repository that a link names, where it is one."""
    if re.match(r"[a-z]+:", target) or target.startswith("/"):
        return None
    path = Path(os.path.normpath(page.parent / target))
    return path if path.exists() and path.is_relative_to(ROOT) else None
