"""Who takes part in a comparison: bundles, classical learners and ensembles, asked and timed in the same way."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from secondread.data import Manifest, PreparedSet, prepared_cache
from secondread.evidence.evidence import Prediction
from secondread.evidence.measured import read_predictions
from secondread.images import Image, prepare
from secondread.lab.ensemble import Ensemble, fit_ensemble
from secondread.lab.hospitals import Hospital
from secondread.lab.left_out import Curve, LeftOut, curve_of, groups_of, names_of, predictions_of_rows, said_of
from secondread.lab.runs import Runs, Scores
from secondread.reading import Bundle, Reader
from secondread.reading.session import open_session
from secondread.stats.calibration import Calibration, fit_calibration
from secondread.stats.interval import Interval
from secondread.tasks import Task
from secondread.training.measure import predictions_of
from secondread.training.optimise import is_flat
from secondread.training.recipe import Recipe, prepare_spec_of

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

    from secondread.lab.classical import Classical


@dataclass(frozen=True, eq=False)
class Comparison:
    """What is the same for all who take part."""

    task: Task
    manifest: Manifest
    recipe: Recipe
    threads: int = 2  # of ONNX Runtime, where time is measured
    cache_folder: Path | None = None
    hospitals: tuple[Hospital, ...] = ()  # that are left out in turn, with everyone who can be taught without them

    @cached_property
    def fingerprint(self) -> str:
        """Of the data; computed once, as every file is read for it."""
        return self.manifest.fingerprint()

    def prepared(self, split: str) -> PreparedSet:
        """A split as the recipe prepares it."""
        spec = prepare_spec_of(self.task, self.recipe)
        return prepared_cache(self.manifest.split(split), spec, folder=self.cache_folder, on_bad="raise")


class Candidate(Protocol):
    """One that gives probabilities of disease for the images of a split, and can be timed on one image."""

    name: str

    @property
    def key(self) -> dict[str, Any]:
        """What its figures hang on, known before any image is read."""
        ...

    def facts(self) -> dict[str, Any]:
        """What is said of it besides figures; asked for after `predictions`."""
        ...

    def predictions(self, split: str) -> list[Prediction]:
        """One for each image of the split, in order; calibrated on validation."""
        ...

    def without(self, hospital: Hospital) -> LeftOut | None:
        """What it says of a hospital that taught it nothing; None where it cannot be taught anew."""
        ...

    @property
    def curve(self) -> Curve | None:
        """Of its training; None where it was not kept, or it has none."""
        ...

    def prepare(self, image: Image) -> Any:
        """Its input."""
        ...

    def run(self, prepared: Any) -> Any:
        """Its answer to an input."""
        ...


class BundleCandidate:
    """A bundle, read as it is served. Where its own evidence is of these data, that stands for another reading."""

    def __init__(
        self,
        name: str,
        bundle: Bundle,
        comparison: Comparison,
        *,
        trained_here: bool,
        system: str = "",
        history: Sequence[Mapping[str, Any]] = (),
        seconds_before: float = 0.0,
        train_without: Callable[[Hospital], Scores] | None = None,
    ):
        """system: that it stands for. history: of its training, before which pretraining took seconds_before.
        train_without: trains the same on the other hospitals."""
        self.name, self.bundle, self.comparison, self.trained_here = name, bundle, comparison, trained_here
        self.system, self.curve, self._train_without = system, curve_of(history) or None, train_without
        self._seconds_before = seconds_before
        self._from_evidence: list[str] = []

    @property
    def key(self) -> dict[str, Any]:
        return {"bundle": self.bundle.id, "weights_sha256": self.bundle.model.sha256}

    def facts(self) -> dict[str, Any]:
        training, model = self.bundle.training, self.bundle.model
        return {
            "kind": "network" if self.trained_here else "bundle",
            "model": model.architecture,
            "recipe": training.recipe["name"],
            "pretrained": bool(training.recipe.get("pretrained") or training.recipe.get("weights")),
            "random_state": training.random_state,
            "system": self.system,
            "epochs": training.epochs_run,
            "best_epoch": training.best_epoch,
            "flat": None if self.curve is None else is_flat([line[2] for line in self.curve]),
            "training_seconds": round(training.seconds + self._seconds_before, 1),
            "device": training.device,
            "parameters": model.parameters,
            "onnx_bytes": self.bundle.model_path.stat().st_size,
            "weights_sha256": model.sha256,
            "prepare": self.bundle.record["prepare"],
            "also_taught_by": _also_taught_by(self.bundle),
            "from_evidence": list(self._from_evidence),
        }

    def predictions(self, split: str) -> list[Prediction]:
        part = self.comparison.manifest.split(split)
        known = self._evidence_of(split)
        if known is None:
            return predictions_of(Reader.load(self.bundle.folder), part)
        self._from_evidence.append(split)
        pairs = zip(part.rows, part.groups, strict=True)
        return [Prediction(row.name, row.label, row.source, group, *known[row.name]) for row, group in pairs]

    def without(self, hospital: Hospital) -> LeftOut | None:
        if self._train_without is None:
            return self._known_without(hospital)
        scores = self._train_without(hospital)
        history = scores.facts["history"]
        told = {"epochs": len(history), "flat": is_flat([line["val_loss"] for line in history])}
        return said_of(hospital, (scores.val, scores.measured), {**scores.facts, **told}, method="temperature")

    def _known_without(self, hospital: Hospital) -> LeftOut | None:
        """What the bundle's evidence says of networks of its recipe that were trained without that hospital."""
        section = (self.bundle.evidence or {}).get("held_out", {})
        if section.get("fingerprint") != self.comparison.fingerprint:
            return None
        for row in section["rows"]:
            if row["hospital"] == hospital.name and row["n"] == len(hospital.measured):
                told = {key: section[key] for key in ("recipe", "date", "command")}
                return LeftOut([], [], told | {"from_evidence": True}, area=Interval.from_dict(row["roc_auc"]))
        return None

    def prepare(self, image: Image) -> np.ndarray:
        return prepare(image, self.bundle.prepare_spec).pixels[None]

    def run(self, prepared: np.ndarray) -> Any:
        return self._session.run(["logit", "cam"], {"image": prepared})

    def _evidence_of(self, split: str) -> dict[str, tuple[float | None, str | None]] | None:
        """path → probability and refusal, where the evidence has every image of the split as it is now."""
        evidence = self.bundle.evidence
        if evidence is None or evidence["data"].get("fingerprint") != self.comparison.fingerprint:
            return None
        known = {row.path: (row.probability, row.refusal) for row in read_predictions(evidence, split)}
        return known if {row.name for row in self.comparison.manifest.split(split).rows} <= set(known) else None

    @cached_property
    def _session(self) -> "InferenceSession":
        return open_session(self.bundle.model_path, threads=self.comparison.threads)


def _also_taught_by(bundle: Bundle) -> list[str]:
    """What taught a bundle besides the `train` split, as 'tbx11k (localisation)', or by the split's name alone."""
    rows = [row for row in bundle.data.rows if row["role"] == "taught" and row["split"] != "train"]
    named = [f"{row['source']} ({row['split']})" for row in rows]
    return named or list(bundle.training.recipe.get("lesions_from", ()))


class ClassicalCandidate:
    """A learner of `classical`, fitted when it is first asked; Platt's scaling on validation makes it probabilities."""

    curve = None

    def __init__(self, name: str, model: str, comparison: Comparison, *, random_state: int):
        self.name, self.model, self.comparison, self.random_state = name, model, comparison, random_state

    @property
    def key(self) -> dict[str, Any]:
        spec = prepare_spec_of(self.comparison.task, self.comparison.recipe)
        return {"classical": self.model, "random_state": self.random_state, "prepare": spec.to_dict()}

    def facts(self) -> dict[str, Any]:
        learner, _, seconds = self._fitted
        return {
            "kind": "classical",
            "model": self.model,
            "system": self.model,
            "recipe": None,
            "random_state": self.random_state,
            "training_seconds": seconds,
            "device": "cpu",
            "chosen": learner.chosen,
            "cv_auc": learner.cv_auc,
            "prepare": self.key["prepare"],
        }

    def predictions(self, split: str) -> list[Prediction]:
        learner, calibration, _ = self._fitted
        part = self.comparison.manifest.split(split)
        scores = learner.scores(self.comparison.prepared(split).images)
        return predictions_of_rows(part, calibration.apply(scores))

    def without(self, hospital: Hospital) -> LeftOut:
        from secondread.lab.classical import fit_classical

        runs = Runs(self.comparison.task, self.comparison.manifest, "", self.comparison.cache_folder)
        train, val, measured = (
            runs.prepared(rows, self.comparison.recipe) for rows in (hospital.train, hospital.val, hospital.measured)
        )
        started = time.perf_counter()
        learner = fit_classical(self.model, train, groups_of(hospital.train, hospital), self.random_state)
        told = {"seconds": round(time.perf_counter() - started, 1), "chosen": learner.chosen, "device": "cpu"}
        return said_of(hospital, (learner.scores(val.images), learner.scores(measured.images)), told)

    def prepare(self, image: Image) -> np.ndarray:
        return prepare(image, prepare_spec_of(self.comparison.task, self.comparison.recipe)).pixels[None]

    def run(self, prepared: np.ndarray) -> Any:
        return self._fitted[0].scores(prepared)

    @cached_property
    def _fitted(self) -> tuple["Classical", Calibration, float]:
        """The learner, its calibration, and the seconds that fitting took."""
        from secondread.lab.classical import fit_classical

        train, val = self.comparison.prepared("train"), self.comparison.prepared("val")
        started = time.perf_counter()
        learner = fit_classical(self.model, train, self.comparison.manifest.split("train").groups, self.random_state)
        seconds = round(time.perf_counter() - started, 1)
        return learner, fit_calibration("platt", learner.scores(val.images), val.labels), seconds


class EnsembleCandidate:
    """Several candidates as one, from what they have said already: no image is read again."""

    curve = None

    def __init__(
        self,
        method: str,
        members: Sequence[Candidate],
        predictions: Sequence[Mapping[str, Sequence[Prediction]]],
        comparison: Comparison,
    ):
        """predictions: of each member, split → one for each image; so of hospitals left out, see `names_of`."""
        self.name = f"{method}-of-{len(members)}"
        self.method, self.members, self.comparison, self._said = method, members, comparison, predictions

    @property
    def key(self) -> dict[str, Any]:
        return {"ensemble": self.method, "members": {member.name: member.key for member in self.members}}

    def facts(self) -> dict[str, Any]:
        fitted, calibration = self._fitted
        facts = [member.facts() for member in self.members]
        sums = {key: _sum(fact.get(key) for fact in facts) for key in ("parameters", "onnx_bytes", "training_seconds")}
        weights = dict(zip((member.name for member in self.members), fitted.weights.tolist(), strict=True))
        return {
            "kind": "ensemble",
            "model": self.name,
            "system": f"{self.method} ensemble",
            "recipe": None,
            "weights": {name: round(weight, 6) for name, weight in weights.items()},
            "bias": round(fitted.bias, 6),
            "temperature": calibration.temperature,
            **sums,
        }

    def predictions(self, split: str) -> list[Prediction]:
        fitted, calibration = self._fitted
        part, logits = self.comparison.manifest.split(split), self._logits(split)
        combined = fitted.val_logits if split == "val" else fitted.combine(np.nan_to_num(logits))
        probabilities = calibration.apply(combined)
        return predictions_of_rows(part, np.where(np.isnan(logits).any(axis=0), np.nan, probabilities))

    def without(self, hospital: Hospital) -> LeftOut | None:
        """Of what the members say that were made without it."""
        measured, val = names_of(hospital.name)
        if any(measured not in member for member in self._said):
            return None
        labels = np.array([row.label == 1 for row in hospital.val])
        fitted = fit_ensemble(
            self.method, self._logits(val), labels, groups=groups_of(hospital.val, hospital), random_state=0
        )
        return said_of(hospital, (fitted.val_logits, fitted.combine(self._logits(measured))), {}, method="temperature")

    def prepare(self, image: Image) -> list[Any]:
        return [member.prepare(image) for member in self.members]

    def run(self, prepared: list[Any]) -> Any:
        return [member.run(one) for member, one in zip(self.members, prepared, strict=True)]

    @cached_property
    def _fitted(self) -> tuple[Ensemble, Calibration]:
        """Fitted to validation, an image that a member refused counting as undecided there, and calibrated."""
        val = self.comparison.manifest.split("val")
        logits = np.nan_to_num(self._logits("val"))
        fitted = fit_ensemble(self.method, logits, val.labels, groups=val.groups)
        return fitted, fit_calibration("temperature", fitted.val_logits, val.labels)

    def _logits(self, split: str) -> np.ndarray:
        """(n_members, n): calibrated log-odds, which mean the same of every member; NaN where one refused."""
        said = [[row.probability for row in member[split]] for member in self._said]
        return Calibration().undo(np.array(said, dtype=np.float64))


def _sum(values: Any) -> Any:
    known = list(values)
    return None if None in known else sum(known)
