"""Optimizer, learning rates, moving average and loss, as a recipe asks for them."""

import math
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from secondread.training.recipe import Recipe

_FINDER_SHARE = 3.0  # a part that draws starts from nothing: at the network's own rate its sides hardly move


def make_optimizer(model: nn.Module, recipe: Recipe, device: torch.device) -> torch.optim.Optimizer:
    """Adam or AdamW; stages nearer to the image learn slower where the recipe says so.

    Biases and the scales of normalisations are not decayed. Every group's `share` is its part of the learning rate.
    """
    # fused: one pass over all weights instead of a dozen small ones for each; a fifth of the step in a small network
    fused = device.type in ("cpu", "cuda")
    if recipe.optimizer == "adam":
        adam = torch.optim.Adam(
            model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=fused
        )
        adam.param_groups[0]["share"] = 1.0
        return adam
    stages = _stages(model)
    parts = [(stage, recipe.stage_decay ** (len(stages) - 1 - number)) for number, stage in enumerate(stages)]
    if getattr(model, "finder", None) is not None:
        parts.append((model.finder, _FINDER_SHARE))  # type: ignore[arg-type]
    groups = []
    for number, (stage, share) in enumerate(parts):
        for decayed in (True, False):
            chosen = [p for p in stage.parameters() if p.requires_grad and (p.ndim > 1) is decayed]
            if chosen:
                decay = recipe.weight_decay if decayed else 0.0
                groups.append({"params": chosen, "weight_decay": decay, "share": share, "stage": number})
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, fused=fused)


def set_learning_rate(
    optimizer: torch.optim.Optimizer, recipe: Recipe, *, epoch: int, done: float, plateaus: int = 0
) -> None:
    """epoch: from 1. done: share of the whole run that lies behind, 0 to 1; only 'one-cycle' looks at it. plateaus: of
    the validation loss so far, see `count_plateaus`; only 'plateau' looks at it."""
    if recipe.scheduler == "plateau":
        share = 0.1 ** min(plateaus, PLATEAUS - 1)
    elif recipe.scheduler == "one-cycle":
        share = _one_cycle(done, recipe.warmup)
    elif recipe.scheduler == "cosine":
        share = 0.5 * (1 + math.cos(math.pi * (epoch - 1) / recipe.epochs))
    else:
        share = 1.0
    for group in optimizer.param_groups:
        group["lr"] = recipe.learning_rate * share * group["share"]


PLATEAUS = 3  # of the validation loss, after which training ends
_LEAST_FALL = 0.001  # of the validation loss, in nats: less is noise


def count_plateaus(val_losses: Sequence[float], flat_after: int) -> int:
    """How often so many epochs in a row brought no lower validation loss. It follows from the losses alone, so that a
    run that was interrupted goes on at the same learning rate."""
    lowest, waited, found = float("inf"), 0, 0
    for loss in val_losses:
        if loss < lowest - _LEAST_FALL:
            lowest, waited = loss, 0
        else:
            waited += 1
        if waited == flat_after:
            waited, found = 0, found + 1
    return found


def is_flat(val_losses: Sequence[float], flat_after: int = 8) -> bool:
    """Whether the lowest validation loss lies so many epochs back: by this, training has been long enough."""
    lowest, at = float("inf"), 0
    for epoch, loss in enumerate(val_losses, start=1):
        if loss < lowest - _LEAST_FALL:
            lowest, at = loss, epoch
    return len(val_losses) - at >= flat_after > 0 and at > 0


def _one_cycle(done: float, warmup: float) -> float:
    """Up from 1/25 to 1 and down to nearly 0, along cosines (Smith and Topin 2018)."""
    if done < warmup:
        return 1 + (1 / 25 - 1) * 0.5 * (1 + math.cos(math.pi * done / warmup))
    return 1e-4 + (1 - 1e-4) * 0.5 * (1 + math.cos(math.pi * (done - warmup) / max(1e-9, 1 - warmup)))


def freeze(model: nn.Module, recipe: Recipe, epoch: int) -> None:
    """Lets the stages learn that the recipe lets learn in this epoch."""
    if not (recipe.frozen_stages or recipe.frozen_epochs):
        return
    stages = _stages(model)
    frozen = len(stages) - 1 if epoch <= recipe.frozen_epochs else recipe.frozen_stages
    for number, stage in enumerate(stages):
        for parameter in stage.parameters():
            parameter.requires_grad_(number >= frozen)


def _stages(model: nn.Module) -> list[nn.Module]:
    return list(model.stages()) if hasattr(model, "stages") else [model]  # type: ignore[operator]


class MovingAverage:
    """Exponential moving average of all weights and statistics; young averages follow faster."""

    def __init__(self, model: nn.Module, decay: float):
        self.decay = decay
        self.steps = 0
        self.weights = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """After every step."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        if next(iter(self.weights.values())).is_cuda:  # a few launches for all tensors instead of one for each
            state = {name: tensor for name, tensor in model.state_dict().items() if tensor.is_floating_point()}
            torch._foreach_lerp_([self.weights[name] for name in state], list(state.values()), 1 - decay)
            return
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point():
                self.weights[name].lerp_(tensor, 1 - decay)
            else:
                self.weights[name].copy_(tensor)


class swapped_in:
    """For a while, the model has the averaged weights; without an average, its own."""

    def __init__(self, model: nn.Module, average: MovingAverage | None):
        self._model, self._average = model, average

    def __enter__(self) -> nn.Module:
        if self._average is not None:
            self._own = {name: tensor.detach().clone() for name, tensor in self._model.state_dict().items()}
            self._model.load_state_dict(self._average.weights)
        return self._model

    def __exit__(self, *_: object) -> None:
        if self._average is not None:
            self._model.load_state_dict(self._own)


def source_priors(sources: Sequence[str], labels: Iterable[bool], n_labelled: int | None = None) -> np.ndarray:
    """What an image's source alone says of its label: the log odds of disease among its labelled images, less those of
    all, float32 (n,). Each class counts one more than there are, so that a source of one class says something finite.

    Added to the logits while they learn, and left out afterwards, they keep a network from learning that the look of a
    source in which more are diseased is disease (Menon et al., ICLR 2021, of classes in place of sources).
    """
    names, ill = np.array(sources[:n_labelled]), np.array(list(labels)[:n_labelled], dtype=bool)

    def odds(chosen: np.ndarray) -> float:
        return math.log((chosen.sum() + 1) / ((~chosen).sum() + 1))

    said = {name: odds(ill[names == name]) - odds(ill) for name in set(names.tolist())}
    return np.array([said.get(source, 0.0) for source in sources], dtype=np.float32)


def label_loss(
    logits: Tensor, labels: Tensor, recipe: Recipe, *, positive_weight: float, weights: Tensor | None
) -> Tensor:
    """Mean binary cross-entropy of logits (B,) and labels (B,) in 0–1, smoothed, balanced or focal as asked."""
    smooth = labels * (1 - recipe.label_smoothing) + 0.5 * recipe.label_smoothing
    if not (recipe.balance or recipe.focal_gamma or weights is not None):
        return F.binary_cross_entropy_with_logits(logits, smooth)
    losses = F.binary_cross_entropy_with_logits(logits, smooth, reduction="none")
    if recipe.focal_gamma:
        missed = (labels - torch.sigmoid(logits)).abs()
        losses = losses * missed**recipe.focal_gamma
    if recipe.balance:
        losses = losses * (1 + (positive_weight - 1) * labels)
    if weights is None:
        return losses.mean()
    return (losses * weights).sum() / weights.sum().clamp(min=1)


def lesion_loss(scores: Tensor, covers: Tensor, known: Tensor) -> Tensor:
    """Cross-entropy and Dice loss of cell scores (B, rows, columns) against the covered share of every cell.

    covers: (B, size, size) in 0–1; known: bool (B,), the others do not count. Both parts are taken over the batch,
    since most cells of most images hold no lesion.
    """
    if scores.is_cuda:
        return lesion_loss_unasked(scores, covers, known)
    if not bool(known.any()):
        return scores.sum() * 0
    cells = F.adaptive_max_pool2d(covers[known][:, None], scores.shape[1:])[:, 0]
    chosen = scores[known].float()
    entropy = F.binary_cross_entropy_with_logits(chosen, cells)
    found = torch.sigmoid(chosen)
    overlap = 2 * (found * cells).sum() / (found.sum() + cells.sum()).clamp(min=1)
    return entropy + (1 - overlap if bool(cells.sum() > 0) else 0)


def lesion_loss_unasked(scores: Tensor, covers: Tensor, known: Tensor) -> Tensor:
    """The same without asking the device what it holds, which would make the processor wait at every step."""
    cells = F.adaptive_max_pool2d(covers[:, None], scores.shape[1:])[:, 0]
    counts = known[:, None, None].expand_as(scores).float()
    entropy = F.binary_cross_entropy_with_logits(scores, cells, reduction="none")
    found, cells = torch.sigmoid(scores) * counts, cells * counts
    overlap = 2 * (found * cells).sum() / (found.sum() + cells.sum()).clamp(min=1)
    return (entropy * counts).sum() / counts.sum().clamp(min=1) + torch.where(cells.sum() > 0, 1 - overlap, 0)


def positive_weight_of(labels: Iterable[bool]) -> float:
    """How many negatives there are for one positive."""
    values = list(labels)
    return (len(values) - sum(values)) / max(1, sum(values))
