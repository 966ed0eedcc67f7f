"""The scale that people see, 0 to 100: probability in percent, rounded so that no score contradicts its decision."""

from collections.abc import Callable

from secondread.stats.interval import Interval


def marks(threshold: float, low: float | None = None) -> tuple[int | None, int]:
    """Where a decision begins on the scale: (uncertain from, positive from), the former None without a band.

    threshold: positive above it, a probability; low: the lower end of an uncertain band that ends at the threshold.
    A mark is a whole number and belongs to what begins at it. A threshold that calls everything positive gives 0.
    """
    above = _mark(threshold)
    if low is None:
        return None, above
    above = min(100, max(above, _mark(low) + 1))  # a band narrower than a point of the scale still has one
    return min(_mark(low), above - 1), above


def score_of(probability: float, threshold: float | None = None, low: float | None = None) -> int:
    """The score of a probability, on the side of the marks that its decision is on; at most a point or two is moved.

    Without a threshold it is the nearest whole number. Higher probabilities never get a lower score.
    """
    nearest = round(100 * probability)
    if threshold is None:
        return nearest
    uncertain, positive = marks(threshold, low)
    if probability > threshold:
        return max(nearest, positive)
    if low is not None and uncertain is not None and probability > low:
        return min(max(nearest, uncertain), positive - 1)
    return min(nearest, (positive if uncertain is None else uncertain) - 1)


def ratio_in_words(found: Interval) -> str:
    """'2.9 (2.2–3.8)': two figures that count, '∞ (12–∞)' where there is no end, a dash where nothing is defined."""
    if found.value is None and found.low is None:
        return "–"
    value, low, high = ("∞" if at is None else _figures(at) for at in (found.value, found.low, found.high))
    return f"{value} ({low}–{high})"


def of_hundred(chance: float, translate: Callable[[str], str] = str) -> str:
    """How many of 100, whole; below one and above 99 it is not rounded to none or all."""
    if 0 < chance < 0.01:
        return translate("fewer than 1")
    if 0.99 < chance < 1:
        return translate("more than 99")
    return str(round(100 * chance))


def share(value: float | None, digits: int = 1) -> str:
    """A share in percent; never rounded to certainty."""
    if value is None:
        return "–"
    least = 0.5 / 10 ** (digits + 2)
    if 0 < value < least:
        return f"< {1 / 10**digits:g} %"
    if 1 - least < value < 1:
        return f"> {100 - 1 / 10**digits:g} %"
    return f"{100 * value:.{digits}f} %"


def _figures(value: float) -> str:
    if value >= 1000:
        return "> 1000"
    return f"{value:.0f}" if value >= 9.95 else f"{value:.1f}" if value >= 0.95 else f"{value:.2f}"


def _mark(threshold: float) -> int:
    """The least score of what lies above a threshold; 1 at least where anything can lie below."""
    return 0 if threshold < 0 else max(1, round(100 * threshold))
