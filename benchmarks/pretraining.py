"""What contrastive pretraining is worth: validation AUC with and without it, over seeds (SECONDREAD_DATA).

Nothing here reads the test split. Given again, it goes on where it stopped.
"""

import json
import statistics
from pathlib import Path

from benchmarks._common import call, data_folder, save

TASK, MODELS, SEEDS = "tuberculosis", ("lenet",), (0, 1, 2)
RUNS = Path(__file__).parents[1] / "runs" / "pretraining"
PRETRAINING_EPOCHS = EPOCHS = {"lenet": 50}


def validation_auc(model: str, seed: int, manifest: Path, weights: Path | None) -> float:
    """Of the best epoch of one training."""
    out = RUNS / f"{model}-{'pretrained' if weights else 'scratch'}-{seed}"
    if not (out / "bundle.json").is_file():
        start = ["--weights", weights] if weights else []
        call("train", "--task", TASK, "--model", model, "--recipe", "upright", "--data", manifest,
             "--random-state", seed, "--epochs", EPOCHS[model], "--no-measure", "--out", out, *start)  # fmt: skip
    return json.loads((out / "bundle.json").read_text(encoding="utf-8"))["training"]["best_val_auc"]


def measure(model: str, manifest: Path) -> dict[str, object]:
    """The same seeds with both starts; the pretrained weights are one, since they cost the most."""
    weights = RUNS / f"{model}.safetensors"
    if not weights.is_file():
        call("lab", "pretrain", "--task", TASK, "--model", model, "--recipe", "upright", "--data", manifest,
             "--epochs", PRETRAINING_EPOCHS[model], "--out", weights)  # fmt: skip
    found = {
        start: [validation_auc(model, seed, manifest, given) for seed in SEEDS]
        for start, given in (("from_scratch", None), ("pretrained", weights))
    }
    gains = [after - before for before, after in zip(found["from_scratch"], found["pretrained"], strict=True)]
    return {
        "pretraining_epochs": PRETRAINING_EPOCHS[model],
        "epochs": EPOCHS[model],
        "validation_auc": found,
        "gain": {"mean": round(statistics.fmean(gains), 4), "sd": round(statistics.stdev(gains), 4), "n": len(gains)},
    }


def main() -> None:
    """The smallest collection, where labels are fewest."""
    manifest = data_folder() / TASK / "manifest.csv"
    save("pretraining", {"command": "python -m benchmarks.pretraining", "task": TASK, "seeds": SEEDS}
         | {model: measure(model, manifest) for model in MODELS})  # fmt: skip


if __name__ == "__main__":
    main()
