"""A decoded image with the facts that came with it, and the limits set before decoding."""

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from secondread.errors import ImageTooLarge
from secondread.images.arrays import of_array
from secondread.tasks import N_

TOO_MANY_BYTES = N_("the file has %(n)s MB, more than the %(most)s MB allowed; export it smaller or raise the limit")
TOO_MANY_FRAMES = N_(
    "the file has %(n)s frames, more than the %(most)s that are read of one file; choose one frame, split the file or "
    "raise the limit"
)
TOO_MANY_PIXELS = N_(
    "the image has %(width)s × %(height)s pixels, more than the %(most)s million allowed; export it smaller or raise "
    "the limit"
)


@dataclass(frozen=True)
class Limits:
    """Sizes beyond which nothing is decoded."""

    max_pixels: int = 64_000_000  # width × height of one frame
    max_bytes: int = 200_000_000  # of the file, and of a DICOM data set once inflated
    max_frames: int = 2000  # of a file that is read whole; one of them can be read of any file
    raised_by: Mapping[str, str] = field(default_factory=dict, compare=False)  # limit → a command's option that sets it

    def check_bytes(self, n_bytes: int) -> None:
        """Raise ImageTooLarge if a file of this size must not be read."""
        if n_bytes > self.max_bytes:
            said = TOO_MANY_BYTES % {"n": f"{n_bytes / 1e6:.0f}", "most": f"{self.max_bytes / 1e6:.0f}"}
            raise ImageTooLarge(said + self.how("max_bytes"))

    def check_frames(self, n_frames: int) -> None:
        """Raise ImageTooLarge if a file of so many frames must not be read whole."""
        if n_frames > self.max_frames:
            raise ImageTooLarge(TOO_MANY_FRAMES % {"n": n_frames, "most": self.max_frames} + self.how("max_frames"))

    def check_size(self, width: int, height: int) -> None:
        """Raise ImageTooLarge if an image of this size must not be decoded."""
        if width * height > self.max_pixels:
            most = f"{self.max_pixels / 1e6:.0f}"
            said = TOO_MANY_PIXELS % {"width": width, "height": height, "most": most}
            raise ImageTooLarge(said + self.how("max_pixels"))

    def how(self, limit: str) -> str:
        """What to add to “raise the limit”; nothing where whoever is told has no option for it, as on a page."""
        return f" with {self.raised_by[limit]}" if limit in self.raised_by else ""


class BoundedReads(io.BytesIO):
    """Bytes that refuse to be read in a great many small steps, or over and over.

    Files made of millions of tiny pieces cost seconds in any parser written in Python.
    """

    def __init__(self, data: bytes, *, max_reads: int) -> None:
        super().__init__(data)
        self._reads_left = max_reads
        self._bytes_left = 8 * len(data) + 1_000_000

    def read(self, size: int | None = -1, /) -> bytes:
        """As a file's. Raises ImageTooLarge once the bounds are passed."""
        got = super().read(size)
        self._count(len(got))
        return got

    def _count(self, n_bytes: int) -> None:
        self._reads_left -= 1
        self._bytes_left -= n_bytes
        if self._reads_left < 0 or self._bytes_left < 0:
            raise ImageTooLarge("this file is made of far more pieces than an image needs; export the image again")


class BoundedViews(BoundedReads):
    """The same, but that long pieces are views of the bytes: a film's pixels are not there twice.

    Their readers have to take them for what they are: a view has no `startswith` and no `count`.
    """

    _LONG = 1 << 18  # bytes

    def __init__(self, data: bytes, *, max_reads: int) -> None:
        super().__init__(data, max_reads=max_reads)
        self._view = memoryview(data)

    def read(self, size: int | None = -1, /) -> Any:
        """As a file's, or a view."""
        if size is None or size < self._LONG:
            return super().read(size)
        start = self.tell()
        got = self._view[start : start + size]
        self.seek(start + len(got))
        self._count(len(got))
        return got


@dataclass(frozen=True, eq=False)
class Image:
    """Pixels as a person would see them: upright, bright means bright, no transparency.

    pixels: uint8 or uint16, (height, width) grey or (height, width, 3) RGB.
    full_scale: the value shown as white.
    """

    pixels: np.ndarray
    full_scale: int
    format: str  # 'PNG', 'JPEG', 'TIFF', 'WebP', 'BMP', 'DICOM' or 'array'
    bit_depth: int = 8  # as stored
    photometric: str = ""  # mode of the file, or the DICOM photometric interpretation
    modality: str = ""  # DICOM (0008,0060)
    body_part: str = ""  # DICOM (0018,0015)
    parts: tuple[str, ...] = ()  # the same as a word of PS3.16 annex L, and what region codes stand for
    views: tuple[str, ...] = ()  # what the header says of the view, of `tasks.VIEWS`; empty where it says nothing
    age: int | None = None  # of the patient, whole years; None where the header says nothing
    intent: str = ""  # DICOM (0008,0068): 'FOR PRESENTATION', 'FOR PROCESSING' or ''
    frame: int = 0  # which frame this is, from 0
    n_frames: int = 1
    notes: tuple[str, ...] = ()  # what was done that a reader should know
    header: tuple[tuple[str, str], ...] = ()  # DICOM: how it was taken, as (name, value); nothing that identifies

    @property
    def height(self) -> int:
        """Rows."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Columns."""
        return int(self.pixels.shape[1])

    @classmethod
    def from_array(cls, array: np.ndarray) -> "Image":
        """An image of an array in which bright means bright, read as the file that holds the same picture would be.

        (height, width), (height, width, 1), (height, width, 3) RGB or (height, width, 4) RGBA, over black. uint8, white
        is 255; uint16, white is found as for files (see `white_of`); bool, white is True; float in 0 to 1, white is 1.
        Raises TypeError or ValueError for anything else, as it could be meant in two ways: a programmer's mistake.
        """
        return cls(**of_array(np.asarray(array)))


@dataclass(frozen=True, eq=False)
class Depth:
    """What a window is laid over.

    pixels: uint16 (height, width), bright means bright; level v is the file's value
    `black + v / 65535 * (white - black)`, after the modality LUT. Where black is the higher one (MONOCHROME1), low
    values are bright.
    centre, width: of the window that the file asks for, in its values; the whole range where it asks for none.
    unit: 'HU' where the file says so, else empty.
    """

    pixels: np.ndarray
    black: float
    white: float
    centre: float
    width: float
    unit: str = ""
