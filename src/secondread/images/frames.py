"""The pictures of one file, decoded one at a time; its bytes are parsed once."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from secondread.errors import ImageError
from secondread.images.image import Image


@dataclass(frozen=True, eq=False)
class Frames:
    """A file that was opened: frames of DICOM, pages of TIFF, pictures of an animated PNG or WebP; of others one.

    n: how many there are, as the file says. frame: decodes the one of an index from 0; it holds none of them, and
    raises ImageTooLarge, TruncatedImage or UnsupportedImage. Asked in order, each costs its own decoding alone.
    """

    n: int
    frame: Callable[[int], Image]

    def __iter__(self) -> "Iterator[Image | ImageError]":
        """Every one in turn, or what kept it from being decoded: a damaged one does not hide the others."""
        for index in range(self.n):
            try:
                picture: Image | ImageError = self.frame(index)
            except ImageError as error:
                picture = error
            yield picture
            del picture  # else it would live beside the next one
