"""A manifest's training rows as a small folder to take along: no test row, no external one, images shrunk and grey.

For training on a machine that holds no data. Images keep their geometry, so that every later step sees what it would
see of the original at that size; masks and boxes are shrunk with them.
"""

import json
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from secondread.data import Manifest, Row, write_manifest
from secondread.data.split import SHARED, training_share, validation_share
from secondread.errors import UsageError
from secondread.files import write_bytes, write_json
from secondread.images import Image, decode

ABOUT = "pack.json"
_BOXES = "boxes.json"
_KEPT = 128  # pixels of the longest side up to which no loss is taken
_LOSSLESS = 101  # OpenCV's word for it, as a quality of WebP


def write_pack(manifest: Manifest, out: Path, *, longest_side: int, quality: int = 80) -> dict[str, Any]:
    """The train and val rows and the training and validation shares of shared collections, in the folder `out`.

    longest_side: pixels; smaller images keep their size. quality: of WebP, 1 to 100; images of 128 pixels at most are
    kept without loss.
    Returns what stands in pack.json, among it the fingerprint of the whole manifest, which trained networks carry.
    Raises UsageError where `out` holds something.
    """
    if out.exists() and any(out.iterdir()):
        raise UsageError(f"'{out}' is not empty; name a new folder for the pack")
    rows = rows_to_train(manifest)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        made = list(pool.map(lambda row: _packed(row, manifest.folder, out, longest_side, quality), rows))
    packed = Manifest(tuple(row for row, _ in made), out)
    boxes = _scaled_boxes(
        manifest.folder, {row.name: (new.name, scale) for row, (new, scale) in zip(rows, made, strict=True)}
    )
    if boxes:
        write_json(out / _BOXES, boxes)
    write_manifest(packed, out / "manifest.csv")
    sources = sorted({row.source for row in rows} - {""})
    apart = sources if len({row.source for row in manifest.rows}) > 1 else []
    about = {
        "fingerprint": manifest.fingerprint(),
        "without": {source: without_source(manifest, source).fingerprint() for source in apart},
        "longest_side": longest_side,
        "splits": packed.splits(),
    }
    write_json(out / ABOUT, about)
    return about


def rows_to_train(manifest: Manifest) -> tuple[Row, ...]:
    """What may teach or choose: neither test rows, nor external ones, nor the measured share of shared collections."""
    own = tuple(row for row in manifest.rows if row.split in ("train", "val"))
    shares = (share(manifest, split).rows for split in SHARED for share in (training_share, validation_share))
    return own + tuple(row for rows in shares for row in rows)


def packed_fingerprint(manifest: Manifest, *, without: str = "") -> str:
    """Of the manifest that a pack was made of, less a source where one is named; of any other manifest its own.

    manifest: as it was packed. Raises UsageError for a source that the pack does not know.
    """
    path = manifest.folder / ABOUT
    if not path.is_file():
        return (without_source(manifest, without) if without else manifest).fingerprint()
    about = json.loads(path.read_text(encoding="utf-8"))
    if not without:
        return str(about["fingerprint"])
    if without not in about.get("without", {}):
        raise UsageError(f"'{path}' knows no source '{without}'; make the pack again")
    return str(about["without"][without])


def without_source(manifest: Manifest, source: str) -> Manifest:
    """The manifest less every row of a source. Raises UsageError where there is none, or where nothing else is."""
    kept = tuple(row for row in manifest.rows if row.source != source)
    if not 0 < len(kept) < len(manifest.rows):
        known = ", ".join(sorted({row.source for row in manifest.rows} - {""}))
        raise UsageError(f"there is no source '{source}' to leave out, or no other; known: {known}")
    return Manifest(kept, manifest.folder)


def _packed(row: Row, folder: Path, out: Path, longest_side: int, quality: int) -> tuple[Row, tuple[float, float]]:
    """The row of the pack, its file being written, and how its sides were scaled."""
    image = decode(row.path.read_bytes())
    before = (image.width, image.height)
    size = _shrunk(before, longest_side)
    path = out / Path(row.name).with_suffix(".webp")
    path.parent.mkdir(parents=True, exist_ok=True)
    grey = _resized(_grey(image), size)
    write_bytes(path, _encoded(".webp", grey, cv2.IMWRITE_WEBP_QUALITY, quality if max(before) > _KEPT else _LOSSLESS))
    mask = None
    if row.mask is not None:
        mask = (out / row.mask.relative_to(folder)).with_suffix(".png")
        mask.parent.mkdir(parents=True, exist_ok=True)
        drawn = decode(row.mask.read_bytes()).pixels
        covered = np.where((drawn if drawn.ndim == 2 else drawn.max(axis=2)) > 0, 255, 0).astype(np.uint8)
        lesion = np.where(_resized(covered, size) >= 128, 255, 0).astype(np.uint8)
        write_bytes(mask, _encoded(".png", lesion, cv2.IMWRITE_PNG_BILEVEL, 1))
    new = replace(row, path=path, name=str(Path(row.name).with_suffix(".webp")), mask=mask)
    return new, (size[0] / before[0], size[1] / before[1])


def _grey(image: Image) -> np.ndarray:
    """uint8 (height, width)."""
    pixels = image.pixels if image.pixels.ndim == 2 else cv2.cvtColor(image.pixels, cv2.COLOR_RGB2GRAY)
    return pixels if image.full_scale == 255 else np.round(pixels * (255 / image.full_scale)).astype(np.uint8)


def _shrunk(size: tuple[int, int], longest_side: int) -> tuple[int, int]:
    scale = min(1.0, longest_side / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _resized(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return pixels if pixels.shape[::-1] == size else cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)


def _encoded(ending: str, pixels: np.ndarray, option: int, value: int) -> bytes:
    _, data = cv2.imencode(ending, pixels, [option, value])
    return bytes(data)


def _scaled_boxes(folder: Path, names: Mapping[str, tuple[str, tuple[float, float]]]) -> dict[str, Any]:
    path = folder / _BOXES
    table = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    found = {}
    for name, entries in table.items():
        if name in names:
            new, (x, y) = names[name]
            scaled = (np.array(entry["bbox"]) * (x, y, x, y) for entry in entries)
            found[new] = [
                {"category": entry.get("category", ""), "bbox": np.round(box, 2).tolist()}
                for entry, box in zip(entries, scaled, strict=True)
            ]
    return found
