"""Batches made where the network learns: images stay on the device, and a whole batch is augmented at once.

The same steps in the same order as `augment` and `epoch_batches` take them, of the same recipe; the draws are others,
and grey values are rounded nowhere between the steps. For a GPU, which would wait for a processor's thread.
"""

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from secondread.data import PreparedSet
from secondread.errors import UsageError
from secondread.training.batches import Batch, epoch_pieces
from secondread.training.boxes import KnownBoxes, clipped, moved_boxes
from secondread.training.looks import FEATHER, SURROUNDINGS
from secondread.training.prepare import LesionMaps
from secondread.training.recipe import Recipe

_MOVES = {"rotation", "horizontal_flip", "vertical_flip"}
_DETAILS = 4  # different losses of detail in a batch
_BLUR = torch.arange(-2.0, 3.0)  # pixels of the Gaussian filter


class DeviceBatches:
    """The training images on the device, and how their batches are made."""

    def __init__(
        self,
        prepared: PreparedSet,
        images: np.ndarray,
        recipe: Recipe,
        device: torch.device,
        *,
        lesions: LesionMaps | None = None,
        boxes: KnownBoxes | None = None,
        n_labelled: int | None = None,
        priors: np.ndarray | None = None,
    ):
        """images: uint8 (n, S, S, C), those of `prepared`, perhaps with fewer channels. Others as `epoch_batches`.

        Raises UsageError for boxes in images that a recipe would mix: a box is there or it is not.
        """
        if boxes is not None and (recipe.mixup or recipe.cutmix or recipe.paste):
            raise UsageError("boxes cannot teach in mixed images; leave out mixup, cutmix and paste, or box_weight")
        self.prepared, self.recipe, self.device, self.n_labelled = prepared, recipe, device, n_labelled
        self.images = torch.from_numpy(images).to(device)
        self.boxes = None if boxes is None else torch.from_numpy(boxes.boxes).to(device)
        self.boxes_known = None if boxes is None else torch.from_numpy(boxes.known).to(device)
        self.labels = torch.from_numpy(prepared.labels.astype(np.float32)).to(device)
        self.lesions = None if lesions is None else _DeviceMaps(lesions, device)
        self.priors = None if priors is None else torch.from_numpy(priors).to(device)

    def epoch(self, *, rng: np.random.Generator, size: int | None = None) -> Iterator[Batch[Tensor]]:
        """One epoch, its arrays being tensors on the device. size: pixels of the batches' images, if not their own."""
        draw = Draws(rng, self.device)
        order = np.concatenate(epoch_pieces(self.prepared, self.recipe, rng=rng))
        for numbers in torch.from_numpy(order).to(self.device).split(self.recipe.batch_size):
            yield self._batch(numbers, draw, size)

    def _batch(self, numbers: Tensor, draw: "Draws", size: int | None) -> Batch[Tensor]:
        recipe = self.recipe
        pixels = self.images[numbers].permute(0, 3, 1, 2).float()
        labels = self.labels[numbers]
        covers = known = None
        if self.lesions is not None:
            covers, known = self.lesions.pixels(numbers), self.lesions.known[numbers]
            if recipe.paste:
                pixels, covers, pasted = paste_pieces(pixels, covers, known, recipe.paste, draw)
                labels = torch.where(pasted, 1.0, labels)
        boxes = None if self.boxes is None else self.boxes[numbers]
        pixels, covers, boxes = augment_on_device(pixels, recipe, draw, covers=covers, boxes=boxes)
        own_size, pixels = pixels.shape[-1], _resized(pixels, size) / 255
        batch = Batch(pixels, labels)
        if boxes is not None and self.boxes_known is not None:
            batch = batch._replace(boxes=boxes * (pixels.shape[-1] / own_size), boxes_known=self.boxes_known[numbers])
        if self.n_labelled is not None:
            batch = batch._replace(label_weights=(numbers < self.n_labelled).float())
        if self.priors is not None:
            batch = batch._replace(priors=self.priors[numbers])
        if covers is not None:
            batch = batch._replace(lesions=_resized(covers, size)[:, 0], lesion_known=known)
        return _mixed(batch, recipe, draw) if recipe.mixup or recipe.cutmix else batch


class _DeviceMaps:
    """LesionMaps on the device: the diseased images' maps, and one empty map for all others."""

    def __init__(self, lesions: LesionMaps, device: torch.device):
        numbers = sorted(lesions.covers)
        place = np.full(len(lesions.known), len(numbers))
        place[numbers] = np.arange(len(numbers))
        maps = np.zeros((len(numbers) + 1, lesions.size, lesions.size), dtype=np.uint8)
        for row, number in enumerate(numbers):
            maps[row] = lesions.covers[number]
        self._maps = torch.from_numpy(maps).to(device)
        self._place = torch.from_numpy(place).to(device)
        self.known = torch.from_numpy(lesions.known).to(device)

    def pixels(self, numbers: Tensor) -> Tensor:
        """float32 (B, 1, S, S) in 0–1."""
        return self._maps[self._place[numbers]][:, None].float() / 255


class Draws:
    """Random numbers on the device, and a generator beside it for what the processor must know."""

    def __init__(self, rng: np.random.Generator, device: torch.device):
        self.host, self._device = rng, device
        self._generator = torch.Generator(device).manual_seed(int(rng.integers(2**62)))

    def uniform(self, *shape: int) -> Tensor:
        """In 0–1."""
        return torch.rand(shape, generator=self._generator, device=self._device)

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self._generator, device=self._device)

    def below(self, n: int, *shape: int) -> Tensor:
        """Whole numbers from 0 to n - 1."""
        return torch.randint(n, shape, generator=self._generator, device=self._device)

    def order(self, n: int) -> Tensor:
        return torch.randperm(n, generator=self._generator, device=self._device)

    def one_of(self, weights: Tensor, n: int) -> Tensor:
        """n numbers of entries, each drawn as often as it weighs; weights (m,), not all of them 0."""
        return torch.multinomial(weights, n, replacement=True, generator=self._generator)


def augment_on_device(
    pixels: Tensor, recipe: Recipe, draw: Draws, *, covers: Tensor | None = None, boxes: Tensor | None = None
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Each image of the batch changed at random, as `augment` does, with what moves with it.

    pixels: (B, C, S, S) in 0–255; covers (B, 1, S, S); boxes (B, K, 4), see `KnownBoxes`.
    """
    chosen, n = set(recipe.augmentations), len(pixels)
    donors = draw.below(n, n) if recipe.tones or recipe.fourier else None
    originals = pixels
    if donors is not None and recipe.tones:
        pixels = _where(draw.uniform(n) < recipe.tones, match_tones(pixels, originals[donors]), pixels)
    if recipe.coarsest:
        pixels = _coarsened(pixels, recipe.coarsest, draw)
    if recipe.local_contrast:
        amount = (2 * draw.uniform(n, 1, 1, 1) - 1) * recipe.local_contrast
        pixels = (pixels + amount * (pixels - _surroundings(pixels))).clamp(0, 255)
    if donors is not None and recipe.fourier:
        share = (draw.uniform(n) < 0.5) * recipe.fourier * draw.uniform(n)
        pixels = _amplitudes_mixed(pixels, originals[donors], share)
    if chosen & _MOVES or recipe.zoom or recipe.shift:
        size = pixels.shape[-1]
        back, offset = _movement(n, size, chosen, recipe, draw, pixels.device)
        grid = _grid(size, back, offset)
        pixels = _warp(pixels, grid)
        covers = None if covers is None else _warp(covers, grid)
        boxes = None if boxes is None else moved_boxes(boxes, back, offset, size=size)
    elif boxes is not None:
        boxes = clipped(boxes, size=pixels.shape[-1])
    if "contrast" in chosen:
        mean = pixels.mean(dim=(1, 2, 3), keepdim=True)
        pixels = ((pixels - mean) * _between(recipe.contrast, draw.uniform(n, 1, 1, 1)) + mean).clamp(0, 255)
    pixels = _tone_changed(pixels, recipe, draw)
    if "gaussian_blur" in chosen:
        pixels = _where(draw.uniform(n) < recipe.blur_share, _blurred(pixels, recipe.blur_sigma), pixels)
    return pixels, covers, boxes


def match_tones(pixels: Tensor, donors: Tensor) -> Tensor:
    """The order of an image's grey values, with the distribution of its donor's. Both (B, C, S, S) in 0–255."""
    shape = pixels.shape
    own, theirs = (values.round().clamp(0, 255).long().flatten(2).flatten(0, 1) for values in (pixels, donors))
    share, wanted = _distribution(own), _distribution(theirs)  # (B · C, 256), rising to 1
    # the level at which the donor's distribution reaches that share, with a line between levels that it has
    upper = torch.searchsorted(wanted, share.contiguous()).clamp(max=255)
    lower = (upper - 1).clamp(min=0)
    low, high = wanted.gather(1, lower), wanted.gather(1, upper)
    table = lower + (upper - lower) * ((share - low) / (high - low).clamp(min=1e-6)).clamp(0, 1)
    return table.gather(1, own).view(shape)


def _distribution(levels: Tensor) -> Tensor:
    """(n, pixels) of 0–255 → share of the pixels at each level or below it (n, 256)."""
    counts = torch.zeros(len(levels), 256, device=levels.device)
    counts.scatter_add_(1, levels, torch.ones((), device=levels.device).expand(levels.shape))
    return counts.cumsum(1) / levels.shape[1]


def paste_pieces(
    pixels: Tensor, covers: Tensor, known: Tensor, share: float, draw: Draws
) -> tuple[Tensor, Tensor, Tensor]:
    """As `looks.paste_pieces`: the images and covers with what was pasted, and who got a lesion, bool (B,)."""
    n, tiny = len(pixels), 1e-9  # a batch without one kind still needs something to draw from
    ill = covers.amax(dim=(1, 2, 3)) > 0
    healthy = known & ~ill
    takes = healthy & (draw.uniform(n) < share) & ill.any()
    givers, lesion = draw.one_of(ill + tiny, n), draw.uniform(n) < 0.5
    content = pixels[torch.where(lesion, givers, draw.one_of(healthy + tiny, n))]
    (own_mean, own_spread), (their_mean, their_spread) = _moments(pixels), _moments(content)
    fitted = (content - their_mean) / their_spread.clamp(min=1) * own_spread + own_mean
    soft = (2 * _gaussian(covers[givers], FEATHER * pixels.shape[-1])).clamp(max=1)
    blended = (pixels * (1 - soft) + fitted * soft).clamp(0, 255)
    pasted = takes & lesion
    return _where(takes, blended, pixels), _where(pasted, covers[givers], covers), pasted


def _moments(values: Tensor) -> tuple[Tensor, Tensor]:
    return values.mean(dim=(1, 2, 3), keepdim=True), values.std(dim=(1, 2, 3), keepdim=True, unbiased=False)


def _movement(
    n: int, size: int, chosen: set[str], recipe: Recipe, draw: Draws, device: torch.device
) -> tuple[Tensor, Tensor]:
    """(n, 2, 2) and (n, 2, 1): where every place of the result lies in its image; as `augment`'s, turned round."""
    zero, one = torch.zeros(n, device=device), torch.ones(n, device=device)
    angle = (2 * draw.uniform(n) - 1) * math.radians(recipe.rotation_degrees) if "rotation" in chosen else zero
    flips = [
        torch.where(draw.uniform(n) < 0.5, -one, one) if f"{axis}_flip" in chosen else one
        for axis in ("horizontal", "vertical")
    ]
    scale = one if recipe.zoom is None else _between(recipe.zoom, draw.uniform(n))
    ratio = recipe.stretch ** (draw.uniform(n) - 0.5)
    x, y = flips[0] * scale * ratio, flips[1] * scale / ratio
    shift = (2 * draw.uniform(n, 2) - 1) * recipe.shift * size * 2 / (size - 1)  # the grid reaches from -1 to 1
    cos, sin = torch.cos(angle), torch.sin(angle)
    # forwards: point = turn @ place + shift, about the centre; the grid asks the way back
    back = torch.stack([torch.stack([cos / x, sin / x], 1), torch.stack([-sin / y, cos / y], 1)], 1)
    return back, -(back @ shift[..., None])


def _grid(size: int, back: Tensor, offset: Tensor) -> Tensor:
    """(n, S, S, 2), as `grid_sample` takes it."""
    steps = torch.linspace(-1, 1, size, device=back.device)
    places = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), dim=-1).view(1, -1, 2)
    return (places @ back.transpose(1, 2) + offset.transpose(1, 2)).view(len(back), size, size, 2)


def _warp(values: Tensor, grid: Tensor) -> Tensor:
    """Black where nothing was."""
    return F.grid_sample(values, grid, mode="bilinear", padding_mode="zeros", align_corners=True)


def _tone_changed(pixels: Tensor, recipe: Recipe, draw: Draws) -> Tensor:
    n, side = len(pixels), pixels.shape[-1]
    if recipe.gamma:
        low, high = (math.log(limit) for limit in recipe.gamma)
        exponent = torch.exp(_between((low, high), draw.uniform(n, 1, 1, 1)))
        pixels = 255 * (pixels / 255).clamp(1e-6, 1) ** exponent
    if recipe.noise:
        spread = recipe.noise * draw.uniform(n, 1, 1, 1)
        pixels = (pixels + spread * draw.normal(n, 1, side, side)).clamp(0, 255)
    if recipe.erase:
        width, height = (torch.floor(recipe.erase * side * draw.uniform(n, 1, 1)) for _ in range(2))
        left, top = (torch.floor(draw.uniform(n, 1, 1) * (side - length)) for length in (width, height))
        at = torch.arange(side, device=pixels.device)
        columns, rows = at[None, None, :], at[None, :, None]
        inside = (columns >= left) & (columns < left + width) & (rows >= top) & (rows < top + height)
        pixels = torch.where(inside[:, None], pixels.mean(dim=(1, 2, 3), keepdim=True), pixels)
    return pixels


def _coarsened(pixels: Tensor, coarsest: float, draw: Draws) -> Tensor:
    """Half of the images lose detail; a batch draws a few sides, so that every part of it is resized at once."""
    size, parts = pixels.shape[-1], []
    shares = draw.host.uniform(coarsest, 1.0, _DETAILS)
    for part, share in zip(pixels.chunk(_DETAILS), shares, strict=False):
        side = max(8, round(size * float(share)))
        small = F.interpolate(part, size=(side, side), mode="area")
        parts.append(F.interpolate(small, size=(size, size), mode="bicubic").clamp(0, 255))
    return _where(draw.uniform(len(pixels)) < 0.5, torch.cat(parts), pixels)


def _surroundings(pixels: Tensor) -> Tensor:
    side, size = max(2, round(pixels.shape[-1] * SURROUNDINGS)), pixels.shape[-1]
    return F.interpolate(F.interpolate(pixels, size=(side, side), mode="area"), size=(size, size), mode="bilinear")


def _amplitudes_mixed(pixels: Tensor, donors: Tensor, share: Tensor) -> Tensor:
    own = torch.fft.rfft2(pixels)
    size = own.abs()
    mixed = size + share[:, None, None, None] * (torch.fft.rfft2(donors).abs() - size)
    return torch.fft.irfft2(own * (mixed / size.clamp(min=1e-6)), s=pixels.shape[-2:]).clamp(0, 255)


def _blurred(pixels: Tensor, sigma: float) -> Tensor:
    """A filter of 5 × 5 pixels, mirrored at the edges as OpenCV does."""
    line = torch.exp(-((_BLUR.to(pixels.device) / sigma) ** 2) / 2)
    return _filtered(pixels, line / line.sum(), "reflect")


def _gaussian(values: Tensor, sigma: float) -> Tensor:
    reach = math.ceil(3 * sigma)
    line = torch.exp(-((torch.arange(-reach, reach + 1, device=values.device) / sigma) ** 2) / 2)
    return _filtered(values, line / line.sum(), "replicate")


def _filtered(values: Tensor, line: Tensor, edge: str) -> Tensor:
    """By a line along either axis."""
    reach, shape = len(line) // 2, values.shape
    one = F.pad(values.reshape(-1, 1, *shape[2:]), (reach, reach, reach, reach), mode=edge)
    return F.conv2d(F.conv2d(one, line.view(1, 1, 1, -1)), line.view(1, 1, -1, 1)).view(shape)


def _resized(values: Tensor, size: int | None) -> Tensor:
    return values if size is None or values.shape[-1] == size else F.interpolate(values, size=(size, size), mode="area")


def _mixed(batch: Batch[Tensor], recipe: Recipe, draw: Draws) -> Batch[Tensor]:
    """As `epoch_batches` mixes."""
    n, side, rng = len(batch.images), batch.images.shape[-1], draw.host
    partner = draw.order(n)
    cut = recipe.cutmix and (not recipe.mixup or rng.random() < 0.5)
    alpha = recipe.cutmix if cut else recipe.mixup
    share = float(rng.beta(alpha, alpha))
    if cut:
        half, (x, y) = side * math.sqrt(share) / 2, rng.random(2) * side
        by = torch.zeros(side, side, device=batch.images.device)
        by[max(0, int(y - half)) : int(y + half), max(0, int(x - half)) : int(x + half)] = 1
        top, left = max(0, int(y - half)), max(0, int(x - half))
        share = (min(side, int(y + half)) - top) * (min(side, int(x + half)) - left) / side**2
    else:
        by = torch.full((1, 1), share, device=batch.images.device)
    mixed = Batch(_mix(batch.images, partner, by), _mix(batch.labels, partner, share))
    if batch.label_weights is not None:
        mixed = mixed._replace(label_weights=batch.label_weights * batch.label_weights[partner])
    if batch.priors is not None:
        mixed = mixed._replace(priors=_mix(batch.priors, partner, share))
    if batch.lesions is not None and batch.lesion_known is not None:
        known = batch.lesion_known & batch.lesion_known[partner]
        mixed = mixed._replace(lesions=_mix(batch.lesions, partner, by), lesion_known=known)
    return mixed


def _mix(values: Tensor, partner: Tensor, by: Tensor | float) -> Tensor:
    return values * (1 - by) + values[partner] * by


def _where(chosen: Tensor, values: Tensor, others: Tensor) -> Tensor:
    """chosen: bool (B,)."""
    return torch.where(chosen[:, None, None, None], values, others)


def _between(limits: tuple[float, float], draw: Tensor) -> Tensor:
    return limits[0] + (limits[1] - limits[0]) * draw
