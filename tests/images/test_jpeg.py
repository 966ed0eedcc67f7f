"""The pieces of a JPEG file: all of them, in order, and what a damaged file still shows."""

import io

import numpy as np
import pytest
from PIL import Image as PillowImage

from secondread.errors import TruncatedImage, UnsupportedImage
from secondread.images import decode
from secondread.images.jpeg import CODED, EOI, check_scans, frame_sizes, plain, segments
from secondread.images.pillow import memory_of, memory_of_plain
from secondread.testing.phantoms import chest_phantom, encode

FILM = np.dstack([chest_phantom((60, 90), random_state=0)] * 3)
FILES = {
    "plain": encode(FILM, "JPEG"),
    "many scans": encode(FILM, "JPEG", progressive=True),
    "restarts": encode(FILM, "JPEG", restart_marker_blocks=2),
    "a comment": encode(FILM, "JPEG", comment=b"\xff\xd9 within a comment"),
}


@pytest.mark.parametrize("name", FILES)
def test_pieces_follow_one_another_from_the_first_to_the_end_of_the_image(name: str) -> None:
    data = FILES[name]
    found = list(segments(data))
    assert [piece.start for piece in found] == [2, *(piece.end for piece in found[:-1])]
    assert (found[-1].marker, found[-1].end) == (EOI, len(data))
    assert list(segments(data, strict=False)) == found


def test_each_scan_is_a_header_and_its_coded_data() -> None:
    scans = [piece.marker for piece in segments(FILES["many scans"])].count(CODED)
    assert scans == FILES["many scans"].count(b"\xff\xda") > 1
    assert [piece.marker for piece in segments(FILES["restarts"])].count(CODED) == 1


def test_fill_bytes_and_lone_markers_belong_to_no_piece() -> None:
    data = FILES["a comment"]
    comment = next(piece for piece in segments(data) if piece.marker == 0xFE)
    filled = data[: comment.start] + b"\xff\xff\xff\x01\xff\xd3\xff\xff" + data[comment.start :]
    texts = [[whole[start:end] for _, start, end in segments(whole)] for whole in (data, filled)]
    assert texts[0] == texts[1]


@pytest.mark.parametrize("damage", [b"\0\0\0", b"\xff\0", b"\xff\xfe\0\0", b"\xff\xfe\0\x01"])
def test_a_frame_header_behind_damage_is_found_as_decoders_find_it(damage: bytes) -> None:
    damaged = FILES["plain"][:2] + damage + FILES["plain"][2:]
    assert list(frame_sizes(damaged)) == [(90, 60)]
    with pytest.raises(ValueError, match=r"marker|segment"):
        list(segments(damaged))


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xd8", b"\xff\xd8\xff", b"\xff\xd8" + b"\xff" * 10**6, FILES["plain"][:-2]]
)
def test_a_file_that_ends_early_is_told(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"marker|scan"):
        list(segments(data))


@pytest.mark.parametrize("shift", [0, 1])
def test_scans_are_counted_wherever_they_lie(shift: int) -> None:
    scans = b"\xff\xda" + bytes(10)
    data = b"\xff\xd8" + bytes(shift) + 50 * scans + 50 * (scans + b"\0")
    most = 1_200_000_000 // 100
    check_scans(data, most)
    with pytest.raises(UnsupportedImage, match="scans"):
        check_scans(data, most + 1)
    with pytest.raises(UnsupportedImage, match="scans"):
        check_scans(data + b"\xff\xda", most)
    check_scans(b"\0" + data, 10 * most)  # no JPEG


def _saved(mode: str, **options: object) -> bytes:
    grey = chest_phantom((90, 70), random_state=0)
    file = io.BytesIO()
    PillowImage.fromarray(grey).convert(mode).save(file, "JPEG", **options)
    return file.getvalue()


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_plain_file_says_what_pillow_says_of_it(mode: str, progressive: bool) -> None:
    data = _saved(mode, progressive=progressive, comment=b"words")
    found, opened = plain(data), PillowImage.open(io.BytesIO(data))
    assert found is not None
    assert ((found.width, found.height), found.progressive) == (opened.size, "progressive" in opened.info)
    assert memory_of_plain(found) == memory_of(opened, data, "JPEG")
    image = decode(data)
    assert (image.pixels == np.asarray(opened)).all()
    assert (image.photometric, image.bit_depth, image.n_frames, image.notes) == (mode, 8, 1, ())


def test_what_says_more_than_its_pixels_is_not_plain() -> None:
    exif = PillowImage.Exif()
    exif[274] = 6
    turned = _saved("L", exif=exif)
    grey = _saved("L")
    frame = grey.index(b"\xff\xc0")
    others = [
        turned,
        _saved("CMYK"),
        grey[:frame] + b"\xff\xe1\x00\x04ab" + grey[frame:],  # an APP1 of any kind
        grey[:frame] + grey[frame : frame + 13] + grey[frame:],  # two frame headers
        grey[:frame] + b"\xff\xfe\x00\x02" * 100 + grey[frame:],  # very many pieces
        grey[: frame + 20],
        b"\xff\xd8\xff",
        b"",
    ]
    assert [plain(data) for data in others] == [None] * len(others)
    assert decode(turned).pixels.shape == (70, 90)


def test_a_plain_file_with_a_fault_is_decoded_as_before() -> None:
    """simplejpeg stops where Pillow reads on or says what is wrong."""
    grey = _saved("L")
    odd = grey[:-2] + b"\xff\xd0" + grey[-2:]  # a marker too many
    assert plain(odd) is not None
    assert (decode(odd).pixels == decode(grey).pixels).all()
    with pytest.raises(TruncatedImage):
        decode(grey[: len(grey) // 2])
    with pytest.raises(UnsupportedImage, match="no frame 2"):
        decode(grey, frame=1)
