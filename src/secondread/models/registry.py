"""Networks by name: those we ship, and those that packages bring by the entry point `secondread.models`.

An entry point names a table like NETWORKS below; the zoo of this package's `lab` comes in by the same door.
"""

from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from secondread.errors import ExtraMissing, UnknownName, UsageError

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


def list_models() -> dict[str, str]:
    """Name → one line that says what the network is."""
    return {name: summary for name, (_, _, summary) in networks().items()}


def has_pretrained(name: str) -> bool:
    """Whether there are ImageNet weights for the network of that name."""
    return name in _PRETRAINED


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

    num_classes: 1 for a yes/no question (one logit). in_chans: 1 grey, 3 RGB. input_size: pixels, square.
    Raises UnknownName, UsageError for weights it lacks, or ExtraMissing without torch or the weights' package.
    """
    known = networks()
    if name not in known:
        raise UnknownName.of("model", name, known)
    if pretrained:
        if not has_pretrained(name):
            raise UsageError(f"'{name}' has no pretrained weights; networks that have: {', '.join(_PRETRAINED)}")
        options["pretrained"] = True
    module, cls, _ = known[name]
    try:
        home = import_module(module)
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "monai"):
            raise
        raise ExtraMissing.of(f"the network {name}", "lab" if error.name == "monai" else "train") from error
    return getattr(home, cls)(num_classes=num_classes, in_chans=in_chans, input_size=input_size, **options)


@cache
def networks() -> dict[str, tuple[str, str, str]]:
    found = dict(NETWORKS)
    for point in entry_points(group="secondread.models"):
        found.update(point.load())
    return found
