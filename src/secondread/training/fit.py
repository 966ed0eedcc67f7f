"""Trains a network on prepared images: resumable, reproducible, best epoch by validation."""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from secondread.data import PreparedSet
from secondread.errors import TrainingError
from secondread.evidence import roc_auc
from secondread.training.batches import Batch, epoch_batches, without_copies
from secondread.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from secondread.training.recipes import Recipe

_SMALL = 500_000  # parameters


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
    on_epoch(epoch, epochs); on_step(epoch, steps, step, loss): for progress bars.
    Raises TrainingError if the data lack a class or a checkpoint does not fit.
    """
    _check(train, "train")
    _check(val, "val")
    device = device or choose_device()
    model.to(device)
    with _threads_for(model):
        return _fit(
            model, train, val, recipe, device, random_state=random_state, run_folder=run_folder,
            fingerprint=fingerprint, on_epoch=on_epoch, on_step=on_step,
        )  # fmt: skip


def _fit(
    model: nn.Module,
    train: PreparedSet,
    val: PreparedSet,
    recipe: Recipe,
    device: torch.device,
    *,
    random_state: int,
    run_folder: Path | None,
    fingerprint: str,
    on_epoch: Callable[[Epoch, int], None] | None,
    on_step: Callable[[int, int, int, float], None] | None,
) -> FitResult:
    # fused: one pass over all weights instead of a dozen small ones for each; a fifth of the step in this network
    optimizer = torch.optim.Adam(model.parameters(), lr=recipe.learning_rate, fused=device.type in ("cpu", "cuda"))
    state = _resume(model, optimizer, run_folder, fingerprint, device) or Checkpoint.start(fingerprint, model)
    x_train, x_val = (_pixels(prepared.images, model) for prepared in (train, val))
    y_val = torch.from_numpy(val.labels.astype(np.float32))
    for epoch in range(len(state.history) + 1, recipe.epochs + 1):
        if _out_of_patience(state, recipe.patience):
            break
        started = time.perf_counter()
        _set_learning_rate(optimizer, recipe, epoch)
        # Every epoch draws from a generator of its own, so an interrupted epoch repeats exactly.
        batches = epoch_batches(train, x_train, recipe, rng=np.random.default_rng([random_state, epoch]))
        step_done = None if on_step is None else partial(on_step, epoch, math.ceil(len(x_train) / recipe.batch_size))
        loss = _train_epoch(model, optimizer, batches, device, step_done)
        logits = predict_logits(model, x_val)
        val_loss = float(F.binary_cross_entropy_with_logits(torch.from_numpy(logits), y_val))
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
def predict_logits(model: nn.Module, images: np.ndarray, *, batch_size: int = 256) -> np.ndarray:
    """images: uint8 (n, size, size, channels) → logits float32 (n,), on the model's device."""
    model.eval()
    device = next(model.parameters()).device
    starts = range(0, len(images), batch_size)
    parts = [model(_to_input(images[start : start + batch_size], device))[:, 0].cpu() for start in starts]
    return torch.cat(parts).numpy()


def _train_epoch(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Iterable[Batch],
    device: torch.device,
    on_step: Callable[[int, float], None] | None,
) -> float:
    """Mean loss over the images of one epoch."""
    model.train()
    total, n = 0.0, 0
    for step, (images, labels) in enumerate(batches, start=1):
        optimizer.zero_grad(set_to_none=True)
        target = torch.from_numpy(labels).to(device)
        loss = F.binary_cross_entropy_with_logits(model(torch.from_numpy(images).to(device))[:, 0], target)
        loss.backward()
        optimizer.step()
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainingError("the loss is no longer a number; lower the learning rate (--learning-rate)")
        total, n = total + value * len(labels), n + len(labels)
        if on_step is not None:
            on_step(step, value)
    return total / n


@contextmanager
def _threads_for(model: nn.Module) -> Iterator[None]:
    """One thread for a small network: a second gains it nothing, and waits at every step wherever a core is busy."""
    before = torch.get_num_threads()
    if sum(parameter.numel() for parameter in model.parameters()) < _SMALL:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _pixels(images: np.ndarray, model: nn.Module) -> np.ndarray:
    """In memory, and in one channel where the images are grey and the network says it takes them so."""
    return without_copies(images) if getattr(model, "takes_grey", False) else np.array(images)


def _to_input(images: np.ndarray, device: torch.device) -> Tensor:
    """uint8 (batch, size, size, channels) → float (batch, channels, size, size) in 0–1."""
    pixels = torch.from_numpy(images).to(device)
    return pixels.permute(0, 3, 1, 2).contiguous().float() / 255


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
