"""What contrastive pretraining is worth: AUC with and without it, on validation and at hospitals left out, over seeds.

    python -m benchmarks.pretraining

Needs SECONDREAD_DATA. Nothing here reads the test split, and a hospital that is left out is not among the images that
pretraining sees either. Given again, it goes on where it stopped.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._common import data_folder, save
from secondread.data import Manifest, load_data
from secondread.lab.contrastive import contrastive_recipe, pretrained_weights
from secondread.lab.folds import compare_left_out, folds_of, logits_of
from secondread.lab.hospitals import hospitals_of
from secondread.lab.runs import Runs
from secondread.lab.systems import load_system
from secondread.stats.paired import compare_runs
from secondread.tasks import load_task
from secondread.training.recipe import Recipe
from secondread.training.train import versions

TASK, SEEDS = "tuberculosis", (0, 1, 2)
SYSTEMS = ("lenet", "contrastive")  # the paper's network, and the one that the leaderboard pretrains
EPOCHS = 100  # of pretraining
RUNS = Path(__file__).parents[1] / "runs" / "pretraining"
SCRATCH, PRETRAINED = "from scratch", "pretrained"


def measure(system: str, manifest: Manifest) -> dict[str, Any]:
    """The same network and seeds with both starts; the pretrained weights are one, since they cost the most."""
    task, found = load_task(TASK), load_system(system)
    runs = Runs(task, manifest, found.model)
    recipe, out = found.recipe_for(task), RUNS / runs.fingerprint[:8] / system
    spent: dict[str, float] = {}

    def started(images: Manifest, name: str) -> Recipe:
        weights = out / f"{name}.safetensors"
        spent[name] = pretrained_weights(
            task, images, contrastive_recipe(recipe, epochs=EPOCHS), model_name=found.model, out=weights
        )
        return replace(recipe, weights=str(weights))

    (fold,) = folds_of(manifest, 1)
    val = Manifest(fold.val, manifest.folder)
    starts = {SCRATCH: recipe, PRETRAINED: started(manifest, "all")}
    logits = np.stack([
        [logits_of(runs, own, fold, out / f"{name.replace(' ', '-')}.{seed}", seed) for seed in SEEDS]
        for name, own in starts.items()
    ])  # fmt: skip
    at_home = compare_runs(val.labels, logits, groups=val.groups, reference=0)
    carried = compare_left_out(
        runs,
        {SCRATCH: recipe, PRETRAINED: lambda hospital: started(hospital.elsewhere, hospital.name)},
        hospitals_of(manifest),
        out=out / "left-out",
        seeds=SEEDS,
        reference=SCRATCH,
    )
    return {
        "model": found.model,
        "pretraining_epochs": EPOCHS,
        "pretraining_seconds": spent,
        "n_val": len(val),
        "validation": {
            name: {key: one.to_dict() for key, one in measured.items()}
            for name, measured in zip(starts, at_home, strict=True)
        },
        "left_out": carried,
    }


def main() -> None:
    """The smallest collection, where labels are fewest."""
    manifest = load_data(data_folder() / TASK / "manifest.csv", task=load_task(TASK))
    about = {"task": TASK, "seeds": SEEDS, "data_fingerprint": manifest.fingerprint(), "versions": versions()}
    save("pretraining", about | {system: measure(system, manifest) for system in SYSTEMS})


if __name__ == "__main__":
    main()
