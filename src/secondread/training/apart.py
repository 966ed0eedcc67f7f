"""Trains the networks of a recipe file and writes their weights alone: no bundle, no split read but train and val."""

from collections.abc import Callable
from pathlib import Path

from secondread.data import Manifest, prepared_cache
from secondread.data.split import with_validation
from secondread.tasks import Task
from secondread.training.boxes import boxes_for
from secondread.training.build import MemberPlan
from secondread.training.fit import Epoch, FitResult, fit
from secondread.training.prepare import lesion_maps, lesion_rows, new_network
from secondread.training.recipe import prepare_spec_of
from secondread.training.train import recipe_for, versions
from secondread.training.trained import save_trained, settings_of


def fit_apart(
    task: Task,
    manifest: Manifest,
    member: MemberPlan,
    *,
    out: Path,
    fingerprint: str,
    command: str = "",
    cache_folder: Path | None = None,
    on_epoch: Callable[[Epoch, int], None] | None = None,
) -> FitResult:
    """Train one network on the manifest's `train` rows, as `train_bundle` does, and write it to the file `out`.

    fingerprint: of the manifest that a bundle is to be built with, of which this one may be a pack.
    """
    recipe = recipe_for(member.recipe_for(task), member.model)
    spec = prepare_spec_of(task, recipe)
    manifest = with_validation(manifest, recipe.val_from)
    rows = (*manifest.split("train").rows, *lesion_rows(manifest, recipe.lesions_from))
    train = prepared_cache(Manifest(rows, manifest.folder), spec, folder=cache_folder)
    result = fit(
        new_network(member.model, spec, recipe, random_state=member.random_state),
        train,
        prepared_cache(manifest.split("val"), spec, folder=cache_folder),
        recipe,
        lesions=lesion_maps(manifest, train.rows, spec) if recipe.lesion_weight else None,
        boxes=boxes_for(recipe, manifest, train.rows, spec),
        n_labelled=len(manifest.split("train")),
        random_state=member.random_state,
        on_epoch=on_epoch,
    )
    settings = settings_of(task, recipe, member.model, member.random_state)
    save_trained(out, result, settings=settings, fingerprint=fingerprint, versions=versions(), command=command)
    return result
