"""An estimate with its 95 % interval and the images it rests on: the one form, and the one way to write it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

_KEYS = ("value", "low", "high")
_MORE = ("n", "n_groups", "n_effective", "reason")


@dataclass(frozen=True)
class Interval:
    """A value between two bounds, all None where nothing is defined; a bound alone is None where it is infinite."""

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int | None = None  # images; None: not said
    n_groups: int | None = None  # patients or the like; None: every image is one
    n_effective: float | None = None  # what the images are worth in independent ones
    reason: str | None = None  # why there is no value, in words

    @classmethod
    def from_dict(cls, table: "Mapping[str, Any] | Interval | None") -> "Interval":
        """From what `to_dict` gives, other keys left aside; None is an interval of nothing."""
        if isinstance(table, Interval):
            return table
        return cls(None) if table is None else cls(**{key: table.get(key) for key in (*_KEYS, *_MORE)})

    def to_dict(self) -> dict[str, Any]:
        """For JSON: value, low and high with six decimals, None for what is infinite; then what else is known."""
        ends = {key: _rounded(getattr(self, key)) for key in _KEYS}
        return ends | {key: getattr(self, key) for key in _MORE if getattr(self, key) is not None}

    @property
    def too_few(self) -> bool:
        """Whether nothing can be said of how sure the value is: one image, one group, or no lower bound at all."""
        return self.value is not None and (self.n == 1 or self.n_groups == 1 or self.low is None)

    def format(self, *, scale: float = 1, digits: int = 3, too_few: str = "too few to say") -> str:
        """'0.868 (0.788–0.935)', or '0.868 (too few to say)'; a dash where nothing is defined, ∞ for no bound."""
        value, bounds = self.parts(scale=scale, digits=digits, too_few=too_few)
        return f"{value} ({bounds})" if bounds else value

    def times(self, factor: float, *, digits: int = 6) -> "Interval":
        """The interval of a multiple, rounded: 1000 makes of a share so many of 1,000."""
        value, low, high = (
            None if at is None else round(factor * at, digits) for at in (self.value, self.low, self.high)
        )
        return replace(self, value=value, low=low, high=high)

    def parts(self, *, scale: float = 1, digits: int = 3, too_few: str = "too few to say") -> tuple[str, str]:
        """The value and its bounds as text, the latter empty where nothing is defined. scale: 100 for percent."""
        if self.value is None:
            return "–", ""
        value, low, high = (
            "∞" if at is None else f"{scale * at:z.{digits}f}".replace("-", "−")
            for at in (self.value, self.low, self.high)
        )
        if self.too_few:
            return value, too_few
        return value, f"{low} to {high}" if "−" in low else f"{low}–{high}"


NOTHING = Interval(None)


def _rounded(number: float | None) -> float | None:
    return None if number is None or not isfinite(number) else round(float(number), 6)
