"""Files of several pictures of which it is known which are suspicious, and a reader that finds these by brightness."""

import csv
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image as PillowImage

from secondread.reading import Reader
from secondread.testing.phantoms import brain_phantom, chest_phantom, dicom_bytes

BLANK = np.zeros((96, 96), np.uint8)


class Brightness:
    """Stands for a network: the brighter a picture is on the whole, the higher its score."""

    def run(self, names: list[str], inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        """As an ONNX session's."""
        mean = inputs["image"].astype(np.float32).mean(axis=(1, 2, 3))
        return [(mean - 150) / 20, np.full((len(mean), 6, 6), mean.mean() / 255, np.float32)]


def bright_reader(reference: str = "tuberculosis/paper", **options: Any) -> Reader:
    """A shipped bundle whose network is replaced, without a gate, which lets no phantom pass."""
    reader = Reader.load(reference, gate=False, **options)
    reader._session = Brightness()  # type: ignore[assignment]
    reader.operating_point = replace(reader.operating_point, threshold=0.5)
    return reader


def picture(number: int, *, suspicious: bool, side: int = 96, brain: bool = False) -> np.ndarray:
    """uint8 (side, side): a phantom, brighter where it is suspicious, the more so the higher its number."""
    drawn = (brain_phantom if brain else chest_phantom)(side, random_state=number).astype(int)
    return np.clip(drawn + (90 + 5 * number if suspicious else 0), 0, 255).astype(np.uint8)


def stack(
    n: int = 12, suspicious: Sequence[int] = (7, 8, 9), *, blank: Sequence[int] = (1,), **options: Any
) -> np.ndarray:
    """uint8 (n, side, side). suspicious, blank: numbers from 1; the last suspicious one is the most so."""
    frames = [picture(number, suspicious=number in suspicious, **options) for number in range(1, n + 1)]
    return np.stack([np.zeros_like(one) if number in blank else one for number, one in enumerate(frames, 1)])


WINDOW = {"WindowCenter": 128, "WindowWidth": 256, "Modality": "DX", "BodyPartExamined": "CHEST"}


def dicom_of(frames: np.ndarray, **elements: Any) -> bytes:
    """A DICOM file of these frames, shown through one window, so that brightness stays what it is."""
    return dicom_bytes(frames, multi_frame=True, **{**WINDOW, **elements})


def raster_of(frames: np.ndarray, kind: str, **options: Any) -> bytes:
    """A TIFF of so many pages, or an animated PNG or WebP."""
    target = io.BytesIO()
    first, *rest = [PillowImage.fromarray(one) for one in frames]
    first.save(target, format=kind, save_all=True, append_images=rest, **options)
    return target.getvalue()


def slices_with_a_tumour(data_folder: Path) -> np.ndarray:
    """uint8 (20, 256, 256): one patient's of the validation split; the first is empty, 7 to 9 show the tumour."""
    folder = data_folder / "brain-tumour"
    with (folder / "manifest.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["source"] == "lgg" and row["split"] == "val"]
    mine = [row for row in rows if row["patient"] == "TCGA_CS_6186"]
    ill, well = ([str(folder / row["path"]) for row in mine if row["label"] == label] for label in "10")
    middle = len(ill) // 2
    paths = [*well[:5], *ill[middle - 1 : middle + 2], *well[5:], *well][:19]
    pictures = [cv2.imread(path, cv2.IMREAD_GRAYSCALE) for path in paths]
    return np.stack([np.zeros_like(pictures[0]), *pictures])


BRAIN = {"Modality": "MR", "BodyPartExamined": "BRAIN", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.4.1"}
