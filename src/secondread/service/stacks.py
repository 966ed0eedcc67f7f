"""A series as it is kept: a small file that names the pictures of its slices in order, each an image of its own.

It is an image as any other to whoever lists, backs up or erases images, and its hash says which slices, in which order:
the same series sent again is the same image, and is answered from the store. It is made here alone: what people upload
must have the signature of an image (see images.decode.sniff), so nobody can name an image of somebody else in it.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from secondread.errors import NotThere, ServiceError, TruncatedImage
from secondread.images import Frames, Image, Limits, decode
from secondread.service.image_store import ImageStore

FORMAT = "series"  # of the image's row
_HEAD = b'{"secondread series": 1,'
_MOST_BYTES = 4 << 20  # of such a file; of 2,000 slices it has 150 kB


@dataclass(frozen=True)
class Slice:
    """One picture of a series."""

    sha256: str  # of its own image
    frame: int = 0  # within that


def pack_stack(slices: Sequence[Slice]) -> bytes:
    """The file of these slices in their order."""
    rows = ",".join(json.dumps([one.sha256, one.frame], separators=(",", ":")) for one in slices)
    return _HEAD + b'"slices":[' + rows.encode() + b"]}"


def stack_hash(slices: Sequence[Slice]) -> str:
    """What the file is called."""
    return hashlib.sha256(pack_stack(slices)).hexdigest()


def unpack_stack(data: bytes) -> tuple[Slice, ...] | None:
    """The slices that a kept file names; None for any other image. Raises ServiceError for a damaged one."""
    if not data.startswith(_HEAD) or len(data) > _MOST_BYTES:
        return None
    try:
        return tuple(Slice(str(sha256), int(frame)) for sha256, frame in json.loads(data)["slices"])
    except (ValueError, KeyError, TypeError) as error:
        raise ServiceError("the stored list of a series' slices is damaged; restore it from a backup") from error


def picture_of(images: ImageStore, data: bytes, frame: int) -> tuple[bytes, int]:
    """The file in which a frame of a kept image lies, and which frame of that file it is.

    data: of the image. Raises NotThere for a slice that was erased, or is not there.
    """
    slices = unpack_stack(data)
    if slices is None:
        return data, frame
    if not 0 <= frame < len(slices):
        raise NotThere(f"there is no slice {frame + 1}; the series has {len(slices)}")
    one = slices[frame]
    return images.image(one.sha256), one.frame


def slices_of(images: ImageStore, data: bytes, limits: Limits) -> Frames | None:
    """The pictures of a kept series, each fetched and decoded when it is asked for; None for any other image."""
    slices = unpack_stack(data)
    if slices is None:
        return None

    def frame(index: int) -> Image:
        one = slices[index]
        try:
            image = decode(images.image(one.sha256), frame=one.frame, limits=limits)
        except NotThere as error:
            raise TruncatedImage("this slice was erased; send the series again") from error
        return replace(image, frame=index, n_frames=len(slices))

    return Frames(len(slices), frame)


def decode_kept(images: ImageStore, data: bytes, frame: int, limits: Limits) -> Image:
    """A frame of a kept image, a series' or another's. Raises an ImageError, or as `picture_of`."""
    picture, inside = picture_of(images, data, frame)
    return decode(picture, frame=inside, limits=limits)
