"""How a network is trained, as named recipes: every default with its unit or reason; fields changed as text."""

import difflib
import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from secondread.errors import UnknownName, UsageError
from secondread.images import PrepareSpec
from secondread.tasks import AUGMENTATIONS, Task


@dataclass(frozen=True)
class Recipe:
    """What a training run does. The defaults are the seed paper's; fields of 0 or None are off.

    prepare: fields of PrepareSpec that differ from the task's own (size, trim_border, clahe, …).
    """

    name: str
    summary: str
    epochs: int = 50
    batch_size: int = 32
    prepare: dict[str, Any] = field(default_factory=dict)
    pretrained: bool = False  # start from ImageNet weights, for the networks that have them
    weights: str = ""  # file or address of the weights to start from, see `load_weights`
    weights_sha256: str = ""  # what that file must be; an address needs it

    # Optimisation
    optimizer: Literal["adam", "adamw"] = "adam"
    learning_rate: float = 0.001
    weight_decay: float = 0.0
    scheduler: Literal["cosine", "constant", "one-cycle", "plateau"] = "cosine"  # one-cycle changes it at every step
    warmup: float = 0.3  # share of the steps of 'one-cycle' that rise
    stage_decay: float = 1.0  # each stage farther from the head learns slower by this factor
    frozen_stages: int = 0  # stages nearest to the image that keep their weights
    frozen_epochs: int = 0  # epochs in which the head alone learns
    ema_decay: float = 0.0  # validated and kept are moving averages of the weights
    bfloat16: bool = False  # mixed precision where the machine computes in it; images in channels-last order
    sizes: tuple[float, ...] = (1.0,)  # progressive resizing: shares of the input size, over equal parts of the run
    keep: Literal["best", "last"] = "best"  # whose weights: those of the best validation epoch, or of the last
    balance_sources: bool = False  # every source is drawn as often as any other, with replacement
    val_from: tuple[str, ...] = ()  # sources without validation rows: a fifth of their groups validates

    # Network
    per_image: bool = False  # every image is brought to one mean and spread before the first layer
    sharpness: float = 0.0  # of the smooth maximum over places; 0: the network's own
    mixstyle: float = 0.0  # alpha; half of the batches mix the statistics of early features (Zhou et al. 2021)

    # Loss
    label_smoothing: float = 0.0
    balance: bool = False  # weights both classes alike
    prior_by_source: bool = False  # how common disease is in a source is added while learning (Menon et al. 2021)
    focal_gamma: float = 0.0  # Lin et al. 2017
    lesion_weight: float = 0.0  # of the loss on known masks and boxes, for the networks that have a lesion map
    box_weight: float = 0.0  # of the loss on known boxes, for the networks that find boxes
    draw_weight: float = 0.0  # of that loss of a part that draws beside a lesion-lite, so that its features serve both
    draw_from: tuple[str, ...] = ()  # sources whose boxes teach; none: all that have some
    lesions_from: tuple[str, ...] = ()  # splits trained on by their masks and boxes, not by their labels

    # Augmentation
    augmentations: tuple[str, ...] = AUGMENTATIONS
    rotation_degrees: float = 15.0  # each image turns by up to this much either way
    contrast: tuple[float, float] = (0.8, 1.2)  # factor about the image's own mean
    blur_share: float = 0.3  # of the images get the Gaussian filter
    blur_sigma: float = 1.0  # pixels of the input
    zoom: tuple[float, float] | None = None  # factor, drawn for either side apart within `stretch`
    stretch: float = 1.0  # the sides' factors differ by at most this ratio
    shift: float = 0.0  # share of the side, either way
    gamma: tuple[float, float] | None = None  # exponent of the grey values, drawn on a log scale
    tones: float = 0.0  # share of the images that take the distribution of grey values of another of the batch
    noise: float = 0.0  # largest standard deviation, grey levels of 255
    erase: float = 0.0  # largest share of the side of one grey rectangle (DeVries and Taylor 2017)
    coarsest: float = 0.0  # half of the images lose detail: to a side between this share and all of it, and back
    local_contrast: float = 0.0  # up to this much of a pixel's difference from its surroundings is added or taken
    fourier: float = 0.0  # half of the images take up to this share of another's amplitudes (Xu et al. 2021)
    paste: float = 0.0  # share of the images without a lesion that get a piece of another (Ghiasi et al. 2021)
    mixup: float = 0.0  # alpha of the beta distribution (Zhang et al. 2018)
    cutmix: float = 0.0  # alpha (Yun et al. 2019); with both, each takes half of the batches

    # Reading
    mirrored: bool = False  # test-time augmentation: also reads the mirror image and takes the mean; twice the time

    patience: int | None = None  # epochs without a better validation AUC before stopping; None: never
    flat_after: int = 8  # epochs without a lower validation loss: a tenth of the rate, thrice: the end ('plateau')
    least_epochs: int = 30  # no end of 'plateau' before

    def to_dict(self) -> dict[str, Any]:
        """As JSON keeps it. Without weights to start from, their fields are left out; so are those of _LATER that
        are off, so that the record of a bundle says the same as when it was trained."""
        off = {entry.name: entry.default for entry in fields(self) if entry.name in _LATER}
        return {name: value for name, value in asdict(self).items() if value != "" and value != off.get(name, ...)}


# Fields that came after the first bundles were shipped.
_LATER = (
    "keep",
    "balance_sources",
    "val_from",
    "prior_by_source",
    "per_image",
    "sharpness",
    "mixstyle",
    "coarsest",
    "local_contrast",
    "fourier",
    "paste",
    "box_weight",
    "draw_weight",
    "draw_from",
    "flat_after",
    "least_epochs",
)


_RECIPES = {
    "paper": "the seed paper's: Adam 0.001, batch 32, 50 epochs, its full set of augmentations",
    "upright": "the paper's, with only the augmentations that the task allows (no film upside down)",
    "transfer": "ImageNet weights trained further: AdamW, one cycle, bfloat16, moving average of weights, moderate "
    "augmentation",
    "best": "what the shipped bundle `best` of the task was trained with",
}
FOLDER = Path(__file__).parent / "recipes"  # what was chosen by data: TOML files


def list_recipes() -> dict[str, str]:
    """Name → one line that says what the recipe is."""
    return dict(_RECIPES)


def load_recipe(name: str, task: Task, **changes: Any) -> Recipe:
    """The recipe of that name for a task, with any field changed by keyword. Raises UnknownName.

    `paper` and `upright` are the defaults of `Recipe`; `transfer` and `best` follow the files of FOLDER.
    """
    if name not in _RECIPES:
        raise UnknownName.of("recipe", name, _RECIPES)
    recipe = Recipe(name, _RECIPES[name])
    if name != "paper":
        recipe = replace(recipe, augmentations=task.augmentations)
    if name in ("transfer", "best"):
        recipe = change_fields(recipe, _chosen("transfer"))
    if name == "best":
        recipe = change_fields(recipe, _chosen(f"{task.name}-best"))
    return replace(recipe, **{key: value for key, value in changes.items() if value is not None})


def _chosen(name: str) -> dict[str, Any]:
    """Fields of a recipe, from the file of that name; empty where there is none."""
    path = FOLDER / f"{name}.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))["recipe"] if path.is_file() else {}


def prepare_spec_of(task: Task, recipe: Recipe | None = None) -> PrepareSpec:
    """The paper's preprocessing (a square, grey or RGB as the task says), changed as the recipe says.

    Scaling to 0–1 is in the model.
    """
    changes = {} if recipe is None else recipe.prepare
    return PrepareSpec(**{"size": task.input_size, "channels": task.channels, **changes})


_PREPARE = "prepare."
_WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
_LEAST = {"epochs": 1, "batch_size": 2, "patience": 1, "flat_after": 1}  # the other numbers: 0
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
    "coarsest",
    "fourier",
    "paste",
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


def change_fields(recipe: Recipe, table: Mapping[str, Any]) -> Recipe:
    """The recipe with fields as a TOML file gives them; `prepare` stands for all steps. Raises as `change_recipe`."""
    texts = [f"{name}={_written(value)}" for name, value in table.items() if name != "prepare"]
    if "prepare" in table:
        steps = table["prepare"].items()
        texts += [f"{_PREPARE[:-1]}=none", *(f"{_PREPARE}{step}={_written(value)}" for step, value in steps)]
    return change_recipe(recipe, texts)


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
