"""What tuberculosis bundles say of hospitals whose labels did not teach them, without the test split (SECONDREAD_DATA).

python -m benchmarks.carry_over BUNDLE …

TBX11K has films with tuberculosis alone and NIH has none, so a difference between the two may be the hospital's.
*Place* is free of that: how a place of the map ranks among the same places of all films of TBX11K, where a box covers
it and where none does. The share of both that bundles are measured on is left out.
"""

import sys

import cv2
import numpy as np
from scipy.stats import rankdata

from benchmarks._common import data_folder, save
from secondread.data import Manifest, load_data
from secondread.data.split import training_share, validation_share
from secondread.reading import Bundle, load_bundle
from secondread.stats.bootstrap import bootstrap
from secondread.tasks import load_task
from secondread.training.export import run_onnx
from secondread.training.prepare import lesion_maps
from secondread.training.train import Progress, prepared_part

TASK, COLLECTIONS = "tuberculosis", ("localisation", "external-negatives")


def auc(y_true: np.ndarray, y_score: np.ndarray, groups: list[str]) -> dict[str, object]:
    """ROC AUC with its interval by group."""
    found = bootstrap(y_true, y_score, threshold=0, groups=groups, measures=["roc_auc"], n_resamples=1000)["roc_auc"]
    return {"n": len(y_true), "n_positive": int(y_true.sum()), "roc_auc": found}


def place(scores: np.ndarray, covers: np.ndarray) -> dict[str, object]:
    """scores, covers (share in a box): float (n, rows, columns). Cells that a box covers in part are left out."""
    ranks = rankdata(scores, axis=0)
    inside, outside = covers > 0.5, covers < 0.01
    told = (inside | outside) & (inside.sum(axis=0) >= 5) & (outside.sum(axis=0) >= 5)
    film = np.broadcast_to(np.arange(len(scores))[:, None, None], scores.shape)
    found = auc(inside[told], ranks[told], [str(number) for number in film[told]])
    return found | {"films": len(scores)}


def measure(bundle: Bundle, manifest: Manifest) -> dict[str, object]:
    """Both comparisons of films, and the places."""
    lesions_from = bundle.record["training"]["recipe"]["lesions_from"]
    parts = (validation_share,) if lesions_from else (training_share, validation_share)
    rows = [row for split in COLLECTIONS for part in parts for row in part(manifest, split).rows]
    films = prepared_part(Manifest(tuple(rows), manifest.folder), "carry over", bundle.prepare_spec, None, Progress())
    logits, maps = run_onnx(bundle.model_path.read_bytes(), films.images, outputs=["logit", "cam"])
    ill = films.labels.astype(bool)
    pneumonia = np.array(["pneumonia" in row.note.lower() for row in rows])
    groups = np.array(Manifest(tuple(rows), manifest.folder).groups)
    covers = lesion_maps(manifest, rows, bundle.prepare_spec).pixels(np.flatnonzero(ill))
    cells = np.stack([cv2.resize(cover, maps.shape[:0:-1], interpolation=cv2.INTER_AREA) for cover in covers]) / 255

    def against(other: np.ndarray) -> dict[str, object]:
        return auc(ill[ill | other], logits[ill | other], list(groups[ill | other]))

    return {
        "bundle": bundle.id,
        "training": bundle.record["training"]["command"],
        "taught_by_them": list(lesions_from),
        "against_pneumonia": against(pneumonia),
        "against_no_finding": against(~ill & ~pneumonia),
        "place": place(maps[ill], cells),
    }


def main(bundles: list[str]) -> None:
    """One line for each bundle, and all in the results."""
    manifest = load_data(data_folder() / TASK / "manifest.csv", task=load_task(TASK))
    found = [measure(load_bundle(bundle), manifest) for bundle in bundles]
    save("carry_over", {"command": f"python -m benchmarks.carry_over {' '.join(bundles)}", "bundles": found})


if __name__ == "__main__":
    main(sys.argv[1:])
