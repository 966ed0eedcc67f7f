"""Reading that ends: files made of millions of tiny pieces cost seconds in any parser written in Python."""

import io

from secondread.errors import ImageTooLarge


class BoundedReads(io.BytesIO):
    """Bytes that refuse to be read in a great many small steps, or over and over."""

    def __init__(self, data: bytes, *, max_reads: int) -> None:
        super().__init__(data)
        self._reads_left = max_reads
        self._bytes_left = 8 * len(data) + 1_000_000

    def read(self, size: int | None = -1, /) -> bytes:
        """As a file's. Raises ImageTooLarge once the bounds are passed."""
        got = super().read(size)
        self._reads_left -= 1
        self._bytes_left -= len(got)
        if self._reads_left < 0 or self._bytes_left < 0:
            raise ImageTooLarge("this file is made of far more pieces than an image needs; export the image again")
        return got
