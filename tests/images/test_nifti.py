"""NIfTI volumes: the same slices in one order however the voxels lie, no names kept, nothing believed unchecked."""

import gzip
import itertools
import struct
import zlib

import numpy as np
import pytest

nib = pytest.importorskip("nibabel", reason="nibabel is not installed: the extra 'dicom' brings it")

import secondread.images.nifti as nifti_module  # noqa: E402
from secondread.errors import ImageError, ImageTooLarge, TruncatedImage, UnsupportedImage  # noqa: E402
from secondread.images import Image, Limits, decode, deidentify, open_frames, sniff  # noqa: E402
from secondread.testing.phantoms import brain_phantom  # noqa: E402

KEY = b"k" * 32
N, SIDE = 7, 40


def head() -> np.ndarray:
    """int16 (40, 40, 7), voxels along right, front and head: no two sides of it look alike."""
    slices = []
    for number in range(N):
        one = brain_phantom(SIDE, random_state=number).astype(np.int16)
        one[:8, :8] = 200 + number  # front left on the picture: the patient's right front
        one[-6:, :4] = 30 * number  # told apart from foot to head
        slices.append(one[::-1, ::-1].T)  # rows go to the back and columns to the left: turned to +A and +R
    return np.stack(slices, axis=2)


VOXELS = head()
THICK = np.diag([1.0, 1.0, 4.0, 1.0])


def nifti(voxels: np.ndarray = VOXELS, affine: np.ndarray | None = THICK, **facts: object) -> bytes:
    image = nib.Nifti1Image(voxels, affine)
    for name, value in facts.items():
        image.header[name] = value
    return bytes(image.to_bytes())


def pictures(data: bytes) -> list[np.ndarray]:
    found = []
    for one in open_frames(data):
        assert isinstance(one, Image)
        found.append(one.pixels)
    return found


def test_slices_are_shown_from_foot_to_head_with_the_right_at_the_left_and_the_front_at_the_top() -> None:
    found = pictures(nifti())
    assert len(found) == N
    for number, pixels in enumerate(found):
        expected = VOXELS[:, :, number].T[::-1, ::-1]
        order = np.argsort(expected, axis=None, kind="stable")
        assert (np.diff(pixels.ravel()[order].astype(int)) >= 0).all()
        assert pixels[2, 2] > np.median(pixels)


def test_voxels_laid_out_in_any_of_the_48_ways_give_the_same_slices() -> None:
    image, told = nib.Nifti1Image(VOXELS, THICK), pictures(nifti())
    for order in itertools.permutations(range(3)):
        for ways in itertools.product((1, -1), repeat=3):
            turned = image.as_reoriented(np.array(list(zip(order, ways, strict=True))))
            found = pictures(bytes(turned.to_bytes()))
            assert len(found) == N
            for one, other in zip(found, told, strict=True):
                np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("dtype", ["u1", "i2", "f4", "f8", ">i2", ">f4"])
def test_every_way_to_write_the_same_values_gives_the_same_slices(kind: type, dtype: str) -> None:
    header = kind.header_class(endianness=">" if dtype[0] == ">" else "<")  # type: ignore[attr-defined]
    header.set_data_dtype(dtype)
    data = bytes(kind(np.clip(VOXELS, 0, 255).astype(dtype), THICK, header).to_bytes())
    assert sniff(data) == "NIfTI"
    for one, other in zip(pictures(data), pictures(nifti(np.clip(VOXELS, 0, 255))), strict=True):
        np.testing.assert_allclose(one.astype(int), other.astype(int), atol=1)


def test_a_scaled_volume_is_shown_as_its_values_are() -> None:
    scaled = bytearray(nifti())
    struct.pack_into("<ff", scaled, 112, 0.25, 3.0)
    for one, other in zip(pictures(bytes(scaled)), pictures(nifti()), strict=True):
        np.testing.assert_allclose(one.astype(int), other.astype(int), atol=1)


def test_one_hot_voxel_does_not_darken_the_others() -> None:
    hot = VOXELS.astype(np.float32)
    hot[3, 3, 3] = 1e6
    assert np.median(pictures(nifti(hot))[0]) == pytest.approx(np.median(pictures(nifti())[0]), rel=0.05)


def test_values_that_are_no_numbers_are_black() -> None:
    holes = VOXELS.astype(np.float32)
    holes[5:9, 5:9] = np.nan
    holes[20, 20] = np.inf
    assert all(np.isfinite(one).all() for one in pictures(nifti(holes)))
    assert not np.concatenate(pictures(nifti(np.full_like(holes, np.nan)))).any()


def test_compressed_or_not_is_the_same() -> None:
    data = nifti()
    for packed in (gzip.compress(data), gzip.compress(data[:900]) + gzip.compress(data[900:])):
        assert sniff(packed) == "NIfTI"
        np.testing.assert_array_equal(decode(packed, frame=3).pixels, decode(data, frame=3).pixels)


def test_thick_slices_tell_the_plane_and_of_equal_sides_it_is_from_foot_to_head() -> None:
    for axis in range(3):
        sides = [1.0, 1.0, 1.0]
        sides[axis] = 3.0
        assert open_frames(nifti(affine=np.diag([*sides, 1.0]))).n == VOXELS.shape[axis]
    assert open_frames(nifti(affine=np.eye(4))).n == N


def test_a_plane_that_the_header_names_is_believed() -> None:
    image = nib.Nifti1Image(VOXELS, THICK)
    image.header.set_dim_info(slice=0)
    assert open_frames(bytes(image.to_bytes())).n == SIDE


def test_pixels_are_square_on_the_picture() -> None:
    wide = open_frames(nifti(affine=np.diag([2.0, 1.0, 5.0, 1.0]))).frame(0)
    assert (wide.height, wide.width) == (SIDE, 2 * SIDE)


def test_of_several_volumes_the_first_is_read_and_it_is_said() -> None:
    four = np.stack([VOXELS, 2 * VOXELS, VOXELS // 2], axis=3)
    image = open_frames(nifti(four)).frame(2)
    np.testing.assert_array_equal(image.pixels, decode(nifti(), frame=2).pixels)
    assert "the file holds 3 volumes, and the first was read" in image.notes
    assert len(deidentify(nifti(four), key=KEY).data) < len(nifti(four)) / 2


def test_a_file_that_does_not_say_how_the_body_lies_says_so() -> None:
    plain = nib.Nifti1Image(VOXELS, None)
    plain.header["sform_code"] = plain.header["qform_code"] = 0
    assert any("left and right may be swapped" in note for note in decode(bytes(plain.to_bytes())).notes)
    assert not decode(nifti()).notes


def test_no_text_of_the_header_is_kept_and_every_slice_is_the_same() -> None:
    image = nib.Nifti1Image(VOXELS, THICK)
    image.header["descrip"], image.header["aux_file"], image.header["intent_name"] = b"Okonkwo", b"Adaeze", b"4711"
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"Okonkwo Adaeze"))
    data = bytes(image.to_bytes())
    for sent in (data, gzip.compress(data)):
        kept = deidentify(sent, key=KEY)
        assert (kept.format, kept.changed) == ("NIfTI", True)
        assert not any(name in kept.data for name in (b"Okonkwo", b"Adaeze", b"4711"))
        for one, other in zip(pictures(kept.data), pictures(data), strict=True):
            np.testing.assert_array_equal(one, other)
        assert deidentify(kept.data, key=KEY).data == kept.data


def test_a_name_in_the_unused_text_of_a_second_header_is_not_kept() -> None:
    image = nib.Nifti2Image(VOXELS, THICK)
    image.header["unused_str"] = b"Okonkwo"
    data = bytes(image.to_bytes())
    assert b"Okonkwo" in data
    assert b"Okonkwo" not in deidentify(data, key=KEY).data


def test_a_file_of_many_members_is_not_copied_once_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    copied = []

    class Counted:
        def __init__(self, bits: int) -> None:
            self._stream = zlib.decompressobj(bits)

        def __getattr__(self, name: str) -> object:
            found = getattr(self._stream, name)
            copied.extend([len(found)] if name == "unused_data" else [])
            return found

    class Zlib:
        error, decompressobj = zlib.error, Counted

    monkeypatch.setattr(nifti_module, "zlib", Zlib)
    members = gzip.compress(b"") * 5000
    with pytest.raises(UnsupportedImage):
        decode(members)
    assert sum(copied) < 1000 * len(members)  # 16 kB for each at most, however long the file
    sent = members + b"".join(gzip.compress(bytes([one])) for one in nifti())
    np.testing.assert_array_equal(decode(sent, frame=3).pixels, decode(nifti(), frame=3).pixels)


def test_a_bomb_is_refused_by_what_it_says_before_it_is_unpacked() -> None:
    header = nib.Nifti1Header()
    header.set_data_shape((2000, 2000, 2000))
    bomb = gzip.compress(bytes(header.binaryblock) + bytes(4) + bytes(10_000_000))
    assert len(bomb) < 20_000
    with pytest.raises(ImageTooLarge, match="32000 MB"):
        open_frames(bomb)
    small = nifti() + bytes(50_000_000)  # what follows the voxels is not unpacked
    np.testing.assert_array_equal(decode(gzip.compress(small)).pixels, decode(nifti()).pixels)
    with pytest.raises(ImageTooLarge):
        open_frames(gzip.compress(nifti()), limits=Limits(max_bytes=5000))


@pytest.mark.parametrize(
    ("at", "form", "value", "error"),
    [
        (40, "<h", 0, TruncatedImage),  # no dimensions
        (40, "<h", 9, TruncatedImage),
        (42, "<h", -5, TruncatedImage),
        (42, "<h", 0, TruncatedImage),
        (42, "<h", 32767, TruncatedImage),  # more than the file holds
        (70, "<h", 128, UnsupportedImage),  # colours
        (70, "<h", 32, UnsupportedImage),  # complex
        (70, "<h", 1, UnsupportedImage),
    ],
)
def test_dimensions_and_types_that_cannot_be_are_refused(at: int, form: str, value: int, error: type) -> None:
    data = bytearray(nifti())
    struct.pack_into(form, data, at, value)
    with pytest.raises(error):
        open_frames(bytes(data))


def test_a_volume_that_is_cut_short_is_refused() -> None:
    for data, least in ((nifti(), 1), (gzip.compress(nifti()), 100)):  # of the latter, more than its sum at the end
        for n in (400, 1000, len(data) // 2, len(data) - least):
            with pytest.raises(ImageError):
                open_frames(data[:n])


def test_damaged_headers_raise_nothing_but_image_errors() -> None:
    rng = np.random.default_rng(0)
    whole = nifti()
    n_read = 0
    for _ in range(400):
        data = bytearray(whole)
        for _ in range(rng.integers(1, 12)):
            data[int(rng.integers(0, 352))] = int(rng.integers(0, 256))
        try:
            frames = open_frames(bytes(data))
            assert frames.frame(0).pixels.dtype == np.uint16
            deidentify(bytes(data), key=KEY)
            n_read += 1
        except ImageError:
            pass
    assert n_read > 20


def test_odd_sides_of_the_body_are_read_as_unknown() -> None:
    for numbers in ((np.nan,) * 4, (0.0,) * 4, (1e30, 0, 0, 0)):
        data = bytearray(nifti())
        struct.pack_into("<4f", data, 280, *numbers)
        assert open_frames(bytes(data)).n >= 1
