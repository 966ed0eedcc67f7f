"""Pictures for lists, the viewer and reports, drawn when they are first looked at: bounded, and may go at any time.

pictures/ab/abcd…-image-f0-4096-v1: the SHA-256 of the image, what it shows of which frame, how large, and the version
of the drawing. Heat maps are drawn from the cells that lie beside their reading (see map_cells). Each
picture is a line of facts (JSON) and a PNG. The least recently used go first, and with an image all of its own. Who may
look, and the line in the trail for it, is settled before anything is asked for here.
"""

import hashlib
import json
import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from secondread.errors import Busy, ImageError, SecondReadError
from secondread.files import private_folder, write_bytes
from secondread.images import (
    Frames,
    Image,
    Limits,
    decode,
    encode_depth,
    encode_png,
    geometry_of,
    open_frames,
    to_display,
    whole_range,
)
from secondread.images.budget import PATIENCE, budget
from secondread.reading import HeatMap, overlay_of
from secondread.service.image_store import PICTURES, ImageStore
from secondread.service.stacks import picture_of

THUMBNAIL_PIXELS = 256  # longest side
HEAT_MAP_PIXELS = 512
GREY, INFERNO = "grey", "inferno"  # a map's strength, and the same coloured to lay over the image
_DRAWING = 1  # raise it when the same image is drawn otherwise
_FULL_TO = 0.9  # of the bound, once it was passed
_LOOK_AFTER = 0.05  # of the bound: so much is written by one process before it counts all files again
_DRAWN = 4  # bytes that drawing a pixel of a picture takes: levels, a copy in another order, the PNG
_LARGE, _BESIDE = 2_000_000, 4  # bytes of a file that takes long to read, and frames on each side drawn with one of it
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Kept:
    """A picture. facts: what has to be told beside it; png: empty where there is nothing to show."""

    png: bytes
    facts: dict[str, Any] = field(default_factory=dict)


class PictureCache:
    """Safe to share between threads, and to use one folder from several processes.

    max_bytes: of all files together; 0 keeps none. patience: seconds that one waits for another who makes the same.
    """

    def __init__(self, images: ImageStore, *, max_bytes: int, limits: Limits, patience: float = PATIENCE):
        self._images = images
        self._folder = images.folder / PICTURES
        self._max_bytes = max_bytes
        self._limits = limits
        self._patience = patience
        self._lock = threading.Lock()
        self._making: dict[str, _Turn] = {}
        self._written: float = float("inf")  # since all files were counted

    def shown(self, sha256: str, frame: int, *, longest_side: int) -> bytes:
        """A PNG of 8 bits of that frame, from 0. Raises NotThere, Busy, and as `images.decode`."""

        def draw() -> Kept:
            with self._picture_of(sha256, frame) as (data, inside):
                if len(data) < _LARGE or longest_side <= THUMBNAIL_PIXELS:
                    return _shown(decode(data, frame=inside, limits=self._limits), longest_side)
                frames = open_frames(data, limits=self._limits)
                found = _shown(frames.frame(inside), longest_side)
                self._draw_beside(sha256, frames, inside, longest_side)
                return found

        return self._picture(sha256, _name_of(frame, longest_side), draw).png

    def _draw_beside(self, sha256: str, frames: Frames, frame: int, longest_side: int) -> None:
        """Also the frames beside, as long as the file is open: whoever goes through a volume looks at them next."""
        for index in range(max(0, frame - _BESIDE), min(frames.n, frame + _BESIDE + 1)):
            path = self._path(sha256, _name_of(index, longest_side))
            if index != frame and self._max_bytes and not path.exists():
                with suppress(ImageError, Busy):  # each tells why when it is asked for
                    self._keep(path, _shown(frames.frame(index), longest_side))

    def thumbnail(self, sha256: str, frame: int) -> bytes:
        """The small picture for lists, as `shown`."""
        return self.shown(sha256, frame, longest_side=THUMBNAIL_PIXELS)

    def depth(self, sha256: str, frame: int, *, longest_side: int) -> Kept | None:
        """All grey values of that frame (see `images.whole_range`); facts: black, white, centre, width, unit.

        None where there are no more than 8 bits. Raises NotThere, Busy, and as `images.decode`.
        """

        def draw() -> Kept:
            with self._picture_of(sha256, frame) as (data, inside):
                found = whole_range(data, frame=inside, limits=self._limits)
            if found is None:
                return Kept(b"")
            facts = {name: getattr(found, name) for name in ("black", "white", "centre", "width", "unit")}
            with budget().reserve(_to_draw((*found.pixels.shape, 3), longest_side)):
                return Kept(encode_depth(found, longest_side=longest_side), facts)

        kept = self._picture(sha256, f"depth-f{frame}-{longest_side}", draw)
        return kept if kept.png else None

    def geometry(self, sha256: str, frame: int) -> dict[str, Any]:
        """What the file says of that frame's size and place in the body (see `images.geometry`), as for JSON.

        Raises NotThere, Busy, and as `images.decode`.
        """

        def look() -> Kept:
            with self._picture_of(sha256, frame) as (data, inside):
                return Kept(b"", geometry_of(data, frame=inside, limits=self._limits).to_dict())

        return self._picture(sha256, f"geometry-f{frame}", look).facts

    def heat_map(self, sha256: str, name: str, heatmap: HeatMap, *, colours: str = GREY) -> bytes:
        """A PNG of a reading's map, 0 nothing, 255 strongest; or in colours, opaque where it is strong.

        name: what tells it from other maps of that image. Raises NotThere, Busy.
        """

        def draw() -> Kept:
            levels = heatmap.levels(longest_side=HEAT_MAP_PIXELS)
            return Kept(encode_png(levels) if colours == GREY else overlay_of(levels))

        return self._picture(sha256, f"map-{name}-{HEAT_MAP_PIXELS}-{colours}", draw).png

    def forget(self, sha256: str) -> int:
        """Delete every picture of an image; how many there were."""
        paths = list((self._folder / sha256[:2]).glob(f"{sha256}-*"))
        for path in paths:
            path.unlink(missing_ok=True)
        return len(paths)

    def _picture(self, sha256: str, what: str, draw: Callable[[], Kept]) -> Kept:
        path = self._path(sha256, what)
        if not self._images.exists(sha256):  # erased
            self.forget(sha256)
            self._images.size(sha256)  # raises NotThere
        with self._one_at_a_time(path.name):
            found = _read(path)
            if found is None:
                found = draw()
                self._keep(path, found)
                if not self._images.exists(sha256):  # erased in between
                    self.forget(sha256)
        return found

    def _path(self, sha256: str, what: str) -> Path:
        return self._folder / sha256[:2] / f"{sha256}-{what}-v{_DRAWING}"

    @contextmanager
    def _picture_of(self, sha256: str, frame: int) -> Iterator[tuple[bytes, int]]:
        """The file that holds the frame, counted while it is at hand, and which frame of that file it is."""
        with budget().reserve(self._images.size(sha256), share=0.5):
            yield picture_of(self._images, self._images.image(sha256), frame)

    @contextmanager
    def _one_at_a_time(self, name: str) -> Iterator[None]:
        """Whoever asks for the same picture meanwhile waits, and finds it made. Raises Busy."""
        with self._lock:
            turn = self._making.setdefault(name, _Turn())
            turn.users += 1
        try:
            if not turn.lock.acquire(timeout=self._patience):
                raise Busy("this picture is being drawn; ask again in a moment", retry_after=self._patience)
            try:
                yield
            finally:
                turn.lock.release()
        finally:
            with self._lock:
                turn.users -= 1
                if not turn.users:
                    del self._making[name]

    def _keep(self, path: Path, picture: Kept) -> None:
        """Write it; that it cannot be written (a full disk) is no reason not to show it."""
        data = _packed(picture)
        if len(data) > self._max_bytes:
            return
        try:
            private_folder(path.parent)
            write_bytes(path, data, private=True)
        except (SecondReadError, OSError) as error:
            _LOG.warning("a drawn picture cannot be kept: %s", error)
            return
        with self._lock:
            self._written += len(data)
            full = self._written > _LOOK_AFTER * self._max_bytes
            self._written = 0 if full else self._written
        if full:
            self._shrink()

    def _shrink(self) -> None:
        """Delete the least recently used, where all files together are more than they may be."""
        found = []
        for path in self._folder.glob("??/*"):
            with suppress(FileNotFoundError):
                status = path.stat()
                found.append((status.st_mtime, status.st_size, path))
        total = sum(size for _, size, _ in found)
        if total <= self._max_bytes:
            return
        for _, size, path in sorted(found):
            path.unlink(missing_ok=True)
            total -= size
            if total <= _FULL_TO * self._max_bytes:
                return


def _name_of(frame: int, longest_side: int) -> str:
    return f"image-f{frame}-{longest_side}"


def _shown(image: Image, longest_side: int) -> Kept:
    with budget().reserve(_to_draw(image.pixels.shape, longest_side)):
        return Kept(encode_png(to_display(image, longest_side=longest_side)))


class _Turn:
    """One picture that is being made, and how many wait for it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.users = 0


def _to_draw(shape: tuple[int, ...], longest_side: int) -> int:
    """Bytes that drawing a picture of that shape takes."""
    scale = min(1.0, longest_side / max(shape[:2]))
    samples = shape[2] if len(shape) == 3 else 1
    return round(_DRAWN * samples * shape[0] * shape[1] * scale * scale)


def _packed(picture: Kept) -> bytes:
    head = {"digest": hashlib.blake2b(picture.png, digest_size=16).hexdigest(), "facts": picture.facts}
    return json.dumps(head).encode() + b"\n" + picture.png


def _read(path: Path) -> Kept | None:
    """The picture of a file, which counts as used now; None where there is none, or a crash left it damaged."""
    try:
        data = path.read_bytes()
        os.utime(path)
    except OSError:
        return None
    head, _, png = data.partition(b"\n")
    try:
        table = json.loads(head)
        whole = table["digest"] == hashlib.blake2b(png, digest_size=16).hexdigest()
        return Kept(png, dict(table["facts"])) if whole else None
    except (ValueError, KeyError, TypeError):
        return None
