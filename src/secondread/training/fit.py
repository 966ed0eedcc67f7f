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
from secondread.evidence import roc_auc
from secondread.training.augment import augment
from secondread.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from secondread.training.recipes import Recipe


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


def choose_device() -> torch.device:
    """CUDA where there is one, else Apple's MPS, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def fit(
    model: nn.Module,
    train: PreparedSet,
    val: PreparedSet,
    recipe: Recipe,
    *,
    random_state: int = 0,
    run_folder: Path | None = None,
    fingerprint: str = "",
    device: torch.device | None = None,
    on_epoch: Callable[[Epoch, int], None] | None = None,
    on_step: Callable[[int, int, int, float], None] | None = None,
) -> FitResult:
    """Train `model` in place of its weights and return it at its best validation AUC.

    run_folder: where a checkpoint is written after every epoch; a run found there goes on where it stopped and ends
    bit for bit as if it had not been stopped (same machine, same versions).
    fingerprint: of data and settings; a checkpoint of another run is refused.
    on_epoch(epoch, epochs); on_step(epoch, step, steps, loss): for progress bars.
    Raises TrainingError if the data lack a class or a checkpoint does not fit.
    """
    _check(train, "train")
    _check(val, "val")
    device = device or choose_device()
    model.to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=recipe.learning_rate)
    state = _resume(model, optimizer, run_folder, fingerprint, device) or Checkpoint.start(fingerprint, model)
    x_train, y_train = _to_device(train, device)
    x_val, y_val = _to_device(val, device)
    for epoch in range(len(state.history) + 1, recipe.epochs + 1):
        if _out_of_patience(state, recipe.patience):
            break
        started = time.perf_counter()
        _set_learning_rate(optimizer, recipe, epoch)
        # Every epoch draws from a generator of its own, so an interrupted epoch repeats exactly.
        generator = torch.Generator().manual_seed(random_state * 100_003 + epoch)
        step_done = None if on_step is None else lambda step, steps, loss, at=epoch: on_step(at, step, steps, loss)
        loss = _train_epoch(model, optimizer, x_train, y_train, recipe, generator, step_done)
        logits = predict_logits(model, x_val)
        val_loss = float(F.binary_cross_entropy_with_logits(torch.from_numpy(logits), y_val.cpu()))
        line = Epoch(epoch, loss, val_loss, roc_auc(val.labels, logits), time.perf_counter() - started)
        state.add(asdict(line), model, logits)
        if run_folder is not None:
            save_checkpoint(state, model, optimizer, run_folder)
        if on_epoch is not None:
            on_epoch(line, recipe.epochs)
    model.load_state_dict(state.best_weights)
    history = [Epoch(**line) for line in state.history]
    return FitResult(model.cpu().eval(), history, state.best_epoch, state.best_logits, str(device))


@torch.inference_mode()
def predict_logits(model: nn.Module, x: Tensor, *, batch_size: int = 256) -> np.ndarray:
    """x: uint8 (n, channels, size, size) on the model's device → logits float32 (n,)."""
    model.eval()
    parts = [model(batch.float() / 255)[:, 0].cpu() for batch in x.split(batch_size)]
    return torch.cat(parts).numpy()


def _train_epoch(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    x: Tensor,
    y: Tensor,
    recipe: Recipe,
    generator: torch.Generator,
    on_step: Callable[[int, int, float], None] | None,
) -> float:
    model.train()
    total, batches = 0.0, list(_batches(len(x), recipe.batch_size, generator))
    for step, indices in enumerate(batches, start=1):
        images = augment(x[indices.to(x.device)].float() / 255, recipe, generator=generator)
        optimizer.zero_grad(set_to_none=True)
        loss = F.binary_cross_entropy_with_logits(model(images)[:, 0], y[indices.to(y.device)])
        loss.backward()
        optimizer.step()
        value = float(loss.detach())
        if not np.isfinite(value):
            raise TrainingError("the loss is no longer a number; lower the learning rate (--learning-rate)")
        total += value * len(indices)
        if on_step is not None:
            on_step(step, len(batches), value)
    return total / len(x)


def _batches(n: int, batch_size: int, generator: torch.Generator) -> Iterator[Tensor]:
    yield from torch.randperm(n, generator=generator).split(batch_size)


def _to_device(prepared: PreparedSet, device: torch.device) -> tuple[Tensor, Tensor]:
    """uint8 images (n, channels, size, size) and float labels (n,)."""
    images = torch.from_numpy(np.array(prepared.images)).permute(0, 3, 1, 2).contiguous()
    return images.to(device), torch.from_numpy(prepared.labels.astype(np.float32)).to(device)


def _set_learning_rate(optimizer: torch.optim.Optimizer, recipe: Recipe, epoch: int) -> None:
    share = 0.5 * (1 + math.cos(math.pi * (epoch - 1) / recipe.epochs)) if recipe.scheduler == "cosine" else 1.0
    for group in optimizer.param_groups:
        group["lr"] = recipe.learning_rate * share


def _out_of_patience(state: Checkpoint, patience: int | None) -> bool:
    return patience is not None and state.best_epoch > 0 and len(state.history) - state.best_epoch >= patience


def _check(prepared: PreparedSet, split: str) -> None:
    if len(set(prepared.labels.tolist())) < 2:
        raise TrainingError(f"the {split} split needs images of both classes; see `secondread data info`")


def _resume(
    model: nn.Module, optimizer: torch.optim.Optimizer, run_folder: Path | None, fingerprint: str, device: torch.device
) -> Checkpoint | None:
    if run_folder is None:
        return None
    found: tuple[Checkpoint, dict[str, Any], dict[str, Any]] | None = load_checkpoint(run_folder, device)
    if found is None:
        return None
    state, weights, optimizer_state = found
    if state.fingerprint != fingerprint:
        raise TrainingError(
            f"'{run_folder}' holds a run with other data or settings; "
            "give the same ones, another --out, or --fresh to start anew"
        )
    model.load_state_dict(weights)
    optimizer.load_state_dict(optimizer_state)
    return state
