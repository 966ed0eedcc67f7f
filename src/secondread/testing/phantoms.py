"""Small synthetic films that stand in for patients' (chest, brain, bone), files that carry them, and data sets of them.

They are no model of anatomy: they are drawn so that a network can be trained, served and tested in seconds, with
nobody's image. Equal arguments give equal pixels.
"""

import csv
import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image as PillowImage
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000, UID, ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

Size = int | tuple[int, int]  # side, or (height, width)
Kind = Literal["chest", "brain", "bone"]
Drawn = tuple[np.ndarray, np.ndarray]  # picture float (H, W), before noise; lesion bool (H, W)

SPLITS = {"train": 48, "val": 24, "test": 24}  # images of a data set that the paper's network learns in seconds


def chest_phantom(size: Size, *, random_state: int, lesion: bool = False) -> np.ndarray:
    """A chest film, uint8: bright body and heart, two dark lungs with ribs; the lesion is a bright patch in a lung."""
    return phantom("chest", size, random_state=random_state, lesion=lesion)


def brain_phantom(size: Size, *, random_state: int, lesion: bool = False) -> np.ndarray:
    """An axial brain slice, uint8: skull ring, grey brain, dark ventricles; the lesion is a bright patch beside."""
    return phantom("brain", size, random_state=random_state, lesion=lesion)


def bone_phantom(size: Size, *, random_state: int, lesion: bool = False) -> np.ndarray:
    """A limb film, uint8: soft tissue and a bright shaft with a darker marrow; the lesion is a dark oblique gap."""
    return phantom("bone", size, random_state=random_state, lesion=lesion)


def phantom(kind: Kind, size: Size, *, random_state: int, lesion: bool = False) -> np.ndarray:
    """A film of that kind, uint8 (height, width)."""
    rng = np.random.default_rng(random_state)
    return _finish(_DRAW[kind](size, rng, lesion)[0], rng)


def lesion_mask(kind: Kind, size: Size, *, random_state: int) -> np.ndarray:
    """Where the lesion of `phantom(..., lesion=True)` with the same arguments lies, bool (height, width)."""
    return _DRAW[kind](size, np.random.default_rng(random_state), True)[1]


def film(size: int, random_state: int, *, disease: bool, kind: Kind = "chest") -> np.ndarray:
    """A phantom whose disease is a large opacity, plain enough for the paper's network and 48 images; uint8 (S, S)."""
    picture = phantom(kind, size, random_state=random_state).astype(int)
    if disease:
        picture[plain_mask(size)] += 90
    return picture.clip(0, 255).astype(np.uint8)


def plain_mask(size: int) -> np.ndarray:
    """Where the opacity of `film` lies, bool (S, S)."""
    mask = np.zeros((size, size), dtype=bool)
    mask[size // 4 : size // 2, size // 5 : size // 2] = True
    return mask


def write_phantom_data(
    folder: Path,
    *,
    kind: Kind = "chest",
    counts: dict[str, int] = SPLITS,
    size: int = 128,
    subtle: bool = False,
    masks: bool = False,
) -> Path:
    """Phantoms as PNG, every second one with disease, and their manifest. Returns the manifest's path.

    counts: images of each split; four images share a patient, and three sources take turns. size: pixels, square.
    subtle: small lesions (`phantom`), which take more images and epochs to learn, in place of large ones (`film`).
    masks: also where the disease is, as pictures that the manifest's column `mask` names.
    """
    (folder / "images").mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    for split, count in counts.items():
        for number in range(len(rows), len(rows) + count):
            label, name = number % 2, f"images/{number:04d}.png"
            row = {"path": name, "label": label, "source": f"site{number % 3}", "patient": f"p{number // 4}{split}"}
            if subtle:
                picture = phantom(kind, size, random_state=number, lesion=bool(label))
            else:
                picture = film(size, number, disease=bool(label), kind=kind)
            (folder / name).write_bytes(encode(picture, "PNG"))
            rows.append({**row, "split": split})
            if masks:
                rows[-1]["mask"] = ""
                if label:
                    where = lesion_mask(kind, size, random_state=number) if subtle else plain_mask(size)
                    rows[-1]["mask"] = mask = f"masks/{number:04d}.png"
                    (folder / "masks").mkdir(exist_ok=True)
                    (folder / mask).write_bytes(encode(where.astype(np.uint8) * 255, "PNG"))
    manifest = folder / "manifest.csv"
    with manifest.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return manifest


def encode(array: np.ndarray, kind: str, **options: Any) -> bytes:
    """A file of that kind ('PNG', 'JPEG', 'TIFF', 'WebP', 'BMP'); options go to Pillow's writer."""
    target = io.BytesIO()
    PillowImage.fromarray(array).save(target, format=kind.upper(), **options)
    return target.getvalue()


def dicom_bytes(
    array: np.ndarray,
    *,
    syntax: str = ExplicitVRLittleEndian,
    bits_stored: int | None = None,
    multi_frame: bool = False,
    codestreams: list[bytes] | None = None,
    **elements: Any,
) -> bytes:
    """A DICOM file of stored integers: (height, width), (height, width, 3) or, multi-frame, one axis more in front.

    syntax: the transfer syntax's UID; a compressed one must have an encoder in pydicom or come with `codestreams`.
    codestreams: the frames as already compressed elsewhere, one for each.
    elements: any further attributes by keyword, e.g. WindowCenter=40; they win over what is worked out here.
    """
    ds = _plain_dataset(array, bits_stored or 8 * array.itemsize, multi_frame)
    for keyword, value in elements.items():
        setattr(ds, keyword, value)
    if ds.file_meta.TransferSyntaxUID != syntax:
        _change_syntax(ds, UID(syntax), codestreams)
    target = io.BytesIO()
    ds.save_as(target, enforce_file_format=True)
    return target.getvalue()


def without_preamble(dicom: bytes) -> bytes:
    """The data set of a DICOM file alone, as old devices write it: no preamble, no meta information."""
    (meta_length,) = struct.unpack("<I", dicom[140:144])  # (0002,0000) comes first
    return dicom[144 + meta_length :]


def _plain_dataset(array: np.ndarray, bits_stored: int, multi_frame: bool) -> Dataset:
    frames = array if multi_frame else array[None]
    grey = frames.ndim == 3
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID, ds.SOPInstanceUID = SecondaryCaptureImageStorage, generate_uid(entropy_srcs=["phantom"])
    ds.PatientName, ds.PatientID, ds.Modality, ds.BodyPartExamined = "Phantom", "0", "DX", "CHEST"
    ds.Rows, ds.Columns = frames.shape[1:3]
    ds.SamplesPerPixel = 1 if grey else frames.shape[3]
    ds.PhotometricInterpretation = "MONOCHROME2" if grey else "RGB"
    if not grey:
        ds.PlanarConfiguration = 0
    if multi_frame:
        ds.NumberOfFrames = len(frames)
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8 * array.itemsize, bits_stored, bits_stored - 1
    ds.PixelRepresentation = int(array.dtype.kind == "i")
    raw = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes()
    ds.PixelData = raw + b"\x00" * (len(raw) % 2)
    ds["PixelData"].VR = "OW" if array.itemsize > 1 else "OB"
    return ds


def _change_syntax(ds: Dataset, syntax: UID, codestreams: list[bytes] | None) -> None:
    if syntax.is_encapsulated and codestreams is None:
        options: dict[str, Any] = {"j2k_cr": [4]} if syntax == JPEG2000 else {}  # compression ratio
        ds.compress(syntax, generate_instance_uid=False, **options)
        return
    ds.file_meta.TransferSyntaxUID = syntax
    if codestreams is not None:
        ds.PixelData = encapsulate(codestreams)
        ds["PixelData"].VR = "OB"
    elif not syntax.is_little_endian and ds.BitsAllocated > 8:
        ds.PixelData = np.frombuffer(ds.PixelData, f"<u{ds.BitsAllocated // 8}").byteswap().tobytes()
        ds["PixelData"].VR = "OW"


def _chest(size: Size, rng: np.random.Generator, lesion: bool) -> Drawn:
    y, x = _grid(size, rng)
    lungs = np.maximum(_ellipse(y, x, 0.48, 0.31, 0.33, 0.15), _ellipse(y, x, 0.48, 0.69, 0.33, 0.15))
    picture = 25 + 150 * _ellipse(y, x, 0.55, 0.5, 0.6, 0.46) - 110 * lungs
    picture += 14 * lungs * (np.sin(2 * np.pi * (9 * y + 3 * np.abs(x - 0.5))) > 0.3)
    picture += 70 * _ellipse(y, x, 0.62, 0.55, 0.2, 0.13)
    if not lesion:
        return picture, np.zeros_like(y, dtype=bool)
    side = rng.choice([0.31, 0.69])
    patch = _blob(y, x, rng.uniform(0.28, 0.42), side + rng.uniform(-0.04, 0.04), rng.uniform(0.06, 0.09), 110)
    return picture + patch, patch > patch.max() / 2


def _brain(size: Size, rng: np.random.Generator, lesion: bool) -> Drawn:
    y, x = _grid(size, rng)
    picture = 5 + 150 * _ellipse(y, x, 0.5, 0.5, 0.44, 0.36) - 90 * _ellipse(y, x, 0.5, 0.5, 0.4, 0.32)
    picture -= 40 * np.maximum(_ellipse(y, x, 0.47, 0.45, 0.12, 0.03), _ellipse(y, x, 0.47, 0.55, 0.12, 0.03))
    if not lesion:
        return picture, np.zeros_like(y, dtype=bool)
    side = rng.choice([0.34, 0.66])
    patch = _blob(y, x, rng.uniform(0.35, 0.62), side + rng.uniform(-0.03, 0.03), rng.uniform(0.06, 0.09), 130)
    return picture + patch, patch > patch.max() / 2


def _bone(size: Size, rng: np.random.Generator, lesion: bool) -> Drawn:
    y, x = _grid(size, rng)
    across = np.abs(x - 0.5 - 0.04 * np.sin(3 * y))
    picture = 15 + 50 * (across < 0.3) + 130 * (across < 0.13) - 35 * (across < 0.06)
    if not lesion:
        return picture, np.zeros_like(y, dtype=bool)
    line = y - rng.uniform(0.35, 0.65) - rng.uniform(-0.6, 0.6) * (x - 0.5)
    gap = (np.abs(line) < 0.035) & (across < 0.13)
    return np.where(gap, 60, picture), gap


_DRAW: dict[str, Callable[[Size, np.random.Generator, bool], Drawn]] = {"chest": _chest, "brain": _brain, "bone": _bone}


def _grid(size: Size, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates from 0 to 1, a little shifted and scaled so that no two phantoms are alike."""
    height, width = (size, size) if isinstance(size, int) else size
    y, x = np.mgrid[0:height, 0:width]
    shift_y, shift_x = rng.uniform(-0.03, 0.03, 2)
    scale = rng.uniform(0.95, 1.05)
    return ((y + 0.5) / height - 0.5) * scale + 0.5 + shift_y, ((x + 0.5) / width - 0.5) * scale + 0.5 + shift_x


def _ellipse(y: np.ndarray, x: np.ndarray, at_y: float, at_x: float, high: float, wide: float) -> np.ndarray:
    return (((y - at_y) / high) ** 2 + ((x - at_x) / wide) ** 2 < 1).astype(np.float64)


def _blob(y: np.ndarray, x: np.ndarray, at_y: float, at_x: float, radius: float, height: float) -> np.ndarray:
    return height * np.exp(-(((y - at_y) ** 2 + (x - at_x) ** 2) / radius**2))


def _finish(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    noisy = picture * rng.uniform(0.9, 1.1) + rng.normal(0, 3, picture.shape)
    return np.clip(np.round(noisy), 0, 255).astype(np.uint8)
