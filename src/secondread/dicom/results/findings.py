"""The boxes of a reading as results draw and tell them."""

from dataclasses import dataclass

from secondread.service import StoredReading


@dataclass(frozen=True)
class Box:
    """One place that looks diseased. sides: left, top, right, bottom in pixels of the image."""

    sides: tuple[float, float, float, float]
    score: float

    @property
    def corners(self) -> list[tuple[float, float]]:
        """Around it and back to the first."""
        left, top, right, bottom = self.sides
        return [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]


def boxes_of(reading: StoredReading) -> list[Box]:
    """The strongest first; none where the bundle finds no boxes."""
    return [Box(_sides(*one["box"]), float(one["score"])) for one in reading.findings or ()]


def _sides(x: float, y: float, width: float, height: float) -> tuple[float, float, float, float]:
    return (float(x), float(y), float(x) + float(width), float(y) + float(height))
