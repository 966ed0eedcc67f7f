"""Small folders of real image files, and manifests made in memory."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from secondread.data import Manifest, Row
from secondread.testing.phantoms import chest_phantom, encode


def write_images(folder: Path, names: Iterable[str], *, size: int = 40) -> list[Path]:
    """A different phantom at each of these names below the folder."""
    paths = []
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(chest_phantom(size, random_state=number), "PNG"))
        paths.append(path)
    return paths


def manifest_of(paths: Iterable[Path], folder: Path) -> Manifest:
    """Labels 0 and 1 in turn."""
    rows = (Row(path, path.relative_to(folder).as_posix(), number % 2) for number, path in enumerate(paths))
    return Manifest(tuple(rows), folder)


def rows_of(*facts: dict[str, Any]) -> Manifest:
    """Rows without files, named by their number."""
    folder = Path("/nowhere")
    rows = (Row(**{"path": folder / str(n), "name": str(n), "label": 0} | fact) for n, fact in enumerate(facts))
    return Manifest(tuple(rows), folder)
