"""What can be read: paths, bytes, arrays, open files and images."""

import os
from pathlib import Path
from typing import IO, Any

import numpy as np

from secondread.errors import CannotOpen
from secondread.files import shown
from secondread.images import (
    DataSet,
    Frames,
    Image,
    Limits,
    Picture,
    dataset_bytes,
    is_dataset,
    is_picture,
    open_frames,
    open_picture,
)
from secondread.images.steps import step

Source = str | os.PathLike[str] | bytes | np.ndarray | Image | Frames | Picture | DataSet | IO[bytes]
DEFAULT_LIMITS = Limits()


def open_source(source: Source, *, frame: int | None = None, limits: Limits = DEFAULT_LIMITS) -> Image | Frames:
    """The image of any kind of source, or all frames of a file that has several and of which none is asked for.

    frame: from 0. Raises CannotOpen or an ImageError.
    """
    if isinstance(source, Image):
        return source
    if isinstance(source, np.ndarray):
        return Image.from_array(source)
    with step("decode"):
        frames = source if isinstance(source, Frames) else _frames_of(source, limits)
        if frame is not None:
            return frames.frame(frame)
        if frames.n == 1:
            return frames.frame(0)
    limits.check_frames(frames.n)
    return frames


def _frames_of(source: Any, limits: Limits) -> Frames:
    if is_picture(source):
        return open_picture(source, limits=limits)
    if is_dataset(source):
        data = dataset_bytes(source, limits=limits)
    elif isinstance(source, bytes | bytearray | memoryview):
        data = bytes(source)
    elif isinstance(source, str | os.PathLike):
        data = _read_file(Path(source), limits)
    else:
        data = _read_object(source, limits)
    return open_frames(data, limits=limits)


def _read_file(path: Path, limits: Limits) -> bytes:
    try:
        with path.open("rb") as file:
            n_bytes = os.fstat(file.fileno()).st_size
            limits.check_bytes(n_bytes)  # a huge file is refused before it is read
            # As much as it says first: to ask for all that is allowed takes that much memory for a moment. A device or
            # a pipe says nothing of its size, and a file may grow.
            data = file.read(n_bytes + 1)
            if len(data) > n_bytes:
                data += file.read(limits.max_bytes + 1 - len(data))
    except OSError as error:
        raise CannotOpen(f"cannot open '{shown(path)}': {error.strerror or error}") from error
    except ValueError as error:  # a name that no file can have, with a NUL in it
        raise CannotOpen(f"cannot open '{shown(path)}': {error}") from error
    limits.check_bytes(len(data))
    return data


def _read_object(source: Any, limits: Limits) -> bytes:
    """All of an open file, which is left where it was; what is left in one that cannot be wound back.

    Raises CannotOpen, ImageTooLarge, or TypeError: a programmer's mistake.
    """
    if not hasattr(source, "read"):
        raise TypeError(
            "an image is a path, bytes, a NumPy array, an open file, an image of Pillow or a data set of pydicom, "
            f"not {type(source)}"
        )
    try:
        at = source.tell() if hasattr(source, "seekable") and source.seekable() else None
        if at is not None:
            source.seek(0)
        data = source.read(limits.max_bytes + 1)
        if at is not None:
            source.seek(at)
    except (OSError, ValueError) as error:  # the latter of a closed file
        raise CannotOpen(f"cannot read the open file: {error}") from error
    if not isinstance(data, bytes):
        raise TypeError("an open file must give bytes; open it in binary mode, 'rb'")
    limits.check_bytes(len(data))
    return data
