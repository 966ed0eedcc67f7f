"""Makes those who take part in a comparison: trains networks, or finds them trained."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from secondread.data import Manifest
from secondread.errors import DataInvalid, TrainingError
from secondread.lab.candidates import BundleCandidate, Candidate, ClassicalCandidate, Comparison
from secondread.lab.classical import list_classical
from secondread.lab.hospitals import Hospital
from secondread.lab.runs import Runs, Scores
from secondread.lab.systems import load_system
from secondread.reading import Bundle, load_bundle
from secondread.training.prepare import recorded_recipe
from secondread.training.recipe import Recipe
from secondread.training.train import Progress, recipe_for, train_bundle

OnStart = Callable[[str, str], None]  # name, what is done: 'pretrained', 'trained', 'read', 'known'


@dataclass(frozen=True)
class _Network:
    """What is trained: at home, and again without each hospital."""

    name: str
    model: str
    recipe: Recipe
    seed: int
    system: str = ""
    pretraining: int = 0  # epochs


@dataclass
class Maker:
    """Makes candidates for one comparison. `out` holds what is trained, and the state of what is being trained."""

    comparison: Comparison
    out: Path
    command: str
    progress: Progress
    on_start: OnStart

    def bundle(self, reference: str) -> Candidate:
        """Raises BundleError, or DataInvalid for one of another task."""
        bundle = load_bundle(reference)
        if bundle.task.name != self.comparison.task.name:
            raise DataInvalid(f"bundle {bundle.id} is not of the task '{self.comparison.task.name}'; leave it out")
        return BundleCandidate(bundle.name, bundle, self.comparison, trained_here=False)

    def model(self, model: str, seed: int) -> Candidate:
        """A network by the comparison's recipe, one of the user's own as MODULE:FUNCTION, or a classical learner."""
        name = f"{model.rpartition(':')[2]}-{seed}"  # of one of the user's own, its function's
        if model in list_classical():
            return ClassicalCandidate(name, model, self.comparison, random_state=seed)
        return self._network(_Network(name, model, recipe_for(self.comparison.recipe, model), seed))

    def system(self, system: str, seed: int) -> Candidate:
        """One that the seed paper names, by a recipe of its own. Raises UnknownName."""
        found = load_system(system)
        if not found.recipe:
            return self.model(found.model, seed)
        recipe = found.recipe_for(self.comparison.task)
        return self._network(_Network(f"{system}-{seed}", found.model, recipe, seed, system, found.pretraining))

    def tidy(self, name: str) -> None:
        """Remove the states of trainings whose results are kept: some networks take a gigabyte."""
        (self.out / f"{name}.run" / "checkpoint.pt").unlink(missing_ok=True)
        for folder in (self.out / "left-out").glob(f"*/{name}.run"):
            shutil.rmtree(folder)

    def _network(self, network: _Network) -> Candidate:
        folder = self.out / network.name
        recipe, before = self._started(network, self.comparison.manifest, folder)
        bundle = self._finished(folder, recipe, network.seed) or self._train(folder, network, recipe)
        return BundleCandidate(
            network.name,
            bundle,
            self.comparison,
            trained_here=True,
            system=network.system,
            history=_history(folder),
            seconds_before=before,
            train_without=lambda hospital: self._without(network, hospital),
        )

    def _without(self, network: _Network, hospital: Hospital) -> Scores:
        name = f"{network.name} without {hospital.name}"
        folder = self.out / "left-out" / hospital.name / network.name
        recipe, before = self._started(network, hospital.elsewhere, folder)
        self.on_start(name, "trained")
        runs = Runs(self.comparison.task, self.comparison.manifest, network.model, self.comparison.cache_folder)
        run_folder = folder.with_name(f"{folder.name}.run")
        scores = runs.without(
            hospital, recipe, random_state=network.seed, run_folder=run_folder, on_epoch=self.progress.on_epoch
        )
        scores.facts["seconds"] = round(scores.facts["seconds"] + before, 1)
        return scores

    def _started(self, network: _Network, manifest: Manifest, folder: Path) -> tuple[Recipe, float]:
        """The recipe with what it starts from, and the seconds that this took: pretraining on the manifest's images."""
        if not network.pretraining:
            return network.recipe, 0.0
        from secondread.lab.contrastive import contrastive_recipe, pretrained_weights

        self.on_start(folder.name, "pretrained")
        out = folder.with_name(f"{folder.name}.safetensors")
        seconds = pretrained_weights(
            self.comparison.task,
            manifest,
            contrastive_recipe(network.recipe, epochs=network.pretraining),
            model_name=network.model,
            out=out,
            random_state=network.seed,
            command=self.command,
            cache_folder=self.comparison.cache_folder,
        )
        return replace(network.recipe, weights=str(out)), seconds

    def _finished(self, folder: Path, recipe: Recipe, seed: int) -> Bundle | None:
        if not (folder / "bundle.json").is_file():
            return None
        bundle = load_bundle(folder.resolve())
        same = _comparable(bundle.training.recipe) == _comparable(recorded_recipe(recipe))
        data = bundle.data.fingerprint == self.comparison.fingerprint
        if not (same and data and bundle.training.random_state == seed):
            raise TrainingError(f"'{folder}' was trained with other data or settings; name another --out")
        self.on_start(folder.name, "known")
        return bundle

    def _train(self, folder: Path, network: _Network, recipe: Recipe) -> Bundle:
        self.on_start(folder.name, "trained")
        return train_bundle(
            self.comparison.task,
            self.comparison.manifest,
            recipe,
            model_name=network.model,
            out=folder,
            name=folder.name,
            random_state=network.seed,
            command=self.command,
            measure=False,
            cache_folder=self.comparison.cache_folder,
            progress=self.progress,
        )


def _history(folder: Path) -> Sequence[Mapping[str, Any]]:
    path = folder.with_name(f"{folder.name}.run") / "history.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else ()


def _comparable(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """A recorded recipe with the defaults of fields that came later, and without its wording."""
    return json.loads(json.dumps({**Recipe("", "").to_dict(), **recipe, "summary": ""}))
