"""A recipe's fields as text, `FIELD=VALUE`: read with the type that the field has, and written back."""

import difflib
import math
from collections.abc import Iterable
from dataclasses import fields, replace
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from secondread.errors import UsageError
from secondread.images import PrepareSpec
from secondread.tasks import AUGMENTATIONS
from secondread.training.recipes import Recipe

_PREPARE = "prepare."
_WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
_LEAST = {"epochs": 1, "batch_size": 2, "patience": 1}  # the other numbers: 0
_ABOVE_ZERO = ("learning_rate", "stage_decay", "stretch", "sizes", "zoom", "gamma")
_AT_MOST_ONE = (
    "warmup",
    "stage_decay",
    "ema_decay",
    "sizes",
    "label_smoothing",
    "blur_share",
    "shift",
    "erase",
)


def change_recipe(recipe: Recipe, texts: Iterable[str]) -> Recipe:
    """The recipe with every `FIELD=VALUE` applied in turn.

    Numbers as usual; `true` or `false`; several values with commas, `0.8,1.2`; `none` for off or empty; a field of
    PrepareSpec as `prepare.size=192`, and `prepare=none` for the task's own preprocessing.
    Raises UsageError that lists the known fields, or says what a field takes.
    """
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"'{text}' is no change of a recipe; write FIELD=VALUE, such as learning_rate=0.0005")
        recipe = _changed(recipe, name.strip(), value.strip())
    return recipe


def changes_between(before: Recipe, after: Recipe) -> list[str]:
    """The texts that make `after` of `before`."""
    names = [field.name for field in fields(Recipe) if field.name != "prepare"]
    found = [
        f"{name}={_written(getattr(after, name))}" for name in names if getattr(after, name) != getattr(before, name)
    ]
    kept = before.prepare
    if set(kept) - set(after.prepare):
        kept, found = {}, [*found, "prepare=none"]
    return found + [
        f"{_PREPARE}{name}={_written(value)}"
        for name, value in after.prepare.items()
        if name not in kept or kept[name] != value
    ]


def known_fields() -> tuple[str, ...]:
    """Every name that may stand before the equals sign."""
    own = [field.name for field in fields(Recipe) if field.name != "prepare"]
    return (*own, "prepare", *(f"{_PREPARE}{field.name}" for field in fields(PrepareSpec)))


def _changed(recipe: Recipe, name: str, text: str) -> Recipe:
    if name not in known_fields():
        near = difflib.get_close_matches(name, known_fields(), n=1, cutoff=0.6)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise UsageError(f"a recipe has no field '{name}'; {hint}known: {', '.join(known_fields())}")
    if name == "prepare":
        if text.lower() != "none":
            raise UsageError("prepare takes 'none'; change one step with prepare.FIELD=VALUE, such as prepare.size=192")
        return replace(recipe, prepare={})
    if name.startswith(_PREPARE):
        step = name.removeprefix(_PREPARE)
        value = _read(name, text, get_type_hints(PrepareSpec)[step])
        _check(name, value, least=1 if step in ("size", "channels") else 0)
        return replace(recipe, prepare={**recipe.prepare, step: value})
    value = _read(name, text, get_type_hints(Recipe)[name])
    _check(name, value, least=_LEAST.get(name, 0))
    return replace(recipe, **{name: value})


def _read(name: str, text: str, hint: Any) -> Any:
    """The text as a value of that type."""
    kind, parts = get_origin(hint), get_args(hint)
    off = text.lower() == "none"
    if kind in (Union, UnionType):
        return None if off else _read(name, text, next(part for part in parts if part is not NoneType))
    if kind is tuple:
        return _read_tuple(name, "" if off else text, parts)
    if kind is Literal:
        if text not in parts:
            raise UsageError(f"{name} takes one of {', '.join(map(str, parts))}, not '{text}'")
        return text
    if hint is bool:
        if text.lower() not in _WORDS:
            raise UsageError(f"{name} takes true or false, not '{text}'")
        return _WORDS[text.lower()]
    if hint is str:
        return "" if off else text
    try:
        return hint(text)
    except ValueError as error:
        raise UsageError(f"{name} takes {'a whole number' if hint is int else 'a number'}, not '{text}'") from error


def _read_tuple(name: str, text: str, parts: tuple[Any, ...]) -> tuple[Any, ...]:
    words = [word.strip() for word in text.split(",")] if text else []
    if parts[-1] is not Ellipsis and len(words) != len(parts):
        raise UsageError(f"{name} takes {len(parts)} values with a comma between them, not '{text or 'none'}'")
    if name == "augmentations" and (unknown := sorted(set(words) - set(AUGMENTATIONS))):
        raise UsageError(f"there is no augmentation '{unknown[0]}'; known: {', '.join(AUGMENTATIONS)}")
    return tuple(_read(name, word, parts[0]) for word in words)


def _check(name: str, value: Any, *, least: float) -> None:
    """A number that no training can use is better refused here than found after an hour."""
    values = value if isinstance(value, tuple) else (value,)
    for number in values:
        if isinstance(number, bool) or not isinstance(number, int | float):
            continue
        too_small = number < least or (name in _ABOVE_ZERO and number <= 0)
        if not math.isfinite(number) or too_small or (name in _AT_MOST_ONE and number > 1):
            raise UsageError(f"{name} cannot be {_written(value)}: {_range(name, least)}")
    if name == "sizes" and not values:
        raise UsageError("sizes needs one share of the input size at least, such as 1.0")
    if name in ("zoom", "gamma", "contrast", "prepare.window") and value is not None and values[0] > values[1]:
        raise UsageError(f"{name} takes the lower value first, not {_written(value)}")


def _range(name: str, least: float) -> str:
    low = "it must be above 0" if name in _ABOVE_ZERO else f"it must be {least:g} or more"
    return f"{low} and 1 at most" if name in _AT_MOST_ONE else low


def _written(value: Any) -> str:
    """The text that reads back as the value."""
    if value is None or value == () or value == "":
        return "none"
    if isinstance(value, tuple | list):
        return ",".join(_written(part) for part in value)
    return str(value).lower() if isinstance(value, bool) else str(value)
