"""Boxes as teachers: where they lie on prepared images, how they move with the pixels, what a detector's error is."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from secondread.data import Manifest, Row
from secondread.evidence.localisation import Lesions, boxes_of, load_lesions
from secondread.images import PrepareSpec, decode, prepare
from secondread.models.cam import MapGeometry
from secondread.training.recipe import Recipe

_SEEN = 0.3  # share of a box that must be left on the image, or it does not count


@dataclass(frozen=True, eq=False)
class KnownBoxes:
    """For every image of a set: whether it is known where its lesions lie, and their boxes on the input."""

    boxes: np.ndarray  # float32 (n, most, 4): left, top, right, bottom in pixels of the input; unused ones NaN
    known: np.ndarray  # bool (n,): also where there is no disease, hence no lesion
    size: int  # of the input, pixels

    def counts(self) -> np.ndarray:
        """How many boxes each image has, int (n,)."""
        return np.isfinite(self.boxes[..., 0]).sum(axis=1)


def known_boxes(manifest: Manifest, rows: Sequence[Row], spec: PrepareSpec) -> KnownBoxes:
    """From the boxes beside the manifest, or the masks of the rows: a box around each part that hangs together.

    Raises CannotOpen or DataInvalid for a mask or table of boxes that cannot be used.
    """
    lesions = load_lesions(manifest)
    given = [number for number, row in enumerate(rows) if lesions.known(row)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(lambda number: _on_input(rows[number], lesions, spec), given))
    known = np.array([row.label == 0 for row in rows], dtype=bool)
    known[given] = True
    boxes = np.full((len(rows), max([1, *map(len, found)]), 4), np.nan, dtype=np.float32)
    for number, own in zip(given, found, strict=True):
        boxes[number, : len(own)] = own
    return KnownBoxes(boxes, known, spec.size)


def boxes_for(recipe: Recipe, manifest: Manifest, rows: Sequence[Row], spec: PrepareSpec) -> KnownBoxes | None:
    """`known_boxes`, of the sources that the recipe names; None where no boxes teach."""
    if not (recipe.box_weight or recipe.draw_weight):
        return None
    found = known_boxes(manifest, rows, spec)
    told = np.array([not recipe.draw_from or row.source in recipe.draw_from for row in rows], dtype=bool)
    return replace(found, known=found.known & told)


def _on_input(row: Row, lesions: Lesions, spec: PrepareSpec) -> np.ndarray:
    x0, y0, x1, y1 = prepare(decode(row.path.read_bytes()), spec).box
    corner, scale = np.array([x0, y0, x0, y0]), spec.size / np.array([x1 - x0, y1 - y0, x1 - x0, y1 - y0])
    return ((boxes_of(row, lesions) - corner) * scale).astype(np.float32)


def moved_boxes(boxes: Tensor, back: Tensor, offset: Tensor, *, size: int) -> Tensor:
    """Boxes after the movement of their images' pixels: (B, K, 4) in pixels, as given; NaN where nothing is left.

    back (B, 2, 2), offset (B, 2, 1): where a place of the result lies in the image, both from -1 at the first pixel's
    centre to 1 at the last's. What is turned is the ellipse inside a box, whose new box is no larger than the lesion
    may be; the box around turned corners would grow with every degree.
    """
    half = (size - 1) / 2
    (a, b), (c, d) = (row.unbind(dim=1) for row in back.unbind(dim=1))
    forward = torch.stack([torch.stack([d, -b], 1), torch.stack([-c, a], 1)], 1) / (a * d - b * c)[:, None, None]
    centre = ((boxes[..., :2] + boxes[..., 2:]) / 2 - 0.5) / half - 1  # (B, K, 2)
    new = (centre - offset.transpose(1, 2)) @ forward.transpose(1, 2)
    new = (new + 1) * half + 0.5
    reach = (boxes[..., 2:] - boxes[..., :2]) / 2
    # (M r)² summed over the ellipse's axes: half the width and height of an ellipse that a matrix M has moved
    wide = (forward.square()[:, None] @ reach.square()[..., None])[..., 0].sqrt()
    return clipped(torch.cat([new - wide, new + wide], dim=2), size=size)


def clipped(boxes: Tensor, *, size: int) -> Tensor:
    """(…, 4) cut off at the image's border; NaN where too little is left."""
    inside = boxes.clamp(0, size)
    left = _area(inside) >= _SEEN * _area(boxes).clamp(min=1e-6)
    return torch.where(left[..., None], inside, torch.nan)


def _area(boxes: Tensor) -> Tensor:
    return (boxes[..., 2] - boxes[..., 0]).clamp(min=0) * (boxes[..., 3] - boxes[..., 1]).clamp(min=0)


_NEAR = 1.5  # cells from a box's middle within which a cell answers for it (FCOS: centre sampling)
_CORE = 0.25  # …or this share of the half of a large box's side
_FOCUS, _BALANCE = 2.0, 0.25  # Lin et al. 2017


def box_loss(scores: Tensor, reach: Tensor, boxes: Tensor, known: Tensor, geometry: MapGeometry) -> Tensor:
    """Focal loss of the scores (B, rows, columns) and 1 - GIoU (Rezatofighi et al. 2019) of the boxes that answer.

    reach: (B, 4, rows, columns) in pixels; boxes: (B, K, 4) in pixels, NaN where there is none; known: bool (B,), the
    others do not count. Cells near the middle of a box answer for it, other cells inside one do not count, all others
    are healthy. Asks the device nothing, so that a GPU is not waited for.
    """
    centres = cell_centres(scores.shape[1:], geometry, scores.device)  # (N, 2)
    answers, inside, target = assigned(centres, boxes, stride=geometry.stride)
    flat = scores.flatten(1).float()
    chance = torch.sigmoid(flat)
    missed = torch.where(answers, 1 - chance, chance)
    weight = missed**_FOCUS * torch.where(answers, _BALANCE, 1 - _BALANCE)
    counted = (answers | ~inside) & known[:, None]
    entropy = F.binary_cross_entropy_with_logits(flat, answers.float(), reduction="none")
    answering = answers & known[:, None]
    n = answering.sum().clamp(min=len(scores))  # a batch of healthy images does not outweigh the others
    focal = (entropy * weight * counted).sum() / n
    given = giou(boxes_at(centres, reach), target)
    return focal + torch.where(answering, 1 - given, 0).sum() / n


def cell_centres(shape: Sequence[int], geometry: MapGeometry, device: torch.device) -> Tensor:
    """(rows · columns, 2): x and y in pixels of the input, row by row."""
    rows, columns = (geometry.first_centre + geometry.stride * torch.arange(n, device=device) for n in shape)
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    return torch.stack([x, y], dim=-1).view(-1, 2)


def boxes_at(centres: Tensor, reach: Tensor) -> Tensor:
    """centres (N, 2), reach (B, 4, rows, columns) → (B, N, 4): left, top, right, bottom."""
    sides = reach.flatten(2).transpose(1, 2)
    return torch.cat([centres - sides[..., :2], centres + sides[..., 2:]], dim=2)


def assigned(centres: Tensor, boxes: Tensor, *, stride: float) -> tuple[Tensor, Tensor, Tensor]:
    """Which cells answer for a box, which lie inside one (B, N), and the box they answer for (B, N, 4).

    Of several the smallest. A box smaller than a cell has the cell that its middle lies in. centres: (N, 2).
    """
    there = boxes[..., 0].isfinite()  # (B, K)
    safe = torch.where(there[..., None], boxes, 0.0)
    middle, half = (safe[..., :2] + safe[..., 2:]) / 2, (safe[..., 2:] - safe[..., :2]) / 2
    away = (centres - middle[:, :, None]).abs()  # (B, K, N, 2)
    near = torch.maximum((_CORE * half).clamp(min=_NEAR * stride).minimum(half), torch.full_like(half, stride / 2))
    answers = (away <= near[:, :, None]).all(dim=3) & there[..., None]  # (B, K, N)
    inside = ((away <= half[:, :, None]).all(dim=3) & there[..., None]).any(dim=1)
    size = torch.where(answers, _area(safe)[..., None], torch.inf)
    chosen = size.argmin(dim=1)  # (B, N)
    target = safe.gather(1, chosen[..., None].expand(-1, -1, 4))
    return answers.any(dim=1), inside, target


def giou(one: Tensor, other: Tensor) -> Tensor:
    """Of boxes (…, 4): shared area over that of both, less the share of the box around both that is in none."""
    low, high = torch.maximum(one[..., :2], other[..., :2]), torch.minimum(one[..., 2:], other[..., 2:])
    shared = _product((high - low).clamp(min=0))
    both = (_area(one) + _area(other) - shared).clamp(min=1e-6)
    low, high = torch.minimum(one[..., :2], other[..., :2]), torch.maximum(one[..., 2:], other[..., 2:])
    around = _product(high - low).clamp(min=1e-6)
    return shared / both - (around - both) / around


def _product(sides: Tensor) -> Tensor:
    """(…, 2) → (…): `prod` would look for zeros on the way back, and make the processor wait."""
    return sides[..., 0] * sides[..., 1]
