"""An operating point as one line of text."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from secondread.reading import OperatingPoint


def point_in_words(point: "OperatingPoint") -> str:
    """Where it decides, what it was seen to do on how many images, and what is proven of it."""
    where = f"positive above {point.threshold:.4f}"
    if point.low is not None:
        where = f"negative up to {point.low:.4f}, {where}"
    rates = {"sensitivity": point.sensitivity, "specificity": point.specificity, "uncertain": point.uncertain}
    seen = ", ".join(f"{name} {_rate(rate)}" for name, rate in rates.items() if rate and rate["value"] is not None)
    return f"operating point {point.name}: {where}; on {point.data}: {seen}; {point.chosen_by}"


def _rate(rate: Mapping[str, Any]) -> str:
    return f"{rate['value']:.3f} ({rate['low']:.3f}–{rate['high']:.3f}, n = {rate['n']})"
