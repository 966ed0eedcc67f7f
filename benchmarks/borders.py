"""What borders around a film change of a bundle's answer, on every fifth train and val film (SECONDREAD_DATA).

python -m benchmarks.borders [BUNDLE …]

A border is as wide on each side as said, in shares of the film's sides: black, grey and white, and black and white with
a letter, a line of text and a wedge in it. Nothing is chosen by it. The gate is left out: what it thinks is another
question, and answered by `make gate`.
"""

import sys
from collections.abc import Callable

import cv2
import numpy as np

from benchmarks._common import data_folder, save
from secondread.data import load_data
from secondread.images import Image, decode
from secondread.reading import Reader
from secondread.stats.proportions import proportion

BUNDLES = ("tuberculosis/best",)
SHARES = (0.1, 0.25, 0.5)
KINDS: dict[str, tuple[int, int | None]] = {  # level, and of what is written in it
    "black": (0, None),
    "grey": (128, None),
    "white": (255, None),
    "black, written in": (0, 255),
    "white, written in": (255, 0),
}


def bordered(pixels: np.ndarray, share: float, level: int, ink: int | None) -> np.ndarray:
    """pixels: uint8 (height, width) or (height, width, 3)."""
    down, across = (max(1, round(side * share)) for side in pixels.shape[:2])
    found = cv2.copyMakeBorder(pixels, down, down, across, across, cv2.BORDER_CONSTANT, value=[level] * 3)
    if ink is None:
        return found
    font, colour = cv2.FONT_HERSHEY_SIMPLEX, [ink] * 3
    cv2.putText(found, "L", (across // 4, 2 * down), font, across / 40, colour, max(1, across // 10))
    cv2.putText(found, "AP 12:30", (across, down // 2), font, down / 80, colour, max(1, down // 20))
    wedge = np.linspace(255, 0, down).astype(np.uint8).reshape(-1, 1, *[1] * (pixels.ndim - 2))
    right = across + pixels.shape[1]
    found[down : 2 * down, right + across // 3 : right + 2 * across // 3] = wedge
    return found


def measure(reader: Reader, images: list[Image]) -> dict[str, object]:
    """Of each border: how far probabilities move, and how many decisions change."""

    def answers(change: Callable[[np.ndarray], np.ndarray]) -> tuple[np.ndarray, list[str]]:
        found = [reader.read(Image.from_array(change(image.pixels))) for image in images]
        return np.array([one.probability for one in found]), [one.decision for one in found]

    plain, decisions = answers(lambda pixels: pixels)
    table: dict[str, object] = {}
    for name, (level, ink) in KINDS.items():
        for share in SHARES:

            def change(
                pixels: np.ndarray, level: int = level, ink: int | None = ink, share: float = share
            ) -> np.ndarray:
                return bordered(pixels, share, level, ink)

            moved, decided = answers(change)
            apart = np.abs(moved - plain)
            changed = np.array([a != b for a, b in zip(decisions, decided, strict=True)])
            table[f"{name}, {share:.0%}"] = {
                "probability_moves_by": {"median": float(np.median(apart)), "largest": round(float(apart.max()), 6)},
                "decisions_changed": int(changed.sum()),
                "share": proportion(changed).to_dict(),
            }
    return {"n": len(images), "operating_point": reader.operating_point.name, "borders": table}


def main(bundles: list[str]) -> None:
    """One line for each bundle, and all in the results."""
    found: dict[str, object] = {}
    for name in bundles or BUNDLES:
        reader = Reader.load(name, gate=False)
        manifest = load_data(data_folder() / reader.task.name / "manifest.csv", task=reader.task)
        rows = [row for row in manifest.rows if row.split in ("train", "val")][::5]
        images = [decode(row.path.read_bytes()) for row in rows]
        found[reader.bundle.id] = measure(reader, [image for image in images if image.pixels.dtype == np.uint8])
    save("borders", {"command": " ".join(["python -m benchmarks.borders", *bundles]), "bundles": found})


if __name__ == "__main__":
    main(sys.argv[1:])
