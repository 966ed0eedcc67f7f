"""A bundle on disk: what data decided about a task, checked before a byte of it is believed."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from secondread.errors import BundleDamaged, BundleForeign, UnknownName
from secondread.files import write_folder, write_json, write_text
from secondread.images import PrepareSpec
from secondread.reading.lookup import RECORD, SHIPPED, find_bundle, folder_of, unknown_bundle
from secondread.reading.onnx_file import MOST_BYTES, check_network
from secondread.reading.operating_point import OperatingPoint, SeriesPoint
from secondread.reading.record import (
    MOST_TEXT,
    check_file,
    check_record,
    read_bytes,
    read_json,
    read_record,
    record_hash,
)
from secondread.stats.calibration import Calibration
from secondread.tasks import Task, load_task, task_named

FORMAT, VERSION = "secondread-bundle", 1
_MODEL, _EVIDENCE, _CARD, _TASK = "model.onnx", "evidence.json", "card.md", "task.toml"


@dataclass(frozen=True)
class ModelFacts:
    """The network in the bundle's file."""

    architecture: str
    parameters: int
    sha256: str  # of the ONNX file; of a member, of its own before it was merged


@dataclass(frozen=True)
class HeatMapFacts:
    """What the map is, and its place on the input."""

    method: str
    extent: tuple[float, float, float, float]  # left, top, right, bottom as shares of the input's side
    zero: float | None = None  # above it the map speaks for disease; None where it does not say so of places


@dataclass(frozen=True)
class BoxFacts:
    """What the boxes of a network that finds them enclose."""

    label: str  # the task's positive class


@dataclass(frozen=True)
class DataFacts:
    """The images that the bundle was made of."""

    fingerprint: str
    splits: Mapping[str, int]  # name → images
    thresholds_from: tuple[str, ...] = ()  # splits of which a share chose the thresholds besides validation
    rows: tuple[Mapping[str, Any], ...] = ()  # which of them taught and which chose; empty in records of before


@dataclass(frozen=True)
class TrainingFacts:
    """How the weights were made; of a mean of several networks, what can be said of all."""

    command: str
    recipe: Mapping[str, Any]
    random_state: int | None
    epochs_run: int
    best_epoch: int | None
    best_val_auc: float
    seconds: float
    device: str
    versions: Mapping[str, str]


@dataclass(frozen=True)
class Member:
    """One of the networks that a merged bundle was made of."""

    bundle: str
    model: ModelFacts
    prepare: Mapping[str, Any]
    training: TrainingFacts
    share: float | None = None  # of the answer; None: alike


_Facts = TypeVar("_Facts")


def _facts(kind: type[_Facts], table: Mapping[str, Any]) -> _Facts:
    """The table's entries that this kind knows; lists as tuples."""
    known = {field.name for field in fields(kind)} & set(table)  # type: ignore[arg-type]
    return kind(**{name: tuple(table[name]) if isinstance(table[name], list) else table[name] for name in known})


@dataclass(frozen=True, eq=False)
class Bundle:
    """A trained model with everything that must travel with it."""

    folder: Path
    record: Mapping[str, Any]  # bundle.json as it is; what it says is read below
    task: Task

    def __repr__(self) -> str:
        return f"<Bundle {self.id} in {str(self.folder)!r}>"

    @property
    def name(self) -> str:
        """Unique among the bundles of its task."""
        return str(self.record["name"])

    @property
    def sha256(self) -> str:
        """Of the record, and by it of the weights."""
        return str(self.record["sha256"])

    @property
    def id(self) -> str:
        """task/name@first eight digits of its hash: a new training or calibration gives a new one."""
        return f"{self.task.name}/{self.name}@{self.sha256[:8]}"

    @property
    def shipped(self) -> bool:
        """Whether it comes with the package."""
        return self.folder.is_relative_to(SHIPPED)

    @property
    def model_path(self) -> Path:
        """The ONNX file."""
        return self.folder / _MODEL

    @property
    def task_file(self) -> Path | None:
        """The task's own TOML file; None for a task that is shipped."""
        path = self.folder / _TASK
        return path if path.is_file() else None

    @cached_property
    def prepare_spec(self) -> PrepareSpec:
        """The preprocessing its weights were trained with."""
        return PrepareSpec.from_dict(self.record["prepare"])

    @cached_property
    def model(self) -> ModelFacts:
        """Its network."""
        return _facts(ModelFacts, self.record["model"])

    @cached_property
    def calibration(self) -> Calibration:
        """What makes a probability of its network's logit."""
        return Calibration.from_record(self.record)

    @cached_property
    def heatmap(self) -> HeatMapFacts:
        """Its map."""
        return _facts(HeatMapFacts, self.record["heatmap"])

    @cached_property
    def boxes(self) -> BoxFacts | None:
        """Its boxes; None for a network that finds none. The score of a box is that of a cell of the map."""
        return _facts(BoxFacts, self.record["boxes"]) if self.record.get("boxes") else None

    @cached_property
    def data(self) -> DataFacts:
        """The images it was made of."""
        return _facts(DataFacts, self.record["data"])

    @cached_property
    def training(self) -> TrainingFacts:
        """How its weights were made."""
        return _facts(TrainingFacts, self.record["training"])

    @cached_property
    def members(self) -> tuple[Member, ...]:
        """The networks it was merged of; empty for a single one."""
        return tuple(
            _facts(
                Member,
                {
                    **table,
                    "model": _facts(ModelFacts, table["model"]),
                    "training": _facts(TrainingFacts, table["training"]),
                },
            )
            for table in self.record.get("members", ())
        )

    @property
    def gate(self) -> str | None:
        """The id of the gate that it was measured with; None for a bundle without one."""
        return self.record.get("gate")

    @cached_property
    def operating_points(self) -> dict[str, OperatingPoint]:
        """By name, the default one first."""
        points = {
            name: OperatingPoint.from_record(name, table) for name, table in self.record["operating_points"].items()
        }
        for point in points.values():
            if point.weights_sha256 != self.model.sha256:
                raise BundleDamaged(
                    f"{self.folder}: operating point '{point.name}' was made for another model; measure it again"
                )
        return points

    def operating_point(self, name: str | None = None) -> OperatingPoint:
        """The one of that name, or the default. Raises UnknownName."""
        name = name or self.record["default_operating_point"]
        if name not in self.operating_points:
            raise UnknownName.of("operating point", name, self.operating_points)
        return self.operating_points[name]

    @cached_property
    def series(self) -> SeriesPoint | None:
        """What decides of several pictures together; None where it was not measured on series."""
        found = SeriesPoint.from_record(self.record["series"]) if self.record.get("series") else None
        if found is not None and found.point.weights_sha256 != self.model.sha256:
            raise BundleDamaged(f"{self.folder}: its point for series was made for another model; measure it again")
        return found

    @property
    def maps_lesions(self) -> bool:
        """Whether its heat map says of every place whether it looks diseased, so that regions can be drawn of it."""
        return self.heatmap.zero is not None

    @cached_property
    def evidence(self) -> dict[str, Any] | None:
        """What was measured of these weights, or None. Raises BundleDamaged if it speaks of other weights."""
        path = self.folder / _EVIDENCE
        if not path.is_file():
            return None
        table = read_json(path)
        if table.get("bundle") != self.id:
            raise BundleDamaged(
                f"{path} was measured on {table.get('bundle')}, not on {self.id}; run `secondread evaluate` again"
            )
        return table

    @cached_property
    def card(self) -> str:
        """The card, in Markdown; empty where there is none."""
        path = self.folder / _CARD
        return read_bytes(path, most=MOST_TEXT).decode("utf-8", "replace") if path.is_file() else ""

    def _repr_html_(self) -> str:
        """What a notebook shows: operating points and measures on bars, and the ROC curve."""
        from secondread.reading.notebook import bundle_html

        return bundle_html(self)


def named_bundle(name: str) -> Bundle:
    """As `load_bundle`, of names alone: a path is none, so what a request says may be given as it came.

    Raises UnknownName, BundleForeign or BundleDamaged.
    """
    folder = folder_of(name)
    if folder is None:
        raise unknown_bundle(name)
    return load_bundle(folder)


def load_bundle(reference: str | Path) -> Bundle:
    """The bundle, its record and weights checked against their hashes. Web and service take `named_bundle`.

    Raises CannotOpen, UnknownName, BundleForeign or BundleDamaged.
    """
    folder = find_bundle(reference)
    record = read_record(folder / RECORD, format_name=FORMAT, version=VERSION)
    try:
        check_record(record)
    except ValueError as error:
        raise BundleForeign(f"{folder / RECORD} cannot be used: {error}; train the bundle with this program") from error
    model = read_bytes(folder / _MODEL, most=MOST_BYTES)
    if hashlib.sha256(model).hexdigest() != record["model"]["sha256"]:
        raise BundleDamaged(f"{folder / _MODEL} is not the file that was written; copy the bundle again")
    bundle = Bundle(folder, record, _task_of(folder, record))
    _check_facts(bundle, model)
    return bundle


def _task_of(folder: Path, record: Mapping[str, Any]) -> Task:
    own = folder / _TASK
    if not own.is_file():
        return task_named(record["task"])
    check_file(own, most=MOST_TEXT)
    try:
        return load_task(own)
    except RecursionError as error:
        raise BundleDamaged(f"{own} cannot be read as TOML; copy the bundle again") from error


def _check_facts(bundle: Bundle, model: bytes) -> None:
    """Raise BundleForeign where a fact cannot be made of the record, or the network is one that may not be opened.

    The networks that come with the package are known; their walk would only make the first answer later.
    """
    points = bundle.record["operating_points"].items()
    try:
        _ = bundle.calibration, bundle.heatmap, bundle.model, bundle.data, bundle.training, bundle.members, bundle.boxes
        _ = [OperatingPoint.from_record(name, table) for name, table in points]
        _ = bundle.series
        spec = bundle.prepare_spec
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BundleForeign(
            f"{bundle.folder / RECORD} lacks something that a reader needs; train the bundle with this program"
        ) from error
    if bundle.shipped:
        return
    outputs = ("logit", "cam", "box") if bundle.boxes else ("logit", "cam")
    try:
        check_network(model, size=spec.size, channels=spec.depth, outputs=outputs)
    except ValueError as error:
        raise BundleForeign(f"{bundle.folder / _MODEL} cannot be used: {error}") from error


def write_bundle(folder: Path, *, record: Mapping[str, Any], model: bytes, task_file: Path | None = None) -> Bundle:
    """Write a bundle aside, rename it into place, and load it back. An older bundle in `folder` is replaced whole.

    record: everything of bundle.json but format, version and hashes. task_file: for a task that is not shipped.
    Raises BundleError if `folder` holds something that is not a bundle, or the record is none that could be read.
    """
    full = {"format": FORMAT, "version": VERSION, **record}
    full["model"] = {**record["model"], "sha256": hashlib.sha256(model).hexdigest()}
    full["sha256"] = record_hash(full)
    try:
        check_record(full)  # before what stands there is replaced
    except ValueError as error:
        hint = "; a name has 1 to 100 characters and no slash" if "'name'" in str(error) else ""
        raise BundleForeign(f"no bundle can be written to '{folder}': {error}{hint}") from error
    text = json.dumps(full, indent=1, ensure_ascii=False) + "\n"
    files = {_MODEL: model, RECORD: text.encode()}
    if task_file is not None:
        files[_TASK] = task_file.read_bytes()
    write_folder(folder, files, marker=RECORD)
    return load_bundle(folder)


def add_to_bundle(bundle: Bundle, *, evidence: Mapping[str, Any], card: str) -> None:
    """Put evidence and card, measured on this very bundle, beside its weights."""
    write_json(bundle.folder / _EVIDENCE, evidence)
    vars(bundle).pop("evidence", None)  # what was read before is out of date
    add_card(bundle, card)


def add_card(bundle: Bundle, card: str) -> None:
    """Put a card, in Markdown, beside the weights."""
    write_text(bundle.folder / _CARD, card)
    vars(bundle).pop("card", None)
