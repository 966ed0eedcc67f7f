"""A site's rules: which objects are read, by which task, and where results go. The first that fits decides.

They are a TOML file of [[rule]] tables; the package's own (default-rules.toml) follow after a site's:

    [[rule]]
    name = "chest radiographs of adults"
    when = { modality = ["CR", "DX"], body_part = "CHEST", age = { least = 15 } }
    then = "read"                       # or "ignore", "refuse"
    task = "tuberculosis"               # default: auto, which the header decides
    send_to = ["PACS@10.0.0.5:104"]     # default: where the node sends everything

What is asked of text is a pattern of the shell (`*` any letters), whatever its capitals; of several, one must fit.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from importlib.resources import files
from pathlib import Path
from typing import Any

from secondread.dicom.destinations import Destination
from secondread.dicom.header import Header
from secondread.errors import CannotOpen, UnknownName, UsageError
from secondread.tasks import list_tasks

ACTIONS = ("read", "ignore", "refuse")
UNITS = ("image", "series")
AUTO = "auto"
_NUMBERS = {"age": "age", "frames": "n_frames"}
_FLAGS = {"pixels": "has_pixels"}
_NAMED = {one.name: one.name for one in fields(Header) if one.name not in (*_NUMBERS.values(), *_FLAGS.values())}
_CONDITIONS = sorted({*_NAMED, *_NUMBERS, *_FLAGS})
_KEYS = ("name", "when", "then", "task", "operating_point", "unit", "send_to", "reason")


@dataclass(frozen=True)
class Bounds:
    """Of a number: at least, at most; None for no bound. An unknown number fits no bound."""

    least: int | None = None
    most: int | None = None

    def fits(self, value: int | None) -> bool:
        """Whether the number is known and between."""
        if value is None:
            return False
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)


@dataclass(frozen=True)
class Rule:
    """What is asked of an object, and what is done with one that fits."""

    name: str
    then: str = "read"
    task: str = AUTO
    operating_point: str = ""
    unit: str = "image"
    send_to: tuple[str, ...] | None = None  # None: where the node sends everything
    reason: str = ""
    patterns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # field of Header → patterns in capitals
    bounds: Mapping[str, Bounds] = field(default_factory=dict)
    flags: Mapping[str, bool] = field(default_factory=dict)

    def fits(self, header: Header) -> bool:
        """Whether all that is asked is so."""
        return (
            all(_matches(getattr(header, name), wanted) for name, wanted in self.patterns.items())
            and all(bounds.fits(getattr(header, name)) for name, bounds in self.bounds.items())
            and all(getattr(header, name) is wanted for name, wanted in self.flags.items())
        )

    @property
    def sentence(self) -> str:
        """What it does, in one line."""
        asked = [
            f"{name.replace('_', ' ')} {' or '.join(one or 'not said' for one in wanted)}"
            for name, wanted in self.patterns.items()
        ]
        asked += [f"{key} {_range(self.bounds[name])}" for key, name in _NUMBERS.items() if name in self.bounds]
        asked += [f"{'with' if self.flags[name] else 'no'} {key}" for key, name in _FLAGS.items() if name in self.flags]
        does = self.then
        if self.then == "read":
            does += f" as {self.task}" + (" by series" if self.unit == "series" else "")
            does += "" if self.send_to is None else f", results to {', '.join(self.send_to) or 'nobody'}"
        return f"{', '.join(asked) or 'anything'}: {does}" + (f" ({self.reason})" if self.reason else "")


class Rules:
    """Rules in their order. destinations: where results go for rules that do not say."""

    def __init__(self, rules: Sequence[Rule], destinations: Sequence[str] = ()):
        self.rules = tuple(rules)
        self.destinations = tuple(destinations)

    def decide(self, header: Header) -> Rule:
        """The first rule that fits."""
        return next(rule for rule in self.rules if rule.fits(header))

    def destinations_of(self, rule: Rule) -> tuple[str, ...]:
        """Where the results of what this rule reads go."""
        return self.destinations if rule.send_to is None else rule.send_to

    def all_destinations(self) -> tuple[str, ...]:
        """Every place that any rule sends to."""
        return tuple(dict.fromkeys((*self.destinations, *(one for rule in self.rules for one in rule.send_to or ()))))


def load_rules(path: Path | None = None, *, destinations: Sequence[str] = ()) -> Rules:
    """A site's rules, if any, and the package's own after them. Raises CannotOpen, UsageError, UnknownName."""
    own: list[Rule] = []
    if path is not None:
        try:
            own = parse_rules(path.read_text(encoding="utf-8"), f"'{path}'")
        except OSError as error:
            raise CannotOpen(f"cannot read the rules '{path}': {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise UsageError(f"'{path}' is not text in UTF-8") from error
    default = (files("secondread.dicom") / "default-rules.toml").read_text(encoding="utf-8")
    places = [str(Destination.parse(one)) for one in destinations]
    loops, *after = parse_rules(default, "default-rules.toml")  # nothing of ours is read again, whatever a site writes
    return Rules([loops, *own, *after], places)


def parse_rules(text: str, where: str) -> list[Rule]:
    """The rules of a TOML text. where: what it is called in errors. Raises UsageError, UnknownName."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{where} is not TOML: {error}") from error
    for key in table:
        if key != "rule":
            raise UnknownName.of(f"table in {where}:", key, ["rule"])
    rows = table.get("rule", [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UsageError(f"{where}: write each rule as a table of its own, under [[rule]]")
    found = [_rule(row, number, where) for number, row in enumerate(rows, 1)]
    names = [rule.name for rule in found]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"{where}: two rules are named '{name}'; the trail tells them apart by their names")
    return found


def _rule(row: Mapping[str, Any], number: int, where: str) -> Rule:
    at = f"{where}, rule {number}"
    name = _text(row, "name", at)
    if not name or len(name) > 100:
        raise UsageError(f"{at}: give it a name of 1 to 100 letters")
    at = f"{where}, rule '{name}'"
    for key in row:
        if key not in _KEYS:
            raise UnknownName.of(f"key in {at}:", key, _KEYS)
    then = _one_of(row, "then", ACTIONS, at, default="")
    if not then:
        raise UsageError(f'{at}: say what is done with such objects, as then = "read"; known: {", ".join(ACTIONS)}')
    if then != "read":
        for key in ("task", "operating_point", "unit", "send_to"):
            if key in row:
                raise UsageError(f"{at}: {key} is for objects that are read, and these are not; leave it out")
    when = row.get("when", {})
    if not isinstance(when, dict):
        raise UsageError(f'{at}: write what is asked as when = {{ modality = "CR" }}')
    for key in when:
        if key not in _CONDITIONS:
            raise UnknownName.of(f"condition in {at}:", key, _CONDITIONS)
    return Rule(
        name=name,
        then=then,
        task=_one_of(row, "task", (AUTO, *list_tasks()), at, default=AUTO),
        operating_point=_text(row, "operating_point", at),
        unit=_one_of(row, "unit", UNITS, at, default="image"),
        send_to=_places(row, at),
        reason=_text(row, "reason", at),
        patterns={_NAMED[key]: _patterns(value, key, at) for key, value in when.items() if key in _NAMED},
        bounds={_NUMBERS[key]: _bounds(value, key, at) for key, value in when.items() if key in _NUMBERS},
        flags={_FLAGS[key]: _flag(value, key, at) for key, value in when.items() if key in _FLAGS},
    )


def _matches(said: str | Sequence[str], patterns: Sequence[str]) -> bool:
    words = [said] if isinstance(said, str) else [*said] or [""]
    return any(fnmatchcase(word, pattern) for word in words for pattern in patterns)


def _text(row: Mapping[str, Any], key: str, at: str) -> str:
    value = row.get(key, "")
    if not isinstance(value, str):
        raise UsageError(f"{at}: {key} is {value!r}; write it in quotes")
    return value.strip()


def _one_of(row: Mapping[str, Any], key: str, known: Sequence[str], at: str, *, default: str) -> str:
    value = _text(row, key, at) or default
    if value and value not in known:
        raise UnknownName.of(f"{key} in {at}:", value, known)
    return value


def _patterns(value: Any, key: str, at: str) -> tuple[str, ...]:
    wanted = [value] if isinstance(value, str) else value
    if not isinstance(wanted, list) or not wanted or not all(isinstance(one, str) for one in wanted):
        raise UsageError(f'{at}: {key} is {value!r}; write it as "WORD" or ["ONE", "OTHER"]')
    return tuple(one.strip().upper() for one in wanted)


def _bounds(value: Any, key: str, at: str) -> Bounds:
    if not isinstance(value, dict) or not value or not set(value) <= {"least", "most"}:
        raise UsageError(f"{at}: write {key} as {{ least = 15 }}, {{ most = 90 }} or both")
    if not all(isinstance(one, int) and not isinstance(one, bool) for one in value.values()):
        raise UsageError(f"{at}: the bounds of {key} are whole numbers")
    return Bounds(**value)


def _flag(value: Any, key: str, at: str) -> bool:
    if not isinstance(value, bool):
        raise UsageError(f"{at}: {key} is true or false, not {value!r}")
    return value


def _places(row: Mapping[str, Any], at: str) -> tuple[str, ...] | None:
    if "send_to" not in row:
        return None
    value = row["send_to"]
    places = [value] if isinstance(value, str) else value
    if not isinstance(places, list) or not all(isinstance(one, str) for one in places):
        raise UsageError(f'{at}: send_to is {value!r}; write it as ["AET@HOST:PORT"]')
    try:
        return tuple(str(Destination.parse(one)) for one in places)
    except UsageError as error:
        raise UsageError(f"{at}: {error}") from error


def _range(bounds: Bounds) -> str:
    words = (("from", bounds.least), ("to", bounds.most))
    return " ".join(f"{word} {value}" for word, value in words if value is not None)
