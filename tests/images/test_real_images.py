"""The benchmark images decode, to the same pixels as with another decoder."""

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

from secondread.images import PrepareSpec, decode, prepare

pytestmark = pytest.mark.data
TASKS = ("brain-tumour", "fracture", "tuberculosis")


@pytest.mark.parametrize("task", TASKS)
def test_every_source_decodes_as_opencv_does(task: str, data_folder: Path) -> None:
    with (data_folder / task / "manifest.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for source in sorted({row["source"] for row in rows}):
        paths = [row["path"] for row in rows if row["source"] == source]
        for path in paths[:: max(1, len(paths) // 12)]:
            data = (data_folder / task / path).read_bytes()
            image = decode(data)
            flags = cv2.IMREAD_GRAYSCALE if image.pixels.ndim == 2 else cv2.IMREAD_COLOR_RGB
            other = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
            assert other is not None, path
            assert image.pixels.shape == other.shape, path
            assert np.abs(image.pixels.astype(int) - other).max() <= 3, path
            assert prepare(image, PrepareSpec()).pixels.shape == (128, 128, 1)
