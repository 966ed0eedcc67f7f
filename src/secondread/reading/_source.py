"""What can be read: a path, the bytes of a file, an array or a decoded image."""

import os
from pathlib import Path

import numpy as np

from secondread.errors import CannotOpen
from secondread.images import Image, Limits, decode

Source = str | os.PathLike[str] | bytes | np.ndarray | Image
DEFAULT_LIMITS = Limits()


def open_image(source: Source, *, frame: int = 0, limits: Limits = DEFAULT_LIMITS) -> Image:
    """The decoded image of any kind of source. Raises CannotOpen or an ImageError."""
    if isinstance(source, Image):
        return source
    if isinstance(source, np.ndarray):
        return Image.from_array(source)
    data = source if isinstance(source, bytes) else _read_file(Path(source), limits)
    return decode(data, frame=frame, limits=limits)


def _read_file(path: Path, limits: Limits) -> bytes:
    try:
        limits.check_bytes(path.stat().st_size)  # a huge file is refused before it is read
        return path.read_bytes()
    except OSError as error:
        raise CannotOpen(f"cannot open '{path}': {error.strerror or error}") from error
