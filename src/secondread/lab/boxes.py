"""What trained networks that find boxes say of validation images: average precision, FROC, areas, by part."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from secondread.data import Manifest, PreparedSet, Row
from secondread.evidence.detection import SIZES, Found, detection_table, only_truth
from secondread.images import PrepareSpec
from secondread.images.prepare import Box
from secondread.models.cam import MapGeometry
from secondread.stats.bootstrap import Statistic, bootstrap, grouped_means
from secondread.stats.metrics import weighted_average_precision, weighted_roc_auc
from secondread.training.build import BundlePlan, MemberPlan, weights_name
from secondread.training.device import choose_device
from secondread.training.export import WithScaling
from secondread.training.found import drawn_on, found_on
from secondread.training.prepare import new_network
from secondread.training.recipe import Recipe, prepare_spec_of
from secondread.training.train import recipe_for
from secondread.training.trained import load_trained, settings_of

_BATCH = 16
_FEW = 10  # drawn boxes; of fewer nothing is said


@dataclass(frozen=True)
class Detector:
    """A trained network as it is served, and what it takes."""

    served: nn.Module
    spec: PrepareSpec
    geometry: MapGeometry

    def extent(self, cells: int) -> Box:
        """Where its cells lie on the input, in shares of its side."""
        start, end = (side / self.spec.size for side in self.geometry.extent(cells))
        return start, start, end, end


def load_detector(plan: BundlePlan, member: MemberPlan, folder: Path, *, fingerprint: str) -> Detector:
    """A member's network as `lab fit` wrote it to the folder, where torch computes best.

    fingerprint: of the data it was trained on. Raises CannotOpen or TrainingError.
    """
    recipe: Recipe = recipe_for(member.recipe_for(plan.task), member.model)
    spec = prepare_spec_of(plan.task, recipe)
    model = new_network(member.model, spec, recipe, random_state=member.random_state)
    settings = settings_of(plan.task, recipe, member.model, member.random_state)
    load_trained(folder / weights_name(plan, member), model, settings=settings, fingerprint=fingerprint)
    served = WithScaling(model.eval(), mirrored=recipe.mirrored).to(choose_device())
    return Detector(served, spec, cast(MapGeometry, model.geometry))


@torch.inference_mode()
def answers(detectors: Sequence[Detector], images: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Logit (n,), scores (n, rows, columns) and boxes (n, 4, rows, columns) of the mean of networks of one kind.

    images: uint8 (n, size, size, channels). Of networks that find no boxes there are none.
    """
    device = next(detectors[0].served.parameters()).device
    parts: list[tuple[Tensor, ...]] = []
    for start in range(0, len(images), _BATCH):
        batch = torch.from_numpy(np.array(images[start : start + _BATCH])).to(device)
        own = [detector.served(batch) for detector in detectors]
        scores = torch.stack([one[1] for one in own])
        mean = scores.mean(dim=0)
        if len(own[0]) == 2:
            parts.append((torch.stack([one[0] for one in own]).mean(dim=0), mean))
            continue
        sure = torch.sigmoid(scores)[:, :, None]
        boxes = (torch.stack([one[2] for one in own]) * sure).sum(dim=0) / sure.sum(dim=0)
        parts.append((mean.amax(dim=(1, 2)), mean, boxes))
    whole = [torch.cat(column).cpu().numpy() for column in zip(*parts, strict=True)]
    return whole[0], whole[1], whole[2] if len(whole) > 2 else None


def found_in(
    detectors: Sequence[Detector], prepared: PreparedSet, manifest: Manifest
) -> tuple[list[Found], np.ndarray, np.ndarray]:
    """The boxes of every image of a set beside those that people drew, the logits, and whether the map's peak is on a
    drawn box or within `TOLERANCE` of one (NaN where none is drawn)."""
    first = detectors[0]
    logits, scores, boxes = answers(detectors, prepared.images)
    extent = first.extent(scores.shape[-1])
    drawn = drawn_on(prepared.rows, manifest, first.spec)
    seen, pointed = found_on(drawn, scores, boxes, size=first.spec.size, extent=extent)
    return seen, logits, pointed


def boxes_table(
    seen: Sequence[Found],
    logits: np.ndarray,
    pointed: np.ndarray,
    rows: Sequence[Row],
    *,
    n_resamples: int = 1000,
) -> dict[str, Any]:
    """Areas over the images of each source that has both classes, and over all of these; boxes over all images, by the
    size of what was drawn, and by source and part of the body (of 10 drawn boxes or more)."""
    labels, groups = np.array([row.label == 1 for row in rows]), np.array([one.group for one in seen])
    sources = np.array([row.source for row in rows])
    both = [name for name in dict.fromkeys(sources) if len(set(labels[sources == name].tolist())) == 2]
    among = {"all": np.isin(sources, both), **{name: sources == name for name in both if len(both) > 1}}
    known = ~np.isnan(pointed)
    table: dict[str, Any] = {
        "n": len(rows),
        "n_positive": int(labels.sum()),
        "areas": {name: _areas(labels[own], logits[own], groups[own], n_resamples) for name, own in among.items()},
        "pointing": grouped_means(pointed[known, None], list(groups[known]))[0].to_dict() if known.any() else None,
    }
    if not any(len(one.boxes) for one in seen):
        return table
    parts: dict[str, list[Found]] = {}
    for row, one in zip(rows, seen, strict=True):
        parts.setdefault(f"{row.source} {row.note.split(';')[0].strip()}".strip(), []).append(one)
    return table | {
        "boxes": detection_table(seen, n_resamples=n_resamples),
        "by_size": {
            name: detection_table(only_truth(seen, smallest=low, largest=high), n_resamples=n_resamples)
            for name, (low, high) in SIZES.items()
        },
        "by_part": {
            name: detection_table(own, n_resamples=n_resamples)
            for name, own in sorted(parts.items())
            if sum(len(one.truth) for one in own) >= _FEW
        },
    }


def _areas(labels: np.ndarray, logits: np.ndarray, groups: np.ndarray, n_resamples: int) -> dict[str, Any]:
    if not labels.any() or labels.all():
        return {"n": len(labels), "n_positive": int(labels.sum())}
    ranks: dict[str, Statistic] = {
        "roc_auc": lambda weights: weighted_roc_auc(labels, logits, weights),
        "average_precision": lambda weights: weighted_average_precision(labels, logits, weights),
    }
    found = bootstrap(ranks, groups, classes=labels, n_resamples=n_resamples)
    return {
        "n": len(labels),
        "n_positive": int(labels.sum()),
        **{name: interval.to_dict() for name, interval in found.items()},
    }
