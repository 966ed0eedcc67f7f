"""Trains a network on prepared images: resumable, reproducible, best epoch by validation."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from secondread.data import PreparedSet
from secondread.errors import TrainingError
from secondread.stats.metrics import roc_auc
from secondread.training.batches import Batch, epoch_batches, without_copies
from secondread.training.boxes import KnownBoxes, box_loss
from secondread.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from secondread.training.device import choose_device, keep_freed_memory, mixed_precision, own_draws, threads_for
from secondread.training.mixstyle import mixed_styles
from secondread.training.optimise import (
    PLATEAUS,
    MovingAverage,
    count_plateaus,
    freeze,
    label_loss,
    lesion_loss,
    make_optimizer,
    positive_weight_of,
    set_learning_rate,
    source_priors,
    swapped_in,
)
from secondread.training.prepare import LesionMaps
from secondread.training.recipe import Recipe


@dataclass(frozen=True)
class Epoch:
    """One line of the learning curve."""

    epoch: int  # from 1
    loss: float  # mean binary cross-entropy on augmented training images
    val_loss: float
    val_auc: float
    seconds: float


@dataclass
class FitResult:
    """A trained network (its best epoch by validation) and how it got there."""

    model: nn.Module
    history: list[Epoch] = field(default_factory=list)
    best_epoch: int = 0
    val_logits: np.ndarray | None = None  # (n_val,) of the best epoch
    device: str = "cpu"


def fit(
    model: nn.Module,
    train: PreparedSet,
    val: PreparedSet,
    recipe: Recipe,
    *,
    lesions: LesionMaps | None = None,
    boxes: KnownBoxes | None = None,
    n_labelled: int | None = None,
    random_state: int = 0,
    run_folder: Path | None = None,
    fingerprint: str = "",
    device: torch.device | None = None,
    batches_on_device: bool | None = None,
    on_epoch: Callable[[Epoch, int], None] | None = None,
    on_step: Callable[[int, int, int, float], None] | None = None,
) -> FitResult:
    """Train `model` in place of its weights and return it at its best validation AUC.

    lesions: of the training images; used where the recipe weighs them and the network has a lesion map.
    boxes: of the training images; used where the recipe weighs them and the network finds boxes.
    n_labelled: only the first so many training images count by their labels; the others by their lesions alone.
    run_folder: where a checkpoint is written after every epoch; a run found there goes on where it stopped and ends
    bit for bit as if it had not been stopped (same machine, same versions).
    fingerprint: of data and settings; a checkpoint of another run is refused.
    batches_on_device: augment there, a whole batch at once; if not said, on a GPU, and wherever boxes teach. The draws
    are others then.
    on_epoch(epoch, epochs); on_step(epoch, steps, step, loss): for progress bars.
    Raises TrainingError if the data lack a class or a checkpoint does not fit.
    """
    check_classes(train, "train")
    check_classes(val, "val")
    device = device or choose_device()
    if device.type == "cpu":
        keep_freed_memory()
    model.to(device)
    if recipe.bfloat16:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    run = Run(
        model,
        train,
        val,
        recipe,
        device,
        lesions=lesions,
        boxes=boxes,
        n_labelled=n_labelled,
        random_state=random_state,
        batches_on_device=device.type == "cuda" if batches_on_device is None else batches_on_device,
    )
    with threads_for(model):
        return run.fit(run_folder, fingerprint, on_epoch, on_step)


class Run:
    """One training run: what stays the same over its epochs."""

    def __init__(
        self,
        model: nn.Module,
        train: PreparedSet,
        val: PreparedSet,
        recipe: Recipe,
        device: torch.device,
        *,
        lesions: LesionMaps | None,
        boxes: KnownBoxes | None,
        n_labelled: int | None,
        random_state: int,
        batches_on_device: bool,
    ):
        self.model, self.train, self.val, self.recipe, self.device = model, train, val, recipe, device
        self.lesions = lesions if recipe.lesion_weight and hasattr(model, "lesions") else None
        self.n_labelled = n_labelled if n_labelled is not None and n_labelled < len(train) else None
        self.random_state = random_state
        self.draws = bool(recipe.draw_weight) and getattr(model, "finder", None) is not None
        self.boxes = boxes if self.draws or (recipe.box_weight and hasattr(model, "taught_boxes")) else None
        self.batches_on_device = batches_on_device or self.boxes is not None
        self.optimizer = make_optimizer(model, recipe, device)
        self.average = MovingAverage(model, recipe.ema_decay) if recipe.ema_decay else None
        self.positive_weight = positive_weight_of(train.labels[: self.n_labelled])
        self.priors = (
            source_priors([row.source for row in train.rows], train.labels, self.n_labelled)
            if recipe.prior_by_source
            else None
        )

    def fit(
        self,
        run_folder: Path | None,
        fingerprint: str,
        on_epoch: Callable[[Epoch, int], None] | None,
        on_step: Callable[[int, int, int, float], None] | None,
    ) -> FitResult:
        recipe, model, val = self.recipe, self.model, self.val
        state = self._resume(run_folder, fingerprint) or Checkpoint.start(fingerprint, model)
        x_train, x_val = (in_memory(prepared.images, model) for prepared in (self.train, val))
        epoch_of = self.batches(x_train)
        y_val = torch.from_numpy(val.labels.astype(np.float32))
        for epoch in range(len(state.history) + 1, recipe.epochs + 1):
            plateaus = _plateaus(state, recipe)
            if _out_of_patience(state, recipe.patience) or (plateaus >= PLATEAUS and epoch > recipe.least_epochs):
                break
            started = time.perf_counter()
            loss = self.epoch(epoch, epoch_of, on_step, plateaus)
            with swapped_in(model, self.average):
                logits = predict_logits(model, x_val, bfloat16=recipe.bfloat16)
                val_loss = float(F.binary_cross_entropy_with_logits(torch.from_numpy(logits), y_val))
                line = Epoch(epoch, loss, val_loss, roc_auc(val.labels, logits), time.perf_counter() - started)
                state.add(asdict(line), model, logits, keep=recipe.keep == "last")
            if run_folder is not None:
                average = None if self.average is None else (self.average.steps, self.average.weights)
                save_checkpoint(state, model, self.optimizer, run_folder, average=average)
            if on_epoch is not None:
                on_epoch(line, recipe.epochs)
        model.load_state_dict(state.best_weights)
        history = [Epoch(**line) for line in state.history]
        trained = model.cpu().to(memory_format=torch.contiguous_format).eval()  # type: ignore[call-overload]
        return FitResult(trained, history, state.best_epoch, state.best_logits, str(self.device))

    def batches(self, images: np.ndarray) -> Callable[[np.random.Generator, int | None], Iterator[Batch[Any]]]:
        """What makes the batches of an epoch, from a generator and the size of its images."""
        if self.batches_on_device:
            from secondread.training.device_batches import DeviceBatches

            made = DeviceBatches(
                self.train,
                images,
                self.recipe,
                self.device,
                lesions=self.lesions,
                boxes=self.boxes,
                n_labelled=self.n_labelled,
                priors=self.priors,
            )
            return lambda rng, size: made.epoch(rng=rng, size=size)
        return lambda rng, size: epoch_batches(
            self.train,
            images,
            self.recipe,
            rng=rng,
            lesions=self.lesions,
            n_labelled=self.n_labelled,
            priors=self.priors,
            size=size,
        )

    def epoch(
        self,
        epoch: int,
        batches: Callable[[np.random.Generator, int | None], Iterator[Batch[Any]]],
        on_step: Callable[[int, int, int, float], None] | None,
        plateaus: int = 0,
    ) -> float:
        """Mean loss over the images of one epoch."""
        recipe = self.recipe
        waits = on_step is not None or self.device.type == "cpu"  # a GPU works on while the next step is prepared
        steps = math.ceil(len(self.train.labels) / recipe.batch_size)
        # Every epoch draws from generators of its own, so an interrupted epoch repeats exactly.
        seeds = [self.random_state, epoch]
        made = batches(np.random.default_rng(seeds), size_at(epoch, recipe, self.train.images.shape[1]))
        losses: list[Tensor] = []
        sizes: list[int] = []
        self.model.train()
        freeze(self.model, recipe, epoch)
        with (
            own_draws(self.device, seeds),
            mixed_styles(self.model, recipe.mixstyle, rng=np.random.default_rng([*seeds, 1])),
        ):
            for step, batch in enumerate(made, start=1):
                done = (epoch - 1 + (step - 1) / steps) / recipe.epochs
                set_learning_rate(self.optimizer, recipe, epoch=epoch, done=done, plateaus=plateaus)
                losses.append(self._step(batch))
                sizes.append(len(batch.labels))
                value = finite(losses[-1]) if waits else 0.0
                if on_step is not None:
                    on_step(epoch, steps, step, value)
        return sum(finite(loss) * size for loss, size in zip(losses, sizes, strict=True)) / sum(sizes)

    def _step(self, batch: Batch[Any]) -> Tensor:
        """The loss, after which the weights were changed."""
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss(batch)
        loss.backward()
        self.optimizer.step()
        if self.average is not None:
            self.average.update(self.model)
        return loss.detach()

    def loss(self, batch: Batch[Any]) -> Tensor:
        """Of all that the recipe weighs."""
        x = self._to_device(batch.images)
        labels = self._to_device(batch.labels)
        weights = None if batch.label_weights is None else self._to_device(batch.label_weights)
        if self.recipe.bfloat16:
            x = x.contiguous(memory_format=torch.channels_last)
        with mixed_precision(self.model, self.device, bfloat16=self.recipe.bfloat16):
            places = cells = reach = None
            if self.boxes is not None and self.draws:
                logits, places, cells, reach = self.model.lesions_and_boxes(x)  # type: ignore[operator]
            elif self.boxes is not None:
                logits, cells, reach = self.model.taught_boxes(x)  # type: ignore[operator]
            elif self.lesions is not None:
                logits, places = self.model.lesions(x)  # type: ignore[operator]
            else:
                logits = self.model(x)
        said = logits[:, 0].float()
        if batch.priors is not None:
            said = said + self._to_device(batch.priors)
        loss = label_loss(said, labels, self.recipe, positive_weight=self.positive_weight, weights=weights)
        if cells is not None and reach is not None and batch.boxes is not None and batch.boxes_known is not None:
            drawn_by: Any = self.model.finder if self.draws else self.model
            found = box_loss(cells, reach, batch.boxes, batch.boxes_known, drawn_by.geometry)
            loss = loss + (self.recipe.draw_weight if self.draws else self.recipe.box_weight) * found
        if places is None or batch.lesions is None or batch.lesion_known is None:
            return loss
        covers, known = self._to_device(batch.lesions), self._to_device(batch.lesion_known)
        return loss + self.recipe.lesion_weight * lesion_loss(places.float(), covers, known)

    def _to_device(self, values: np.ndarray | Tensor) -> Tensor:
        return torch.as_tensor(values).to(self.device, non_blocking=True)

    def _resume(self, run_folder: Path | None, fingerprint: str) -> Checkpoint | None:
        found = None if run_folder is None else load_checkpoint(run_folder, self.device, fingerprint=fingerprint)
        if found is None:
            return None
        state, weights, optimizer_state, average = found
        self.model.load_state_dict(weights)
        self.optimizer.load_state_dict(optimizer_state)
        if self.average is not None and average is not None:
            self.average.steps, self.average.weights = average
        return state


@torch.inference_mode()
def predict_logits(
    model: nn.Module, images: np.ndarray, *, batch_size: int = 256, bfloat16: bool = False
) -> np.ndarray:
    """images: uint8 (n, size, size, channels) → logits float32 (n,), on the model's device."""
    model.eval()
    device = next(model.parameters()).device
    batch_size = max(1, min(batch_size, batch_size * 128**2 // images.shape[1] ** 2))
    parts = []
    for start in range(0, len(images), batch_size):
        with mixed_precision(model, device, bfloat16=bfloat16):
            logits = model(_to_input(images[start : start + batch_size], device, channels_last=bfloat16))
        parts.append(logits[:, 0].float().cpu())
    return torch.cat(parts).numpy()


def size_at(epoch: int, recipe: Recipe, size: int) -> int | None:
    """Side of this epoch's images, a multiple of 32; None: their own."""
    if recipe.sizes == (1.0,):
        return None
    part = min(len(recipe.sizes) - 1, (epoch - 1) * len(recipe.sizes) // recipe.epochs)
    return min(size, max(32, round(recipe.sizes[part] * size / 32) * 32))


def in_memory(images: np.ndarray, model: nn.Module) -> np.ndarray:
    """In memory, and in one channel where the images are grey and the network says it takes them so."""
    return without_copies(images) if getattr(model, "takes_grey", False) else np.array(images)


def _to_input(images: np.ndarray, device: torch.device, *, channels_last: bool) -> Tensor:
    """uint8 (batch, size, size, channels) → float (batch, channels, size, size) in 0–1."""
    pixels = torch.from_numpy(images).to(device).permute(0, 3, 1, 2)
    order = torch.channels_last if channels_last else torch.contiguous_format
    return pixels.contiguous(memory_format=order).float() / 255


def finite(loss: Tensor) -> float:
    """Its value. Raises TrainingError if it is none."""
    value = float(loss)
    if not math.isfinite(value):
        raise TrainingError("the loss is no longer a number; lower the learning rate (--learning-rate)")
    return value


def _out_of_patience(state: Checkpoint, patience: int | None) -> bool:
    return patience is not None and state.best_epoch > 0 and len(state.history) - state.best_epoch >= patience


def _plateaus(state: Checkpoint, recipe: Recipe) -> int:
    if recipe.scheduler != "plateau":
        return 0
    return count_plateaus([line["val_loss"] for line in state.history], recipe.flat_after)


def check_classes(prepared: PreparedSet, split: str) -> None:
    """Raises TrainingError if the split lacks a class."""
    if len(set(prepared.labels.tolist())) < 2:
        raise TrainingError(f"the {split} split needs images of both classes; see `secondread data info`")
