"""Networks by name: ours, those that packages bring by the entry point `secondread.models`, and MODULE:FUNCTION.

An entry point names a table like NETWORKS below, so that nothing is imported before it is asked for, or the function
(class) that makes the network; the zoo of this package's `lab` comes in by the same door.
"""

import sys
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from secondread.errors import ExtraMissing, UsageError
from secondread.extensions import Brought, gather

Network = tuple[str, str, str]  # module, class or function, what it is
NETWORKS = {  # name → module, class or function, what it is
    "lenet": (
        "secondread.models.lenet",
        "LeNet",
        "the paper's network: two 5×5 convolutions, tanh, average pools of stride 5",
    ),
    "efficientnet-lite0": (
        "secondread.models.efficientnet_lite",
        "efficientnet_lite0",
        "inverted residuals made for phones; ImageNet weights at 224 pixels",
    ),
    "efficientnet-lite1": (
        "secondread.models.efficientnet_lite",
        "efficientnet_lite1",
        "efficientnet-lite0, a tenth deeper; ImageNet weights at 240 pixels",
    ),
    "efficientnet-lite2": (
        "secondread.models.efficientnet_lite",
        "efficientnet_lite2",
        "efficientnet-lite0, a tenth wider and a fifth deeper; ImageNet weights at 260 pixels",
    ),
    "lesion-lite0": (
        "secondread.models.lesion_lite",
        "lesion_lite0",
        "efficientnet-lite0 that scores every place; the image's score is made of its places'",
    ),
    "lesion-lite1": (
        "secondread.models.lesion_lite",
        "lesion_lite1",
        "efficientnet-lite1 that scores every place; the image's score is made of its places'",
    ),
    "lesion-lite2": (
        "secondread.models.lesion_lite",
        "lesion_lite2",
        "efficientnet-lite2 that scores every place; the image's score is made of its places'",
    ),
    "lesion-boxes0": (
        "secondread.models.lesion_boxes",
        "lesion_boxes0",
        "efficientnet-lite0 that finds boxes at every 8 pixels; the image's score is its best box's",
    ),
    "lesion-boxes1": (
        "secondread.models.lesion_boxes",
        "lesion_boxes1",
        "efficientnet-lite1 that finds boxes at every 8 pixels; the image's score is its best box's",
    ),
    "lesion-boxes2": (
        "secondread.models.lesion_boxes",
        "lesion_boxes2",
        "efficientnet-lite2 that finds boxes at every 8 pixels; the image's score is its best box's",
    ),
    "plain-boxes0": (
        "secondread.models.lesion_boxes",
        "plain_boxes0",
        "lesion-boxes0 without its pyramid: boxes at every 16 pixels, to compare with",
    ),
}
_PRETRAINED = (
    *(f"{family}{size}" for family in ("efficientnet-lite", "lesion-lite", "lesion-boxes") for size in (0, 1, 2)),
    "plain-boxes0",
)


_NEEDED = ("forward_map", "geometry", "stages")  # besides calling it; see models.contract.Classifier


def list_models() -> dict[str, str]:
    """Name → one line that says what the network is."""
    return {name: summary for name, (_, _, summary) in networks().items()}


def has_pretrained(name: str) -> bool:
    """Whether there are ImageNet weights for the network of that name."""
    return name in _PRETRAINED


def check_model(name: str) -> None:
    """Raise what `create_model` would for that name, before anything is prepared; nothing large is imported for a name.

    Raises UnknownName, or UsageError for a MODULE:FUNCTION that is not there.
    """
    if ":" in name:
        _referred(name)
    else:
        _ = known_models()[name]


def create_model(
    name: str,
    *,
    num_classes: int = 1,
    in_chans: int,
    input_size: int = 128,
    pretrained: bool = False,
    **options: Any,
) -> Any:
    """A network, freshly initialised by torch's global generator, or with ImageNet weights where it has them.

    name: see `list_models`, or MODULE:FUNCTION, which is called with num_classes, in_chans and input_size.
    num_classes: 1 for a yes/no question (one logit). in_chans: 1 grey, 3 RGB. input_size: pixels, square.
    Raises UnknownName, UsageError for weights it lacks or what is no network of ours, or ExtraMissing without torch or
    the weights' package.
    """
    check_model(name)
    if pretrained:
        if not has_pretrained(name):
            raise UsageError(f"'{name}' has no pretrained weights; networks that have: {', '.join(_PRETRAINED)}")
        options["pretrained"] = True
    try:
        make = _referred(name) if ":" in name else _maker(name)
        network = make(num_classes=num_classes, in_chans=in_chans, input_size=input_size, **options)
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "monai"):
            raise
        raise ExtraMissing.of(f"the network {name}", "lab" if error.name == "monai" else "train") from error
    if lacking := [needed for needed in _NEEDED if not hasattr(network, needed)]:
        raise UsageError(f"the network '{name}' lacks {', '.join(lacking)}; see secondread.models.Classifier")
    return network


def networks() -> Mapping[str, Network]:
    """Name → module, class or function, what it is: of all that are installed."""
    return known_models().found


@cache
def known_models() -> Brought[Network]:
    """The networks by name, and what extensions bring that cannot be used."""
    return gather("models", "model", _table, shipped=NETWORKS)


def _table(name: str, named: Any) -> dict[str, Network]:
    """What an entry point brings. Raises UsageError for what is neither a table nor a function."""
    if callable(named):
        return {name: (named.__module__, named.__qualname__, (named.__doc__ or name).strip().splitlines()[0])}
    try:
        return {str(each): (str(module), str(maker), str(what)) for each, (module, maker, what) in dict(named).items()}
    except (TypeError, ValueError) as error:
        raise UsageError("must name a function, or a table: name → (module, function, what it is)") from error


def _maker(name: str) -> Callable[..., Any]:
    module, maker, _ = known_models()[name]
    return getattr(import_module(module), maker)


def _referred(name: str) -> Callable[..., Any]:
    """The function that MODULE:FUNCTION names; the module may lie in the current folder.

    Raises UsageError, or ModuleNotFoundError for torch.
    """
    module, _, function = name.partition(":")
    here = str(Path.cwd())
    sys.path.append(here)  # a program that was installed does not look there, and nothing there may hide a library
    try:
        home = import_module(module)
    except ModuleNotFoundError as error:
        if error.name in ("torch", "monai"):
            raise
        raise UsageError(f"'{name}': there is no module '{error.name}', here or installed") from error
    except Exception as error:  # the user's own code may raise anything while it is imported
        raise UsageError(
            f"'{name}': '{module}' cannot be imported ({type(error).__name__}: {error}); write MODULE:FUNCTION of a "
            "module that can, such as my_networks:create"
        ) from error
    finally:
        sys.path.remove(here)
    make = getattr(home, function, None) if function else None
    if not callable(make):
        raise UsageError(f"'{name}': the module '{module}' has no function '{function}'")
    return make
