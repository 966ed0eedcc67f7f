"""What the gate is trained on besides medical pictures: photographs, text, drawings, windows, gradients, noise."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from secondread.errors import ExtraMissing
from secondread.images import decode

Drawer = Callable[[np.random.Generator], np.ndarray]  # → uint8 (height, width) or (height, width, 3)
_TRAINING_PHOTOS = (
    "china.jpg", "astronaut.png", "chelsea.png", "brick.png", "coins.png", "grass.png", "motorcycle_left.png",
    "hubble_deep_field.jpg", "ihc.png", "page.png", "color.png", "clock_motion.png", "retina.jpg",
    "cell.png", "horse.png", "logo.png", "microaneurysms.png", "phantom.png",
)  # fmt: skip
_HELD_OUT_PHOTOS = (
    "flower.jpg", "coffee.png", "rocket.jpg", "camera.png", "gravel.png", "moon.png", "text.png",
)  # fmt: skip
_WORDS = ("report", "of", "patient", "name", "date", "left", "right", "view", "signed", "ward", "normal", "study")


def draw_outliers(n: int, *, held_out: bool, random_state: int) -> list[tuple[str, np.ndarray]]:
    """(kind, picture) n times, every kind in turn; held-out kinds share no photograph and no rule with the others.

    Raises ExtraMissing without scikit-image and scikit-learn.
    """
    rng = np.random.default_rng([random_state, int(held_out)])
    kinds = _held_out() if held_out else _of_training()
    names = list(kinds)
    return [(names[i % len(names)], kinds[names[i % len(names)]](rng)) for i in range(n)]


def _of_training() -> dict[str, Drawer]:
    return {
        "photo": lambda rng: _crop(_photo(_choose(rng, _TRAINING_PHOTOS)), rng),
        "grey photo": lambda rng: _grey(_crop(_photo(_choose(rng, _TRAINING_PHOTOS)), rng)),
        "text": _text,
        "drawing": _drawing,
        "white noise": _white_noise,
        "smooth noise": _smooth_noise,
        "gradient": _gradient,
        "window": _window,
    }


def _held_out() -> dict[str, Drawer]:
    return {
        "photo": lambda rng: _crop(_photo(_choose(rng, _HELD_OUT_PHOTOS)), rng),
        "grey photo": lambda rng: _grey(_crop(_photo(_choose(rng, _HELD_OUT_PHOTOS)), rng)),
        "line chart": _chart,
        "chessboard": _chessboard,
        "code of squares": _code,
        "table": _table,
        "stripes": _stripes,
        "pink noise": _pink_noise,
    }


@cache
def _photo(name: str) -> np.ndarray:
    try:
        import skimage
        import sklearn.datasets
    except ModuleNotFoundError as error:
        raise ExtraMissing.of("photographs for the gate", "train") from error
    for folder in (Path(skimage.__file__).parent / "data", Path(sklearn.datasets.__file__).parent / "images"):
        if (folder / name).is_file():
            image = decode((folder / name).read_bytes())
            return (image.pixels >> 8).astype(np.uint8) if image.pixels.dtype == np.uint16 else image.pixels
    raise ExtraMissing.of(f"the photograph {name}", "train")


def _choose(rng: np.random.Generator, names: tuple[str, ...]) -> str:
    return names[int(rng.integers(len(names)))]


def _crop(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random part, at least a third of each side, perhaps mirrored."""
    height, width = picture.shape[:2]
    h, w = (int(side * rng.uniform(0.34, 1)) for side in (height, width))
    y, x = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))
    part = picture[y : y + h, x : x + w]
    return np.ascontiguousarray(part[:, ::-1] if rng.random() < 0.5 else part)


def _grey(picture: np.ndarray) -> np.ndarray:
    return picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)


def _paper(rng: np.random.Generator, *, colour: bool = True) -> tuple[np.ndarray, tuple[int, int, int]]:
    """An empty sheet of random size, and an ink that can be read on it."""
    height, width = (int(side) for side in rng.integers(200, 700, 2))
    light = rng.random() < 0.7
    sheet = np.full((height, width, 3), rng.integers(215, 256) if light else rng.integers(0, 40), np.uint8)
    dark = int(rng.integers(0, 90)) if light else int(rng.integers(170, 256))
    ink = tuple(int(v) for v in rng.integers(0, 256, 3)) if colour and rng.random() < 0.4 else (dark, dark, dark)
    return sheet, ink  # type: ignore[return-value]


def _text(rng: np.random.Generator) -> np.ndarray:
    sheet, ink = _paper(rng)
    size = float(rng.uniform(0.4, 1.6))
    font = int(rng.integers(0, 7))
    for y in range(int(30 * size), sheet.shape[0], int(rng.uniform(24, 44) * size) + 4):
        line = " ".join(rng.choice(_WORDS, int(rng.integers(1, 9))))
        cv2.putText(sheet, line, (int(rng.integers(2, 30)), y), font, size, ink, int(rng.integers(1, 3)), cv2.LINE_AA)
    return sheet


def _drawing(rng: np.random.Generator) -> np.ndarray:
    sheet, _ = _paper(rng)
    height, width = sheet.shape[:2]
    for _ in range(int(rng.integers(3, 25))):
        ink = tuple(int(v) for v in rng.integers(0, 256, 3))
        a, b = ((int(rng.integers(width)), int(rng.integers(height))) for _ in range(2))
        thick = int(rng.choice([-1, 1, 2, 5]))
        shape = int(rng.integers(3))
        if shape == 0:
            cv2.rectangle(sheet, a, b, ink, thick)
        elif shape == 1:
            cv2.circle(sheet, a, int(rng.integers(5, 120)), ink, thick)
        else:
            cv2.line(sheet, a, b, ink, abs(thick))
    return sheet if rng.random() < 0.6 else _grey(sheet)


def _white_noise(rng: np.random.Generator) -> np.ndarray:
    height, width = (int(side) for side in rng.integers(100, 500, 2))
    shape = (height, width, 3) if rng.random() < 0.5 else (height, width)
    if rng.random() < 0.5:
        return rng.integers(0, 256, shape, dtype=np.uint8)
    return np.clip(rng.normal(rng.uniform(60, 200), rng.uniform(10, 60), shape), 0, 255).astype(np.uint8)


def _smooth_noise(rng: np.random.Generator) -> np.ndarray:
    """Blobs of one size: noise drawn small and enlarged."""
    height, width = (int(side) for side in rng.integers(150, 500, 2))
    cells = int(rng.integers(3, 30))
    channels = 3 if rng.random() < 0.4 else 1
    small = rng.random((cells, cells, channels)).astype(np.float32)
    large = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(large * 255, 0, 255).astype(np.uint8)


def _gradient(rng: np.random.Generator) -> np.ndarray:
    height, width = (int(side) for side in rng.integers(100, 500, 2))
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    angle = rng.uniform(0, 2 * np.pi)
    ramp = np.cos(angle) * x + np.sin(angle) * y if rng.random() < 0.6 else np.hypot(x - rng.random(), y - rng.random())
    ramp = (ramp - ramp.min()) / max(float(np.ptp(ramp)), 1e-6)
    low, high = sorted(rng.uniform(0, 255, 2))
    return (low + (high - low + 20) * ramp).clip(0, 255).astype(np.uint8)


def _window(rng: np.random.Generator) -> np.ndarray:
    """A program's window: bars, panels, buttons, words."""
    sheet, ink = _paper(rng)
    height, width = sheet.shape[:2]
    cv2.rectangle(sheet, (0, 0), (width, 26), tuple(int(v) for v in rng.integers(0, 256, 3)), -1)
    for _ in range(int(rng.integers(3, 12))):
        x, y = int(rng.integers(width - 60)), int(rng.integers(30, height - 30))
        w, h = int(rng.integers(40, width)), int(rng.integers(16, 120))
        cv2.rectangle(sheet, (x, y), (x + w, y + h), tuple(int(v) for v in rng.integers(90, 256, 3)), -1)
        cv2.rectangle(sheet, (x, y), (x + w, y + h), ink, 1)
        cv2.putText(sheet, str(rng.choice(_WORDS)), (x + 6, y + 14), 0, 0.45, ink, 1, cv2.LINE_AA)
    return sheet


def _chart(rng: np.random.Generator) -> np.ndarray:
    sheet, ink = _paper(rng)
    height, width = sheet.shape[:2]
    cv2.line(sheet, (40, height - 30), (width - 10, height - 30), ink, 1)
    cv2.line(sheet, (40, 10), (40, height - 30), ink, 1)
    for _ in range(int(rng.integers(1, 5))):
        steps = np.cumsum(rng.normal(size=60))
        steps = (steps - steps.min()) / max(float(np.ptp(steps)), 1e-6)
        points = np.stack([np.linspace(40, width - 10, 60), 15 + (height - 60) * steps], axis=1).astype(np.int32)
        cv2.polylines(sheet, [points], False, tuple(int(v) for v in rng.integers(0, 256, 3)), 2, cv2.LINE_AA)
    return sheet


def _chessboard(rng: np.random.Generator) -> np.ndarray:
    cells, side = int(rng.integers(4, 16)), int(rng.integers(12, 48))
    board = (np.indices((cells, cells)).sum(axis=0) % 2).astype(np.uint8)
    low, high = int(rng.integers(0, 100)), int(rng.integers(150, 256))
    return np.kron(low + board * (high - low), np.ones((side, side), np.uint8)).astype(np.uint8)


def _code(rng: np.random.Generator) -> np.ndarray:
    cells, side = int(rng.integers(21, 45)), int(rng.integers(5, 14))
    code = np.kron(rng.integers(0, 2, (cells, cells), dtype=np.uint8) * 255, np.ones((side, side), np.uint8))
    return np.pad(code, 4 * side, constant_values=255)


def _table(rng: np.random.Generator) -> np.ndarray:
    sheet, ink = _paper(rng, colour=False)
    height, width = sheet.shape[:2]
    for x in range(10, width, int(rng.integers(50, 120))):
        for y in range(20, height, 22):
            cv2.putText(sheet, f"{rng.uniform(0, 999):.1f}", (x, y), 0, 0.4, ink, 1, cv2.LINE_AA)
            cv2.line(sheet, (0, y + 6), (width, y + 6), ink, 1)
    return sheet


def _stripes(rng: np.random.Generator) -> np.ndarray:
    height, width = (int(side) for side in rng.integers(150, 500, 2))
    y, x = np.mgrid[0:height, 0:width]
    angle, period = rng.uniform(0, np.pi), rng.uniform(8, 60)
    wave = np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / period)
    return ((wave > 0) * 255 if rng.random() < 0.5 else 127 + 127 * wave).astype(np.uint8)


def _pink_noise(rng: np.random.Generator) -> np.ndarray:
    """Power falls with frequency, as in photographs of nothing in particular."""
    side = int(rng.integers(128, 400))
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
    frequency[0, 0] = 1
    spectrum = np.fft.rfft2(rng.normal(size=(side, side))) / frequency ** rng.uniform(0.8, 1.6)
    noise = np.fft.irfft2(spectrum, s=(side, side))
    return np.clip(128 + 50 * (noise - noise.mean()) / noise.std(), 0, 255).astype(np.uint8)
