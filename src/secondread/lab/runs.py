"""Networks trained to be compared on validation images, and on a hospital left out: no bundle, no test split."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from secondread.data import Manifest, PreparedSet, Row, prepared_cache
from secondread.images import PrepareSpec
from secondread.lab.hospitals import Hospital
from secondread.tasks import Task
from secondread.training.boxes import boxes_for
from secondread.training.fit import Epoch, FitResult, fit, predict_logits
from secondread.training.prepare import LesionMaps, lesion_maps, lesion_rows, new_network, recorded_recipe
from secondread.training.recipe import Recipe, prepare_spec_of


@dataclass
class Scores:
    """What a network says of the rows that chose and of the hospital it had not seen."""

    val: np.ndarray  # logits (n_val,)
    measured: np.ndarray  # logits (n_measured,)
    checks: np.ndarray = field(default_factory=lambda: np.empty(0, np.float32))  # logits (n_checks,), see `Hospital`
    facts: dict[str, Any] = field(default_factory=dict)  # of the training


@dataclass(frozen=True)
class Runs:
    """What the networks of one comparison have in common."""

    task: Task
    manifest: Manifest
    model_name: str
    cache_folder: Path | None = None
    _known: dict[str, str] = field(default_factory=dict, repr=False)
    _splits: dict[tuple[str, PrepareSpec], PreparedSet] = field(default_factory=dict, repr=False)
    _maps: dict[tuple[str, PrepareSpec], tuple[dict[Row, np.ndarray], set[Row]]] = field(
        default_factory=dict, repr=False
    )

    @property
    def fingerprint(self) -> str:
        """Of the data; computed once, as every file is read for it."""
        if "data" not in self._known:
            self._known["data"] = self.manifest.fingerprint()
        return self._known["data"]

    def fit(
        self,
        train: Sequence[Row],
        val: Sequence[Row],
        recipe: Recipe,
        *,
        random_state: int,
        lesions: Sequence[Row] | None = None,
        run_folder: Path | None = None,
        fingerprint: str = "",
        on_epoch: Callable[[Epoch, int], None] | None = None,
    ) -> FitResult:
        """A network trained on the rows, as `train_bundle` trains it, and its validation logits.

        lesions: rows that teach by their lesions alone; if not said, those that the recipe asks for.
        Raises as `fit`, `new_network` and `prepared_cache`.
        """
        spec = prepare_spec_of(self.task, recipe)
        more = lesion_rows(self.manifest, recipe.lesions_from) if lesions is None else lesions
        prepared = self.prepared((*train, *more), recipe)
        return fit(
            new_network(self.model_name, spec, recipe, random_state=random_state),
            prepared,
            self.prepared(val, recipe),
            recipe,
            lesions=self.lesion_maps(prepared.rows, spec) if recipe.lesion_weight else None,
            boxes=boxes_for(recipe, self.manifest, prepared.rows, spec),
            n_labelled=len(train),
            random_state=random_state,
            run_folder=run_folder,
            fingerprint=fingerprint,
            on_epoch=on_epoch,
        )

    def without(
        self,
        hospital: Hospital,
        recipe: Recipe,
        *,
        random_state: int,
        lesions_from: Sequence[str] | None = None,
        run_folder: Path | None = None,
        on_epoch: Callable[[Epoch, int], None] | None = None,
    ) -> Scores:
        """A network that the other hospitals alone taught, and what it says of this one. Raises as `fit`.

        lesions_from: of a mean of several, those of all; if not said, the recipe's own. A share of them checks.
        """
        facts = [self.task.name, hospital.name, self.model_name, recorded_recipe(recipe), random_state]
        rows = [row.name for part in (hospital.train, hospital.val) for row in part]
        text = json.dumps([facts, rows, self.fingerprint], sort_keys=True)
        result = self.fit(
            hospital.train,
            hospital.val,
            recipe,
            random_state=random_state,
            lesions=hospital.lesions(recipe.lesions_from),
            run_folder=run_folder,
            fingerprint="" if run_folder is None else hashlib.sha256(text.encode()).hexdigest(),
            on_epoch=on_epoch,
        )
        model = result.model.to(torch.device(result.device))
        checks = hospital.checks(recipe.lesions_from if lesions_from is None else lesions_from)
        val, measured, checked = (
            _logits(model, self.prepared(rows, recipe), recipe) if rows else np.empty(0, np.float32)
            for rows in (hospital.val, hospital.measured, checks)
        )
        return Scores(
            val,
            measured,
            checked,
            facts={
                "random_state": random_state,
                "best_epoch": result.best_epoch,
                "seconds": round(sum(line.seconds for line in result.history), 1),
                "device": result.device,
                "history": [asdict(line) for line in result.history],
            },
        )

    def prepared(self, rows: Sequence[Row], recipe: Recipe) -> PreparedSet:
        """The rows' images as the recipe's network sees them; a split is prepared once for all of its subsets."""
        spec = prepare_spec_of(self.task, recipe)
        whole = {split: self._split(split, spec) for split in dict.fromkeys(row.split for row in rows)}
        places = {split: {row: place for place, row in enumerate(found.rows)} for split, found in whole.items()}
        images = np.stack([whole[row.split].images[places[row.split][row]] for row in rows])
        return PreparedSet(images, np.array([row.label == 1 for row in rows]), tuple(rows))

    def lesion_maps(self, rows: Sequence[Row], spec: PrepareSpec) -> LesionMaps:
        """Where the lesions of the rows lie; a split's masks are read once for all of its subsets."""
        for split in dict.fromkeys(row.split for row in rows):
            if (split, spec) not in self._maps:
                whole = self.manifest.split(split).rows
                made = lesion_maps(self.manifest, whole, spec)
                by_row = {whole[number]: cover for number, cover in made.covers.items()}
                self._maps[split, spec] = by_row, {row for row, known in zip(whole, made.known, strict=True) if known}
        maps = {split: self._maps[split, spec] for split in {row.split for row in rows}}
        found = ((number, maps[row.split][0].get(row)) for number, row in enumerate(rows))
        covers = {number: cover for number, cover in found if cover is not None}
        return LesionMaps(covers, np.array([row in maps[row.split][1] for row in rows]), spec.size)

    def _split(self, name: str, spec: PrepareSpec) -> PreparedSet:
        if (name, spec) not in self._splits:
            self._splits[name, spec] = prepared_cache(self.manifest.split(name), spec, folder=self.cache_folder)
        return self._splits[name, spec]


def _logits(model: torch.nn.Module, prepared: PreparedSet, recipe: Recipe) -> np.ndarray:
    """As the bundle would read: with the mirror image where the recipe says so."""
    own = predict_logits(model, prepared.images)
    if not recipe.mirrored:
        return own
    return (own + predict_logits(model, np.ascontiguousarray(prepared.images[:, :, ::-1]))) / 2
