"""Every file of a manifest looked at once: digests, a thumbnail, and what the file says about itself."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np

from secondread.data.manifest import Manifest, Row, new_digest
from secondread.errors import ImageError
from secondread.images import Image, decode, quantisation, to_display

SIDE = 64  # pixels of a thumbnail: ribs and slices still differ, 10,000 of them are 40 MB
RING = 5  # pixels: 8 % of a thumbnail's side

Progress = Callable[[str, int, int], None]  # what, done, total


@dataclass(frozen=True)
class Facts:
    """What can be known of an image without looking at its middle."""

    n_bytes: int
    format: str
    mode: str
    bit_depth: int
    tables: str  # hash of the quantisation tables; '' where there are none
    width: int
    height: int
    border_mean: float  # 0–255


@dataclass(frozen=True)
class Unreadable:
    """A row whose file cannot become an image: `code` as the refusal has it, or 'cannot_open'."""

    row: Row
    code: str
    why: str


@dataclass(frozen=True, eq=False)
class Looks:
    """The readable images, in the manifest's order, and the others."""

    rows: tuple[Row, ...]
    groups: tuple[str, ...]  # what must stay together, by row
    file_digests: tuple[str, ...]
    pixel_digests: tuple[str, ...]
    facts: tuple[Facts, ...]
    thumbnails: np.ndarray  # uint8 (n, SIDE, SIDE), grey
    unreadable: tuple[Unreadable, ...]

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, eq=False)
class _Look:
    file_digest: str
    pixel_digest: str
    facts: Facts
    thumbnail: np.ndarray


def look(manifest: Manifest, *, progress: Progress | None = None) -> Looks:
    """Read every file once, on all cores. A file that cannot be read is reported, never raised."""
    looks, bad, kept, groups = [], [], [], []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = pool.map(_look_at, manifest.rows)
        for number, (row, group, one) in enumerate(zip(manifest.rows, manifest.groups, found, strict=True)):
            if isinstance(one, Unreadable):
                bad.append(one)
            else:
                looks.append(one)
                kept.append(row)
                groups.append(group)
            if progress is not None:
                progress("read", number + 1, len(manifest))
    thumbnails = np.stack([one.thumbnail for one in looks]) if looks else np.zeros((0, SIDE, SIDE), np.uint8)
    return Looks(
        rows=tuple(kept),
        groups=tuple(groups),
        file_digests=tuple(one.file_digest for one in looks),
        pixel_digests=tuple(one.pixel_digest for one in looks),
        facts=tuple(one.facts for one in looks),
        thumbnails=thumbnails,
        unreadable=tuple(bad),
    )


def ring_of(thumbnails: np.ndarray) -> np.ndarray:
    """The border ring of thumbnails (n, SIDE, SIDE), its depth averaged: float32 (n, 4, SIDE), a row for each side."""
    sides = (
        thumbnails[:, :RING].mean(axis=1),
        thumbnails[:, -RING:].mean(axis=1),
        thumbnails[:, :, :RING].mean(axis=2),
        thumbnails[:, :, -RING:].mean(axis=2),
    )
    return np.stack(sides, axis=1).astype(np.float32)


def thumbnail_of(image: Image) -> np.ndarray:
    """uint8 (SIDE, SIDE), grey, stretched to a square.

    Not a model's input: areas are averaged without leaving out an odd row, so that a mirrored film gives just the
    mirrored thumbnail.
    """
    shown = to_display(image, longest_side=4 * SIDE)
    grey = shown if shown.ndim == 2 else cv2.cvtColor(shown, cv2.COLOR_RGB2GRAY)
    shrinks = min(grey.shape) >= SIDE
    return cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def _look_at(row: Row) -> _Look | Unreadable:
    try:
        data = row.path.read_bytes()
        image = decode(data)
    except OSError as error:
        return Unreadable(row, "cannot_open", error.strerror or str(error))
    except ImageError as error:
        return Unreadable(row, error.code, str(error))
    thumbnail = thumbnail_of(image)
    facts = Facts(
        n_bytes=len(data),
        format=image.format,
        mode=image.photometric,
        bit_depth=image.bit_depth,
        tables=quantisation(data),
        width=image.width,
        height=image.height,
        border_mean=float(ring_of(thumbnail[None]).mean()),
    )
    pixels = new_digest(np.ascontiguousarray(image.pixels).tobytes())
    pixels.update(f"{image.pixels.shape}{image.full_scale}".encode())
    return _Look(new_digest(data).hexdigest(), pixels.hexdigest(), facts, thumbnail)
