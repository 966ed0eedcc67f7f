"""Pictures that are drawn and show nobody: films and a slice that readers take for such, for teaching and for trying.

They are far simpler than what patients bring, and what a reader answers to them says nothing of how good it is.
"""

from collections.abc import Iterable

import cv2
import numpy as np

SIDE = 384  # pixels
Grid = tuple[np.ndarray, np.ndarray]  # y and x of every pixel, from 0 to 1


def draw_chest(random_state: int = 10, *, shadows: float = 0.0) -> np.ndarray:
    """A frontal chest film, uint8 (SIDE, SIDE). shadows: how dense those in the upper lungs are; 0 for none."""
    rng = np.random.default_rng(random_state)
    y, x = grid = _grid()
    neck_and_arms = [_ellipse(grid, 0.05, 0.5, 0.25, 0.13)]
    neck_and_arms += [_ellipse(grid, 0.2, at, 0.12, 0.22, turn) for at, turn in ((0.2, 0.35), (0.8, -0.35))]
    body = _soft(np.maximum.reduce([_ellipse(grid, 0.62, 0.5, 0.62, 0.47), *neck_and_arms]), 14)
    lungs = _soft(np.maximum(_lung(grid, 0.295, -1), _lung(grid, 0.705, 1)), 7)
    hila = np.maximum(_ellipse(grid, 0.45, 0.42, 0.07, 0.035), _ellipse(grid, 0.44, 0.6, 0.07, 0.035))
    heart = np.maximum(_ellipse(grid, 0.6, 0.56, 0.16, 0.15, 0.5), _ellipse(grid, 0.42, 0.515, 0.14, 0.04))
    spine = (np.abs(x - 0.5) < 0.035) * (1 + 0.25 * (np.sin(34 * np.pi * y) > 0.2))
    shoulder_blades = np.maximum(
        _ellipse(grid, 0.33, 0.1, 0.16, 0.05, 0.25), _ellipse(grid, 0.33, 0.9, 0.16, 0.05, -0.25)
    )
    film = 8 + 117 * body - 124 * lungs + 0.53 * _vessels(rng) * lungs
    film += 21 * _soft(hila, 8) + 71 * _soft(heart, 9) + 25 * _soft(spine, 5) + 17 * _soft(shoulder_blades, 6)
    film -= 25 * _soft((np.abs(x - 0.5) < 0.018) & (y < 0.36), 4)  # the windpipe holds air
    film += 42 * _soft(_ribs(), 2) * body + 11 * _soft(_collar_bones(), 2.5) + 39 * _soft((y > 0.8) * body, 25)
    for at_y, at_x in ((0.24, 0.3), (0.3, 0.26), (0.27, 0.7), (0.35, 0.33)) if shadows else ():
        film += shadows * _cloud(grid, at_y, at_x, rng) * (lungs > 0.2)
    return _finish(255 * np.clip(film / 255, 0, 1) ** 1.36, rng)


def draw_bone(random_state: int = 1, *, gap: float = 0.0) -> np.ndarray:
    """A film of a shaft, uint8 (SIDE, SIDE). gap: half the width of a break across it, of the side; 0 for none."""
    rng = np.random.default_rng(random_state)
    y, x = _grid()
    across = np.abs(x - 0.5 - 0.04 * np.sin(3 * y))
    film = 15 + 50.0 * (across < 0.3) + 130 * (across < 0.13) - 35 * (across < 0.06)
    if gap:
        film = np.where((np.abs(y - 0.5 - 0.4 * (x - 0.5)) < gap) & (across < 0.13), 60, film)
    return np.clip(film + rng.normal(0, 3, film.shape), 0, 255).astype(np.uint8)


def draw_scene(random_state: int = 0) -> np.ndarray:
    """What a telephone might take: a house, a field and the sun, uint8 (SIDE, SIDE, 3)."""
    rng = np.random.default_rng(random_state)
    y, x = grid = _grid()
    sky = np.stack([90 + 120 * (1 - y), 140 + 80 * (1 - y), 200 + 50 * (1 - y)], axis=-1)
    things = (
        (y > 0.62, (60, 120, 50)),
        (_ellipse(grid, 0.2, 0.8, 0.08, 0.08) > 0, (250, 220, 90)),
        ((np.abs(x - 0.35) < 0.15) & (y > 0.4) & (y < 0.7), (170, 80, 60)),
        ((y > 0.2 + np.abs(x - 0.35)) & (y < 0.4), (110, 40, 30)),
    )
    for where, colour in things:
        sky[where] = colour
    return np.clip(sky + rng.normal(0, 4, sky.shape), 0, 255).astype(np.uint8)


def written_on(film: np.ndarray, text: str) -> np.ndarray:
    """The same with a word and a ring on it, as a pen leaves them."""
    marked = film.copy()
    cv2.putText(marked, text, (230, 50), cv2.FONT_HERSHEY_SIMPLEX, 1.0, 255, 3)
    cv2.circle(marked, (265, 130), 45, 255, 4)
    return marked


def smaller(film: np.ndarray, side: int) -> np.ndarray:
    """As a preview has it."""
    return cv2.resize(film, (side, side), interpolation=cv2.INTER_AREA)


def _grid() -> Grid:
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
    return (y + 0.5) / SIDE, (x + 0.5) / SIDE


def _soft(mask: np.ndarray, sigma: float) -> np.ndarray:
    """sigma: in 512ths of the side."""
    return cv2.GaussianBlur(mask.astype(np.float32), (0, 0), sigma * SIDE / 512)


def _ellipse(grid: Grid, at_y: float, at_x: float, high: float, wide: float, turn: float = 0.0) -> np.ndarray:
    y, x = grid
    across, down = np.cos(turn), np.sin(turn)
    u = (y - at_y) * across - (x - at_x) * down
    v = (y - at_y) * down + (x - at_x) * across
    return ((u / high) ** 2 + (v / wide) ** 2 < 1).astype(np.float32)


def _lung(grid: Grid, at: float, side: int) -> np.ndarray:
    y, x = grid
    whole = np.maximum(
        _ellipse(grid, 0.47, at, 0.36, 0.18, side * 0.1), _ellipse(grid, 0.22, at - side * 0.01, 0.14, 0.1)
    )
    dome = 0.74 - 0.06 * np.cos(9 * (x - at)) + (0.02 if side > 0 else 0)
    return whole * (y < dome)


def _vessels(rng: np.random.Generator) -> np.ndarray:
    """Lines that spread from both hila."""
    drawn = np.zeros((SIDE, SIDE), np.float32)
    for side, at in ((-1, 0.42), (1, 0.6)):
        for _ in range(26):
            angle, length = rng.uniform(-1.2, 1.2), rng.uniform(0.08, 0.26)
            begin = np.array([0.45 + rng.normal(0, 0.03), at])
            end = begin + length * np.array([np.sin(angle), side * np.cos(angle)])
            _line(drawn, [begin[::-1], end[::-1]], float(rng.uniform(10, 26)), 3)
    return _soft(drawn, 2.2)


def _ribs() -> np.ndarray:
    drawn = np.zeros((SIDE, SIDE), np.float32)
    for number in range(9):
        top, reach = 0.14 + 0.068 * number, 0.55 + 0.45 * min(1, (number + 2) / 7)
        for side in (-1, 1):
            rise = [(t, top - 0.03 * np.sin(t * np.pi) + 0.13 * t**2.2) for t in np.linspace(0, 1, 40)]
            back = [(0.5 + side * (0.05 + 0.37 * np.sin(t * np.pi / 2) * reach), down) for t, down in rise]
            front = [(0.5 + side * (0.42 - 0.2 * t) * reach, top + 0.1 + 0.12 * t) for t in np.linspace(0, 1, 30)]
            _line(drawn, back, 1.0, 9)
            _line(drawn, front, 0.5, 7)
    return drawn


def _collar_bones() -> np.ndarray:
    drawn = np.zeros((SIDE, SIDE), np.float32)
    for side in (-1, 1):
        course = [(0.5 + side * (0.03 + 0.36 * t), 0.185 - 0.05 * np.sin(2.6 * t)) for t in np.linspace(0, 1, 30)]
        _line(drawn, course, 1.0, 12)
    return drawn


def _cloud(grid: Grid, at_y: float, at_x: float, rng: np.random.Generator) -> np.ndarray:
    """A patchy shadow."""
    found = np.zeros((SIDE, SIDE), np.float32)
    for _ in range(9):
        centre = at_y + rng.normal(0, 0.035), at_x + rng.normal(0, 0.03)
        patch = _ellipse(grid, *centre, rng.uniform(0.012, 0.035), rng.uniform(0.012, 0.035))
        found += rng.uniform(20, 45) * _soft(patch, rng.uniform(3, 8))
    return found


def _line(canvas: np.ndarray, course: Iterable[Iterable[float]], value: float, width: float) -> None:
    """course: (x, y) from 0 to 1; width: in 512ths of the side."""
    points = np.array([[int(at * SIDE) for at in point] for point in course], np.int32)
    cv2.polylines(canvas, [points], False, value, max(1, int(width * SIDE / 512)), cv2.LINE_AA)


def _finish(film: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """With the grain of a film."""
    grain = 5.6 * _soft(rng.normal(0, 1, film.shape), 1) + rng.normal(0, 1.4, film.shape)
    return np.clip(film + grain, 0, 255).astype(np.uint8)
