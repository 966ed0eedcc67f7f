"""The size of a pixel and the letters at the sides of an image: as the file says, or not at all."""

import io
from typing import Any

import nibabel
import numpy as np
import pytest
from PIL import Image as PillowImage
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from secondread.images import Geometry, Limits, Window, decode, geometry_of, spacing_of_facts
from secondread.testing.phantoms import dicom_bytes

LIMITS = Limits()
FILM = np.zeros((40, 60), np.uint16)
IMAGER, PLAIN = [0.2, 0.1], [0.16, 0.08]


def _of(frame: int = 0, film: np.ndarray = FILM, **elements: Any) -> Geometry:
    return geometry_of(dicom_bytes(film, bits_stored=12, **elements), frame=frame, limits=LIMITS)


@pytest.mark.parametrize(
    ("elements", "spacing", "kind"),
    [
        ({"Modality": "CT", "PixelSpacing": PLAIN}, PLAIN, "body"),
        ({"Modality": "MR", "PixelSpacing": PLAIN}, PLAIN, "body"),
        ({"Modality": "DX", "ImagerPixelSpacing": IMAGER}, IMAGER, "detector"),
        ({"Modality": "DX", "ImagerPixelSpacing": IMAGER, "PixelSpacing": IMAGER}, IMAGER, "detector"),
        ({"Modality": "DX", "ImagerPixelSpacing": IMAGER, "PixelSpacing": PLAIN}, PLAIN, "calibrated"),
        ({"Modality": "CR", "PixelSpacing": PLAIN}, PLAIN, "unsaid"),
        ({"Modality": "CR", "NominalScannedPixelSpacing": PLAIN}, PLAIN, "film"),
        ({"Modality": "CT"}, None, ""),
        ({"Modality": "CT", "PixelSpacing": [0, 0]}, None, ""),
    ],
)
def test_a_length_is_told_with_where_it_is_true(
    elements: dict[str, Any], spacing: list[float] | None, kind: str
) -> None:
    found = _of(**elements)
    assert found.spacing == (None if spacing is None else pytest.approx(tuple(spacing)))
    assert found.kind == kind
    if kind != "film":  # which is not among the facts that are kept
        header = dict(decode(dicom_bytes(FILM, bits_stored=12, **elements)).header)
        assert spacing_of_facts(header, elements["Modality"]) == (found.spacing, found.kind)


def test_what_is_no_pair_of_lengths_among_the_facts_is_no_length() -> None:
    for told in ("", "0.5", "0.5 × ", "0.5 × x", "0 × 0.5", "0.5 × 0.5 × 0.5", "[0.5, 0.5]"):
        assert spacing_of_facts({"Pixel Spacing": told}, "MR") == (None, "")


@pytest.mark.parametrize(
    ("elements", "letters"),
    [
        ({"ImageOrientationPatient": [1, 0, 0, 0, 1, 0]}, ("R", "L", "A", "P")),
        ({"ImageOrientationPatient": [0, 1, 0, 0, 0, -1]}, ("A", "P", "H", "F")),
        ({"ImageOrientationPatient": [0.9, 0.436, 0, 0, 0, -1]}, ("RA", "LP", "H", "F")),
        ({"PatientOrientation": ["L", "F"]}, ("R", "L", "H", "F")),
        ({"PatientOrientation": ["P", "F"]}, ("A", "P", "H", "F")),
        ({"ImageOrientationPatient": [0, 0, 0, 0, 0, 0]}, None),
        ({}, None),
    ],
)
def test_letters_are_those_of_the_header(elements: dict[str, Any], letters: tuple[str, ...] | None) -> None:
    assert _of(**elements).letters == letters


def test_each_frame_has_its_own() -> None:
    def group(spacing: float, way: list[float]) -> Dataset:
        measures, plane, whole = Dataset(), Dataset(), Dataset()
        measures.PixelSpacing, plane.ImageOrientationPatient = [spacing, spacing], way
        whole.PixelMeasuresSequence, whole.PlaneOrientationSequence = Sequence([measures]), Sequence([plane])
        return whole

    groups = Sequence([group(0.5, [1, 0, 0, 0, 1, 0]), group(2.0, [0, 1, 0, 0, 0, -1])])
    film = np.zeros((2, 40, 60), np.uint16)
    data = dicom_bytes(film, bits_stored=12, multi_frame=True, Modality="MR", PerFrameFunctionalGroupsSequence=groups)
    first, second = (geometry_of(data, frame=at, limits=LIMITS) for at in (0, 1))
    assert (first.spacing, first.letters) == ((0.5, 0.5), ("R", "L", "A", "P"))
    assert (second.spacing, second.letters) == ((2.0, 2.0), ("A", "P", "H", "F"))


def test_windows_are_the_files_own_list() -> None:
    found = _of(WindowCenter=[40, 600], WindowWidth=[80, 2800], WindowCenterWidthExplanation=["BRAIN", "BONE"])
    assert found.windows == (Window(40, 80, "BRAIN"), Window(600, 2800, "BONE"))
    assert _of(WindowCenter=[40, 600], WindowWidth=[80]).windows == (Window(40, 80),)


@pytest.mark.parametrize(("unit", "side"), [("mm", 2.5), ("micron", 0.0025), ("unknown", None)])
def test_a_volume_tells_its_own(unit: str, side: float | None) -> None:
    """An axial slice: front at the top, the right at the left."""
    volume = nibabel.Nifti1Image(np.zeros((20, 30, 8), np.int16), np.diag([2.5, 2.5, 6.0, 1.0]))
    volume.header.set_xyzt_units(xyz=unit)
    found = geometry_of(volume.to_bytes(), limits=LIMITS)
    assert found.letters == ("R", "L", "A", "P")
    assert found.spacing == (None if side is None else pytest.approx((side, side)))


def test_a_stretched_slice_is_as_long_as_it_was() -> None:
    """60 rows of 1 mm and 20 columns of 3 mm are shown with square pixels: 60 mm either way."""
    volume = nibabel.Nifti1Image(np.zeros((20, 60, 2), np.int16), np.diag([3.0, 1.0, 6.0, 1.0]))
    volume.header.set_xyzt_units(xyz="mm")
    data = volume.to_bytes()
    shown, found = decode(data), geometry_of(data, limits=LIMITS)
    assert found.spacing is not None
    assert (shown.height * found.spacing[0], shown.width * found.spacing[1]) == pytest.approx((60.0, 60.0))


def test_dots_per_inch_are_of_paper() -> None:
    packed = io.BytesIO()
    PillowImage.fromarray(np.zeros((20, 20), np.uint8)).save(packed, "PNG", dpi=(300, 300))
    assert geometry_of(packed.getvalue(), limits=LIMITS) == Geometry()
