"""The learned part of the gate: what kind of picture this is, and how far it lies from what was taught."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from secondread.errors import BundleDamaged
from secondread.images import Image, PrepareSpec, prepare
from secondread.reading._files import read_record, record_hash, write_folder
from secondread.reading._reading import Refusal
from secondread.reading._session import open_session
from secondread.tasks import Task, load_task

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

FORMAT, VERSION = "secondread-gate", 1
_MODEL, _RECORD = "gate.onnx", "gate.json"
_SHIPPED = Path(__file__).parents[1] / "bundles" / "gate"
_OTHER, _INVERTED = "other", "inverted"


@dataclass(frozen=True, eq=False)
class Verdict:
    """What the gate makes of one picture."""

    kinds: tuple[str, ...]
    probabilities: np.ndarray  # (kinds,)
    distances: np.ndarray  # (2, tasks): to the nearest source that taught the gate, at two depths

    @property
    def kind(self) -> str:
        """The likeliest: a task's name, 'other' or 'inverted'."""
        return self.kinds[int(self.probabilities.argmax())]


@dataclass(frozen=True, eq=False)
class Gate:
    """A trained gate. Safe to share between threads."""

    record: Mapping[str, Any]
    session: "InferenceSession"

    @property
    def id(self) -> str:
        """The first eight digits of its hash."""
        return str(self.record["sha256"])[:8]

    @cached_property
    def spec(self) -> PrepareSpec:
        """The preprocessing that it was trained with."""
        return PrepareSpec.from_dict(self.record["prepare"])

    def judge(self, image: Image) -> Verdict:
        """Look at a picture once; `refusal` and `task_of` read the verdict."""
        pixels = prepare(image, self.spec).pixels[None]
        logits, distances = self.session.run(["logits", "distances"], {"image": pixels})
        shifted = np.exp(logits[0] - logits[0].max())
        return Verdict(tuple(self.record["kinds"]), shifted / shifted.sum(), distances[0])

    def knows(self, task: Task) -> bool:
        """Whether it was taught this task; a task of the user's own it was not."""
        return task.name in self.record["thresholds"]

    def refusal(self, verdict: Verdict, task: Task) -> Refusal | None:
        """Why this picture may not be read for that task, or None."""
        limits = self.record["thresholds"][task.name]
        index = verdict.kinds.index(task.name)
        low, high = verdict.distances[:, index]
        if verdict.probabilities[index] < limits["probability"] and verdict.kind != task.name:
            return _of_another_kind(verdict.kind, task)
        far = low > limits["distance_low"] or high > limits["distance_high"]
        if far or verdict.probabilities[index] < limits["probability"]:
            return Refusal(
                "unlike_training",
                f"this is unlike every {task.modality} that was learnt from, so an answer could not be trusted; "
                "a qualified reader must look at it",
            )
        return None

    def task_of(self, verdict: Verdict) -> str | None:
        """The likeliest task, if its gate lets the picture pass; else None."""
        tasks = [kind for kind in verdict.kinds if kind in self.record["thresholds"]]
        likeliest = max(tasks, key=lambda task: verdict.probabilities[verdict.kinds.index(task)])
        return likeliest if self.refusal(verdict, load_task(likeliest)) is None else None


@cache
def shipped_gate() -> Gate | None:
    """The gate that comes with the package; None where there is none."""
    return load_gate(_SHIPPED) if (_SHIPPED / _RECORD).is_file() else None


def load_gate(folder: Path) -> Gate:
    """A gate from its folder, checked against its hashes. Raises BundleForeign or BundleDamaged."""
    record = read_record(folder / _RECORD, format_name=FORMAT, version=VERSION)
    model = folder / _MODEL
    if not model.is_file() or hashlib.sha256(model.read_bytes()).hexdigest() != record["model_sha256"]:
        raise BundleDamaged(f"{model} is missing or not the file that was written; copy the gate again")
    return Gate(record, open_session(model))


def write_gate(folder: Path, *, record: Mapping[str, Any], model: bytes) -> None:
    """Write a gate aside, then rename it into place."""
    full = {"format": FORMAT, "version": VERSION, **record, "model_sha256": hashlib.sha256(model).hexdigest()}
    full["sha256"] = record_hash(full)
    text = json.dumps(full, indent=1, ensure_ascii=False) + "\n"
    write_folder(folder, {_MODEL: model, _RECORD: text.encode()}, marker=_RECORD)


def _of_another_kind(kind: str, task: Task) -> Refusal:
    """A picture for another task, of no kind that is read, or with bright and dark swapped."""
    if kind == _INVERTED:
        return Refusal("inverted", "bright and dark look swapped; invert the image, or send the original file")
    if kind == _OTHER:
        return Refusal("wrong_kind", f"this does not look like a {task.modality}; send one, or choose another task")
    other = load_task(kind)
    part = set(other.dicom_modalities) & set(task.dicom_modalities)  # the same kind of film, of another part
    return Refusal(
        "wrong_part" if part else "wrong_kind", f"this looks like a {other.modality}; this task reads a {task.modality}"
    )
