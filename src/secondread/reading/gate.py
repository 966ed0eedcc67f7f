"""Whether an image may be read at all: checks that need no learning, and what was learnt of wrong pictures."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from secondread.errors import BundleDamaged, BundleForeign
from secondread.files import write_folder
from secondread.images import Halves, Image, Prepared, PrepareSpec, prepare
from secondread.reading import reasons
from secondread.reading.onnx_file import MOST_BYTES, check_network
from secondread.reading.reading import Refusal
from secondread.reading.reasons import tell
from secondread.reading.record import check_prepare, read_bytes, read_record, record_hash
from secondread.reading.session import Session, open_session
from secondread.tasks import N_, Task, body_parts, intent_said, known_parts, load_task, modality_said

_MIN_SIDE = 32  # pixels; below it nothing a reader looks for can be seen
_MIN_SPREAD = 8  # grey levels between the 2nd and the 98th percentile of the model's input
# modalities that devices and converters write when they do not know
_NOT_SAYING = frozenset({"", "OT", "SC", "UNKNOWN"})


def check_size(image: Image) -> Refusal | None:
    """Refuse what is too small, whatever it shows."""
    if min(image.width, image.height) >= _MIN_SIDE:
        return None
    return Refusal("too_small", tell(reasons.TOO_SMALL, width=image.width, height=image.height, least=_MIN_SIDE))


def check_image(image: Image, task: Task) -> Refusal | None:
    """Refuse what is too small, or what its DICOM facts say is something else."""
    if small := check_size(image):
        return small
    modality = image.modality.upper()
    if modality not in _NOT_SAYING and modality not in task.dicom_modalities:
        said = modality_said(modality)  # what is no word of the standard may be anything, a name too
        sentence = reasons.OTHER_MODALITY if said else reasons.NO_MODALITY
        values = {"reads": task.modality, "modalities": ", ".join(task.dicom_modalities)}
        return Refusal("wrong_kind", tell(sentence, said=said, **values))
    for part in image.parts:
        if part not in task.dicom_body_parts and part in known_parts():  # what is no word of DICOM is for the gate
            meaning = body_parts().get(part, "")
            named = f"{part} ({meaning})" if meaning and meaning.upper() != part else part
            return Refusal("wrong_part", tell(reasons.OTHER_PART, said=named, reads=task.body_part))
    return _outside_use(image, task)


def _outside_use(image: Image, task: Task) -> Refusal | None:
    """Refuse what the header says of view, age or purpose, where the task's file leaves it out."""
    other = [view for view in image.views if view not in task.dicom_views] if task.dicom_views else []
    if other:
        return Refusal("outside_use", tell(reasons.OTHER_VIEW, said=other[0], task=task.name, reads=task.view))
    if task.dicom_intents and image.intent and image.intent not in task.dicom_intents:
        said = intent_said(image.intent)
        sentence = reasons.OTHER_INTENT if said else reasons.NO_INTENT
        return Refusal("outside_use", tell(sentence, said=said, wanted=task.dicom_intents[0]))
    if image.age is not None and image.age < task.least_age:
        return Refusal("outside_use", tell(reasons.TOO_YOUNG, age=task.least_age, task=task.name))
    return None


def header_warnings(image: Image, task: Task) -> tuple[str, ...]:
    """What the header says that a reader of the answer should know."""
    young = image.age is not None and image.age < task.measured_from_age
    return (N_("the file says that the patient is a child, and this task was not measured on children"),) * young


def check_prepared(prepared: Prepared) -> Refusal | None:
    """Refuse what holds no picture: one grey from edge to edge."""
    counts = cv2.calcHist([prepared.pixels.reshape(-1)], [0], None, [256], [0, 256])  # a quarter of np.bincount's time
    shares = np.cumsum(counts, dtype=np.float64) / prepared.pixels.size
    low, high = np.searchsorted(shares, [0.02, 0.98])  # percentiles; a histogram costs a tenth of sorting
    if high - low < _MIN_SPREAD:
        return Refusal("blank", reasons.BLANK)
    return None


FORMAT, VERSION = "secondread-gate", 1
_MODEL, _RECORD = "gate.onnx", "gate.json"
_SHIPPED = Path(__file__).parents[1] / "bundles" / "gate"
_OTHER, _INVERTED, _TURNED = "other", "inverted", "turned"
# What else a gate may know by name: what it looks like, the modalities of such a picture, and the task that reads the
# same part of the body in another way, where there is one.
_LOOKS: dict[str, tuple[str, frozenset[str], str]] = {
    "ct": (N_("CT slice"), frozenset(), ""),
    "mri": (N_("MRI slice of another part of the body"), frozenset({"MR"}), ""),
    "lateral": (N_("chest film from the side"), frozenset({"CR", "DX"}), "tuberculosis"),
    "child": (N_("chest film of a child"), frozenset({"CR", "DX"}), "tuberculosis"),
    "skull": (N_("film of the skull"), frozenset({"CR", "DX"}), ""),
    "ultrasound": (N_("ultrasound image"), frozenset(), ""),
}


@dataclass(frozen=True, eq=False)
class Verdict:
    """What the gate makes of one picture."""

    kinds: tuple[str, ...]
    probabilities: np.ndarray  # (kinds,)
    distances: np.ndarray  # (2, tasks): to the nearest source that taught the gate, at two depths

    @property
    def kind(self) -> str:
        """The likeliest: a task's name, or one of what no task reads."""
        return self.kinds[int(self.probabilities.argmax())]


@dataclass(frozen=True)
class Limits:
    """What a picture must keep to, to be read for a task."""

    probability: float  # of the task's kind, at least
    distance_low: float  # to the nearest source at either depth, at most
    distance_high: float


@dataclass(frozen=True, eq=False)
class Gate:
    """A trained gate. Safe to share between threads."""

    record: Mapping[str, Any]
    session: Session

    @property
    def id(self) -> str:
        """The first eight digits of its hash."""
        return str(self.record["sha256"])[:8]

    @cached_property
    def spec(self) -> PrepareSpec:
        """The preprocessing that it was trained with."""
        return PrepareSpec.from_dict(self.record["prepare"])

    @cached_property
    def kinds(self) -> tuple[str, ...]:
        """What it tells apart: tasks, 'other', 'inverted', and where it was taught so 'turned' and kinds by name."""
        return tuple(self.record["kinds"])

    @cached_property
    def limits(self) -> dict[str, Limits]:
        """Of every task that it was taught."""
        return {task: Limits(**table) for task, table in self.record["thresholds"].items()}

    def judge(self, image: Image, *, halves: Halves | None = None) -> Verdict:
        """Look at a picture once; `refusal` and `task_of` read the verdict. halves: of the image, as of `prepare`."""
        pixels = prepare(image, self.spec, halves=halves).pixels[None]
        logits, distances = self.session.run(["logits", "distances"], {"image": pixels})
        shifted = np.exp(logits[0] - logits[0].max())  # softmax; SciPy takes longer to import than an image to read
        return Verdict(self.kinds, shifted / shifted.sum(), distances[0])

    def knows(self, task: Task) -> bool:
        """Whether it was taught this task, or the one it is asked after; a task of the user's own it was not."""
        return _kind_of(task) in self.limits

    def refusal(self, verdict: Verdict, task: Task) -> Refusal | None:
        """Why this picture may not be read for that task, or None."""
        kind = _kind_of(task)
        limits = self.limits[kind]
        index = verdict.kinds.index(kind)
        low, high = verdict.distances[:, index]
        if verdict.probabilities[index] < limits.probability and verdict.kind != kind:
            return self._of_another_kind(verdict.kind, task)
        if self._looks_inverted(verdict, index):
            return self._of_another_kind(_INVERTED, task)
        far = low > limits.distance_low or high > limits.distance_high
        if far or verdict.probabilities[index] < limits.probability:
            return Refusal("unlike_training", tell(reasons.UNLIKE_TRAINING, reads=task.modality))
        return None

    def task_of(self, verdict: Verdict) -> str | None:
        """The likeliest task, if its gate lets the picture pass; else None."""
        tasks = [kind for kind in verdict.kinds if kind in self.limits]
        likeliest = max(tasks, key=lambda task: verdict.probabilities[verdict.kinds.index(task)])
        return likeliest if self.refusal(verdict, load_task(likeliest)) is None else None

    def way_up(self, verdict: Verdict) -> Refusal | None:
        """Why a picture whose task nobody names is of none: it lies turned, or bright and dark are swapped; or None."""
        upright = self.record.get("upright", ())
        if verdict.kind == _INVERTED or (verdict.kind == _TURNED and upright):
            return self._of_another_kind(verdict.kind, load_task(upright[0] if upright else next(iter(self.limits))))
        return None

    def seen(self, verdict: Verdict, facts: str) -> str:
        """What a picture that no task reads looks like, behind the sentence on what its file says."""
        kind = verdict.kind
        if kind in _LOOKS and kind in self.record.get("named", ()):
            return tell(reasons.AND_LOOKS, facts=facts, looks=_LOOKS[kind][0])
        if kind in self.limits:
            return tell(reasons.AND_IS_UNLIKE, facts=facts, looks=load_task(kind).modality)
        return tell(reasons.AND_LOOKS_LIKE_NONE, facts=facts)

    def _looks_inverted(self, verdict: Verdict, index: int) -> bool:
        """Whether the picture is likelier an inverted one than the task's own, where the gate was measured so."""
        share = self.record.get("inverted_from")
        if share is None:
            return False
        inverted = verdict.probabilities[verdict.kinds.index(_INVERTED)]
        return bool(inverted >= share * (inverted + verdict.probabilities[index]))

    def _of_another_kind(self, kind: str, task: Task) -> Refusal:
        """A picture for another task, of no kind that is read, with bright and dark swapped, or turned."""
        upright = self.record.get("upright", ())
        if kind == _INVERTED:
            return Refusal("inverted", reasons.INVERTED)
        if kind == _TURNED and _kind_of(task) in upright:
            return Refusal("turned", reasons.TURNED)
        if kind in _LOOKS and kind in self.record.get("named", ()):
            return _of_a_named_kind(kind, task)
        if kind == _OTHER or kind in _LOOKS:
            return Refusal("wrong_kind", tell(reasons.NOT_LIKE_IT, reads=task.modality))
        other = load_task(upright[0] if kind == _TURNED else kind)
        part = set(other.dicom_modalities) & set(task.dicom_modalities)  # the same kind of film, of another part
        return Refusal(
            "wrong_part" if part else "wrong_kind",
            tell(reasons.LOOKS_LIKE, looks=other.modality, reads=task.modality),
        )


@cache
def shipped_gate() -> Gate | None:
    """The gate that comes with the package; None where there is none."""
    return load_gate(_SHIPPED) if (_SHIPPED / _RECORD).is_file() else None


def load_gate(folder: Path) -> Gate:
    """A gate from its folder, checked against its hashes. Raises BundleForeign or BundleDamaged."""
    record = read_record(folder / _RECORD, format_name=FORMAT, version=VERSION)
    path = folder / _MODEL
    model = read_bytes(path, most=MOST_BYTES)
    if hashlib.sha256(model).hexdigest() != record.get("model_sha256"):
        raise BundleDamaged(f"{path} is not the file that was written; copy the gate again")
    if folder != _SHIPPED:
        return _checked(path, record, model)
    return Gate(record, _session(model))


def _session(model: bytes) -> Session:
    """With one thread: at 96 pixels a side a second one is waited for longer than it works."""
    return open_session(model, bounded=True, threads=1)


def _checked(path: Path, record: Mapping[str, Any], model: bytes) -> Gate:
    """Of a gate that does not come with the package. Raises BundleForeign."""
    try:
        check_prepare(record["prepare"])
        spec = PrepareSpec.from_dict(record["prepare"])
        check_network(model, size=spec.size, channels=spec.channels, outputs=("logits", "distances"))
        gate = Gate(record, _session(model))
        if not set(gate.limits) <= set(gate.kinds) or not gate.limits:
            raise ValueError("it has limits for what it does not know")
        shape = {one.name: one.shape for one in gate.session.get_outputs()}
        if shape["logits"][1:] != [len(gate.kinds)] or shape["distances"][1:2] != [2]:
            raise ValueError("its network tells other kinds apart than its record names")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BundleForeign(
            f"{path.parent} is no gate that can be used: {error}; train it with this program"
        ) from error
    return gate


def write_gate(folder: Path, *, record: Mapping[str, Any], model: bytes) -> None:
    """Write a gate aside, then rename it into place."""
    full = {"format": FORMAT, "version": VERSION, **record, "model_sha256": hashlib.sha256(model).hexdigest()}
    full["sha256"] = record_hash(full)
    text = json.dumps(full, indent=1, ensure_ascii=False) + "\n"
    write_folder(folder, {_MODEL: model, _RECORD: text.encode()}, marker=_RECORD)


def _kind_of(task: Task) -> str:
    """What the gate calls this task's pictures: two tasks may read the same ones."""
    return task.asked_after or task.name


def _of_a_named_kind(kind: str, task: Task) -> Refusal:
    """What it looks like, and whether it is another kind of picture or the same kind of another part."""
    looks, modalities, same_part = _LOOKS[kind]
    another_part = bool(modalities & set(task.dicom_modalities)) and same_part != _kind_of(task)
    sentence = reasons.LOOKS_OF_ANOTHER_VIEW if same_part == _kind_of(task) else reasons.LOOKS_LIKE
    told = tell(sentence, looks=looks, reads=task.modality, view=task.view)
    return Refusal("wrong_part" if another_part else "wrong_kind", told)
