"""Our architectures with an eighth of the channels' weights and one block a stage: every kind of layer, in a second.

As `--model tests.models.small:lesion_lite` names them.
"""

from typing import Any

from secondread.models.efficientnet_lite import EfficientNetLite
from secondread.models.lesion_boxes import LesionBoxes
from secondread.models.lesion_lite import LesionLite

_SMALL: dict[str, Any] = {"width": 0.25, "depth": 0.2}


def efficientnet_lite(**options: Any) -> EfficientNetLite:
    """Seven blocks in place of sixteen."""
    return EfficientNetLite(**_SMALL, **options)


def lesion_lite(**options: Any) -> LesionLite:
    """The same backbone, and a score for every place."""
    return LesionLite(**_SMALL, **options)


def lesion_boxes(**options: Any) -> LesionBoxes:
    """The same backbone, and boxes at every 8 pixels."""
    return LesionBoxes(**_SMALL, **options)
