"""Networks trained to be compared on validation images: no bundle, no test split."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from secondread.data import Manifest, PreparedSet, Row, prepared_cache
from secondread.images import PrepareSpec
from secondread.models import create_model
from secondread.models.weights import load_weights, sha256_of
from secondread.tasks import Task
from secondread.training.fit import Epoch, FitResult, fit
from secondread.training.lesion_maps import lesion_maps
from secondread.training.recipes import Recipe, prepare_spec_of
from secondread.training.shares import checking_part, teaching_part


def new_network(model_name: str, spec: PrepareSpec, recipe: Recipe, *, random_state: int) -> nn.Module:
    """The network before training: drawn by `random_state`, or with the weights that the recipe starts from.

    Raises UnknownName, UsageError for weights that do not fit, CannotOpen, or DownloadError.
    """
    with torch.random.fork_rng(devices=[]):  # initial weights draw from the global generator; it is put back
        torch.manual_seed(random_state)
        imagenet = recipe.pretrained and not recipe.weights
        model: nn.Module = create_model(model_name, in_chans=spec.channels, input_size=spec.size, pretrained=imagenet)
    if recipe.weights:
        load_weights(model, recipe.weights, sha256=recipe.weights_sha256 or None)
    return model


def recorded_recipe(recipe: Recipe) -> dict[str, Any]:
    """The recipe as JSON keeps it: weights to start from by the file's name and its SHA-256. Raises CannotOpen."""
    if not recipe.weights:
        return recipe.to_dict()
    digest = sha256_of(recipe.weights, recipe.weights_sha256)
    return replace(recipe, weights=Path(recipe.weights).name, weights_sha256=digest).to_dict()


def taught_rows(manifest: Manifest, lesions_from: Sequence[str]) -> tuple[Row, ...]:
    """Rows of shared splits whose lesions teach besides the training images, though their labels do not."""
    return tuple(row for split in lesions_from for row in teaching_part(manifest, split).rows)


def checked_rows(manifest: Manifest, lesions_from: Sequence[str]) -> tuple[Row, ...]:
    """Rows that thresholds are chosen on besides validation: a share of every collection whose lesions taught.

    Validation alone is of the hospitals that taught; a threshold must hold where the other collections come from too.
    """
    return tuple(row for split in lesions_from for row in checking_part(manifest, split).rows)


@dataclass(frozen=True)
class Runs:
    """What the networks of one comparison have in common."""

    task: Task
    manifest: Manifest
    model_name: str
    cache_folder: Path | None = None
    _splits: dict[tuple[str, PrepareSpec], PreparedSet] = field(default_factory=dict, repr=False)

    def fit(
        self,
        train: Sequence[Row],
        val: Sequence[Row],
        recipe: Recipe,
        *,
        random_state: int,
        run_folder: Path | None = None,
        fingerprint: str = "",
        on_epoch: Callable[[Epoch, int], None] | None = None,
    ) -> FitResult:
        """A network trained on the rows, as `train_bundle` trains it, and its validation logits.

        Raises as `fit`, `new_network` and `prepared_cache`.
        """
        spec = prepare_spec_of(self.task, recipe)
        more = taught_rows(self.manifest, recipe.lesions_from)
        prepared = self.prepared((*train, *more), recipe)
        return fit(
            new_network(self.model_name, spec, recipe, random_state=random_state),
            prepared,
            self.prepared(val, recipe),
            recipe,
            lesions=lesion_maps(self.manifest, prepared.rows, spec) if recipe.lesion_weight else None,
            n_labelled=len(train),
            random_state=random_state,
            run_folder=run_folder,
            fingerprint=fingerprint,
            on_epoch=on_epoch,
        )

    def prepared(self, rows: Sequence[Row], recipe: Recipe) -> PreparedSet:
        """The rows' images as the recipe's network sees them; a split is prepared once for all of its subsets."""
        spec = prepare_spec_of(self.task, recipe)
        whole = {split: self._split(split, spec) for split in dict.fromkeys(row.split for row in rows)}
        places = {split: {row: place for place, row in enumerate(found.rows)} for split, found in whole.items()}
        images = np.stack([whole[row.split].images[places[row.split][row]] for row in rows])
        return PreparedSet(images, np.array([row.label == 1 for row in rows]), tuple(rows))

    def _split(self, name: str, spec: PrepareSpec) -> PreparedSet:
        if (name, spec) not in self._splits:
            self._splits[name, spec] = prepared_cache(self.manifest.split(name), spec, folder=self.cache_folder)
        return self._splits[name, spec]


def write_json(path: Path, table: Any) -> None:
    """Written aside, then renamed: a kill leaves the old file or the new one."""
    write_whole(path, (json.dumps(table, indent=1, ensure_ascii=False) + "\n").encode())


def write_whole(path: Path, data: bytes) -> None:
    """Written aside, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.new")
    aside.write_bytes(data)
    aside.replace(path)
