"""How large a pixel is and how a picture lies in the body, as its file says: for a ruler, and letters at its sides.

A length that no file states is never guessed: a printed picture's dots per inch are of its paper.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from secondread.images.decode import sniff
from secondread.images.image import Limits
from secondread.images.nifti import plane_of_nifti

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

BODY = "body"  # in the plane of the body
CALIBRATED = "calibrated"  # of a projection, corrected for its magnification
DETECTOR = "detector"  # of a projection, where its rays arrive: what lies in the body is smaller
UNSAID = "unsaid"  # of a projection that does not say where
FILM = "film"  # of the film that was scanned
KINDS = (BODY, CALIBRATED, DETECTOR, UNSAID, FILM)
_PROJECTIONS = ("CR", "DX", "DR", "RG", "RF", "XA", "MG", "IO", "PX")
_SMALLEST, _LARGEST = 1e-4, 1e2  # mm of a pixel that can be meant
_LEAST_SHARE = 0.25  # of a direction, that an axis of the body gets a letter for: at 15° and more
_WAYS = (("L", "R"), ("P", "A"), ("H", "F"))  # of x, y and z upwards, and against it (PS3.3 C.7.6.1.1.1)
_OPPOSITE = str.maketrans("LRPAHF", "RLAPFH")
_MOST_WINDOWS = 9


@dataclass(frozen=True)
class Window:
    """A window that the file offers, in its own values."""

    centre: float
    width: float
    name: str = ""  # as the file calls it


@dataclass(frozen=True)
class Geometry:
    """What is known of a frame as it is shown.

    spacing: millimetres from one row to the next and from one column to the next; None where the file does not say.
    kind: of KINDS, where that length is true; empty without one. letters: what lies at the left, right, top and bottom
    side, as 'R' or 'AF'; None where the file does not say. windows: those of a grey file of more than 8 bits. unit: of
    its values, as 'HU'; empty where it does not say.
    """

    spacing: tuple[float, float] | None = None
    kind: str = ""
    letters: tuple[str, str, str, str] | None = None
    windows: tuple[Window, ...] = ()
    unit: str = ""

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "spacing": None if self.spacing is None else list(self.spacing),
            "kind": self.kind,
            "letters": None if self.letters is None else list(self.letters),
            "windows": [vars(one) for one in self.windows],
            "unit": self.unit,
        }


def geometry_of(data: bytes, *, frame: int = 0, limits: Limits) -> Geometry:
    """What the file says of this frame, from 0; nothing for a plain picture. Raises as `images.decode`."""
    limits.check_bytes(len(data))
    kind = sniff(data)
    if kind == "DICOM":
        from secondread.images.dicom import translating  # pydicom takes long to import
        from secondread.images.dicom_file import open_dicom

        found: Geometry = translating(lambda: _of_dicom(open_dicom(data, limits, views=True), frame))
        return found
    if kind == "NIfTI":
        spacing, ways = plane_of_nifti(data, limits=limits)
        return Geometry(spacing, "" if spacing is None else BODY, None if ways is None else letters_along(*ways))
    return Geometry()


def spacing_of_facts(header: Mapping[str, str], modality: str) -> tuple[tuple[float, float] | None, str]:
    """Spacing and kind, as of `Geometry`, out of the facts that are kept of a DICOM file (`Image.header`)."""
    plain, imager = (_pair(header.get(name, "").split("×")) for name in ("Pixel Spacing", "Imager Pixel Spacing"))
    return _spacing_said(plain, imager, None, modality)


def letters_along(
    row: Sequence[float] | np.ndarray, column: Sequence[float] | np.ndarray
) -> tuple[str, str, str, str] | None:
    """Left, right, top and bottom, of the directions in which rows and columns go on.

    row, column: three direction cosines each, to the patient's left, back and head. None where they are none.
    """
    right, bottom = _letters(row), _letters(column)
    return (right.translate(_OPPOSITE), right, bottom.translate(_OPPOSITE), bottom) if right and bottom else None


def _letters(direction: Sequence[float] | np.ndarray) -> str:
    way = np.asarray(direction, dtype=np.float64)
    length = float(np.linalg.norm(way)) if way.shape == (3,) and np.isfinite(way).all() else 0.0
    if length < _SMALLEST:
        return ""
    order = np.argsort(-np.abs(way), kind="stable")
    return "".join(_WAYS[axis][int(way[axis] < 0)] for axis in order if abs(way[axis]) / length > _LEAST_SHARE)[:2]


def _of_dicom(ds: "Dataset", frame: int) -> Geometry:
    from secondread.images.grey import unit_of

    spacing, kind = _spacing(ds, frame)
    return Geometry(spacing, kind, _letters_of(ds, frame), _windows(ds, frame), unit_of(ds))


def _spacing(ds: "Dataset", frame: int) -> tuple[tuple[float, float] | None, str]:
    of_frame = _macro(ds, frame, "PixelMeasuresSequence")
    plain = _pair(of_frame.get("PixelSpacing")) if of_frame is not None else None
    plain = plain or _pair(ds.get("PixelSpacing"))
    imager, film = _pair(ds.get("ImagerPixelSpacing")), _pair(ds.get("NominalScannedPixelSpacing"))
    return _spacing_said(plain, imager, film, str(ds.get("Modality") or ""))


def _spacing_said(
    plain: tuple[float, float] | None,
    imager: tuple[float, float] | None,
    film: tuple[float, float] | None,
    modality: str,
) -> tuple[tuple[float, float] | None, str]:
    """PS3.3 10.7: Pixel Spacing of a projection is corrected only where it differs from that at the detector."""
    if plain is not None and imager is None and modality not in _PROJECTIONS:
        return plain, BODY
    if plain is not None and imager is not None:
        return (plain, CALIBRATED) if not np.allclose(plain, imager, rtol=1e-3) else (imager, DETECTOR)
    if imager is not None:
        return imager, DETECTOR
    if plain is not None:
        return plain, UNSAID
    return (film, FILM) if film is not None else (None, "")


def _letters_of(ds: "Dataset", frame: int) -> tuple[str, str, str, str] | None:
    of_frame = _macro(ds, frame, "PlaneOrientationSequence")
    source = ds if of_frame is None else of_frame
    found = _numbers(source.get("ImageOrientationPatient"))
    if len(found) == 6:
        return letters_along(found[:3], found[3:])
    said = [str(one).strip().upper()[:2] for one in _several(ds.get("PatientOrientation"))]
    if len(said) != 2 or not all(one and set(one) <= set("LRPAHF") for one in said):
        return None
    right, bottom = said
    return right.translate(_OPPOSITE), right, bottom.translate(_OPPOSITE), bottom


def _windows(ds: "Dataset", frame: int) -> tuple[Window, ...]:
    if int(ds.get("BitsStored") or 8) <= 8 or int(ds.get("SamplesPerPixel") or 1) > 1:
        return ()
    of_frame = _macro(ds, frame, "FrameVOILUTSequence")
    source = ds if of_frame is None or "WindowCenter" not in of_frame else of_frame
    centres, widths = _numbers(source.get("WindowCenter")), _numbers(source.get("WindowWidth"))
    names = [str(one).strip() for one in _several(source.get("WindowCenterWidthExplanation"))]
    names += [""] * len(centres)
    pairs = zip(centres, widths, names, strict=False)  # a file may give more of one than of the other
    found = [
        Window(centre, width, name[:40] if name.isprintable() else "") for centre, width, name in pairs if width > 0
    ]
    return tuple(dict.fromkeys(found))[:_MOST_WINDOWS]


def _macro(ds: "Dataset", frame: int, name: str) -> "Dataset | None":
    """A frame's own functional group, or that of all frames (PS3.3 C.7.6.16); None where there is neither."""
    for groups, index in (("PerFrameFunctionalGroupsSequence", frame), ("SharedFunctionalGroupsSequence", 0)):
        items = ds.get(groups) or []
        if index < len(items) and (inner := items[index].get(name)):
            found: Dataset = inner[0]
            return found
    return None


def _several(value: Any) -> list[Any]:
    if value is None:
        return []
    return [value] if isinstance(value, str) or not isinstance(value, Sequence) else list(value)


def _numbers(value: Any) -> list[float]:
    """All of them, or none where one is no finite number."""
    try:
        found = [float(one) for one in _several(value)]
    except (TypeError, ValueError):
        return []
    return found if np.isfinite(found).all() else []


def _pair(value: Any) -> tuple[float, float] | None:
    found = _numbers(value)
    if len(found) != 2 or not all(_SMALLEST < one < _LARGEST for one in found):
        return None
    return found[0], found[1]
