"""Who may learn from what, and where the lesions of prepared images lie."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import nn

from secondread.data import Manifest, Row
from secondread.data.split import training_share, validation_share
from secondread.errors import UsageError
from secondread.evidence.localisation import Lesions, load_lesions
from secondread.images import PrepareSpec, decode, prepare
from secondread.models import create_model
from secondread.models.weights import load_weights, sha256_of
from secondread.training.recipe import Recipe


@dataclass(frozen=True, eq=False)
class LesionMaps:
    """For every image of a set: whether it is known where its lesions lie, and the part of the input they cover."""

    covers: dict[int, np.ndarray]  # number of a diseased image → uint8 (size, size), 255 where covered
    known: np.ndarray  # bool (n,): also where there is no disease, hence no lesion
    size: int

    def pixels(self, numbers: np.ndarray) -> np.ndarray:
        """uint8 (len(numbers), size, size), a new array."""
        out = np.zeros((len(numbers), self.size, self.size), dtype=np.uint8)
        for place, number in enumerate(numbers):
            if int(number) in self.covers:
                out[place] = self.covers[int(number)]
        return out


def lesion_maps(manifest: Manifest, rows: Sequence[Row], spec: PrepareSpec) -> LesionMaps:
    """From the masks of the rows and the boxes beside the manifest.

    Raises CannotOpen or DataInvalid for a mask or table of boxes that cannot be used.
    """
    lesions = load_lesions(manifest)
    given = [number for number, row in enumerate(rows) if lesions.known(row)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        covers = pool.map(lambda number: _cover(rows[number], lesions, spec), given)
    known = np.array([row.label == 0 for row in rows])
    known[given] = True
    return LesionMaps(dict(zip(given, covers, strict=True)), known, spec.size)


def _cover(row: Row, lesions: Lesions, spec: PrepareSpec) -> np.ndarray:
    """uint8 (size, size): the lesion as the prepared image shows it."""
    image = decode(row.path.read_bytes())
    shape = (image.width, image.height)
    covered = lesions.coverage(row, width=image.width, height=image.height, image_size=shape)
    x0, y0, x1, y1 = prepare(image, spec).box
    scale_x, scale_y = spec.size / (x1 - x0), spec.size / (y1 - y0)
    # Centre of a pixel on centre of a pixel, as area averages place them.
    matrix = np.array([
        [scale_x, 0, (0.5 - x0) * scale_x - 0.5],
        [0, scale_y, (0.5 - y0) * scale_y - 0.5],
    ])  # fmt: skip
    return cv2.warpAffine(np.round(covered * 255).astype(np.uint8), matrix, (spec.size, spec.size))


def new_network(model_name: str, spec: PrepareSpec, recipe: Recipe, *, random_state: int) -> nn.Module:
    """The network before training: drawn by `random_state`, or with the weights that the recipe starts from.

    Raises UnknownName, UsageError for weights that do not fit, CannotOpen, or DownloadError.
    """
    if len(spec.views) > 1:
        raise UsageError(f"a network sees one view of an image, not '{spec.field}': train one for each and merge them")
    with torch.random.fork_rng(devices=[]):  # initial weights draw from the global generator; it is put back
        torch.manual_seed(random_state)
        imagenet = recipe.pretrained and not recipe.weights
        options = {name: getattr(recipe, name) for name in ("per_image", "sharpness") if getattr(recipe, name)}
        options |= {"draws": True} if recipe.draw_weight else {}
        try:
            model: nn.Module = create_model(
                model_name, in_chans=spec.channels, input_size=spec.size, pretrained=imagenet, **options
            )
        except TypeError as error:
            if not options:
                raise
            raise UsageError(f"the network '{model_name}' does not take {' and '.join(options)}: {error}") from error
    if recipe.weights:
        load_weights(model, recipe.weights, sha256=recipe.weights_sha256 or None)
    return model


def recorded_recipe(recipe: Recipe) -> dict[str, Any]:
    """The recipe as JSON keeps it: weights to start from by the file's name and its SHA-256. Raises CannotOpen."""
    if not recipe.weights:
        return recipe.to_dict()
    digest = sha256_of(recipe.weights, recipe.weights_sha256)
    return replace(recipe, weights=Path(recipe.weights).name, weights_sha256=digest).to_dict()


def lesion_rows(manifest: Manifest, lesions_from: Sequence[str]) -> tuple[Row, ...]:
    """Rows of shared splits that are trained on by their lesions, though not by their labels."""
    return tuple(row for split in lesions_from for row in training_share(manifest, split).rows)


def val_rows(manifest: Manifest, lesions_from: Sequence[str]) -> tuple[Row, ...]:
    """Rows that thresholds are chosen on besides validation: a share of every collection trained on by its lesions.

    Validation alone is of the training hospitals; a threshold must hold where the other collections come from too.
    """
    return tuple(row for split in lesions_from for row in validation_share(manifest, split).rows)
