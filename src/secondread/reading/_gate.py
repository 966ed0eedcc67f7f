"""Whether an image may be read at all: the checks that need no learning."""

from functools import cache

import numpy as np

from secondread.images import Image, Prepared
from secondread.reading._reading import Refusal
from secondread.tasks import Task, list_tasks, load_task

_MIN_SIDE = 32  # pixels; below it nothing a reader looks for can be seen
_MIN_SPREAD = 8  # grey levels between the 2nd and the 98th percentile of the model's input
# modalities that devices and converters write when they do not know
_NOT_SAYING = frozenset({"", "OT", "SC", "UNKNOWN"})


def check_image(image: Image, task: Task) -> Refusal | None:
    """Refuse what is too small, or what its DICOM facts say is something else."""
    if min(image.width, image.height) < _MIN_SIDE:
        return Refusal(
            "too_small",
            f"the image has {image.width} × {image.height} pixels; at least {_MIN_SIDE} on each side are needed: "
            "send the original",
        )
    modality = image.modality.upper()
    if modality not in _NOT_SAYING and modality not in task.dicom_modalities:
        return Refusal(
            "wrong_kind",
            f"the file says modality {modality}; this task reads a {task.modality}: {', '.join(task.dicom_modalities)}",
        )
    part = image.body_part.upper().replace(" ", "")
    if part not in task.dicom_body_parts and part in _parts_of_other_tasks(task.name):
        return Refusal("wrong_part", f"the file says body part {part}; this task reads: {task.body_part}")
    return None


def check_prepared(prepared: Prepared) -> Refusal | None:
    """Refuse what holds no picture: one grey from edge to edge."""
    shares = np.cumsum(np.bincount(prepared.pixels.ravel(), minlength=256)) / prepared.pixels.size
    low, high = np.searchsorted(shares, [0.02, 0.98])  # percentiles; a histogram costs a tenth of sorting
    if high - low < _MIN_SPREAD:
        return Refusal(
            "blank", "the image is blank (nearly one grey throughout); check the export and send the picture itself"
        )
    return None


@cache
def _parts_of_other_tasks(task: str) -> frozenset[str]:
    return frozenset(part for name in list_tasks() if name != task for part in load_task(name).dicom_body_parts)
