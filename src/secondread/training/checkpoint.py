"""What a training run needs to go on after an interruption: written aside after every epoch, then renamed."""

from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from torch import nn

from secondread.errors import TrainingError
from secondread.files import written_aside

_NAME = "checkpoint.pt"


@dataclass
class Checkpoint:
    """Where a run stands after its last whole epoch."""

    fingerprint: str
    history: list[dict[str, Any]] = field(default_factory=list)
    best_epoch: int = 0
    best_auc: float = -1.0
    best_loss: float = float("inf")
    best_weights: dict[str, Any] = field(default_factory=dict)
    best_logits: np.ndarray | None = None  # of the validation images

    @classmethod
    def start(cls, fingerprint: str, model: nn.Module) -> "Checkpoint":
        """Before the first epoch."""
        return cls(fingerprint, best_weights=_copy(model))

    def add(self, line: dict[str, Any], model: nn.Module, val_logits: np.ndarray, *, keep: bool = False) -> None:
        """One more epoch; its weights are kept if its validation AUC is the best so far, or with `keep` anyway.

        Of equal ones the lower loss: a small validation set is soon ranked without a mistake, long before the
        probabilities mean anything.
        """
        self.history.append(line)
        if keep or (line["val_auc"], -line["val_loss"]) > (self.best_auc, -self.best_loss):
            self.best_epoch, self.best_auc, self.best_loss = line["epoch"], line["val_auc"], line["val_loss"]
            self.best_weights, self.best_logits = _copy(model), val_logits


Average = tuple[int, dict[str, Any]]  # steps and weights of a moving average


def save_checkpoint(
    state: Checkpoint,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    folder: Path,
    *,
    average: Average | None = None,
) -> None:
    """Write the run's state; a kill at any moment leaves the last whole one. Raises DiskFull."""
    folder.mkdir(parents=True, exist_ok=True)
    logits = None if state.best_logits is None else torch.from_numpy(state.best_logits)
    table = {
        **vars(state),
        "best_logits": logits,
        "weights": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "average": average,
    }
    with written_aside(folder / _NAME) as aside, aside.open("wb") as file:
        try:
            torch.save(table, file)
        except RuntimeError as error:  # torch hides a full disk in an error of its own
            if isinstance(error.__context__, OSError):
                raise error.__context__ from error
            raise


def load_checkpoint(
    folder: Path, device: torch.device, *, fingerprint: str
) -> tuple[Checkpoint, dict[str, Any], dict[str, Any], Average | None] | None:
    """State, weights, optimizer state and moving average, or None where no run was.

    Raises TrainingError for a damaged file, or one of a run with another fingerprint: other data or settings.
    """
    path = folder / _NAME
    if not path.is_file():
        return None
    try:
        # weights_only: tensors and plain containers, nothing that could run code.
        table = torch.load(path, map_location=device, weights_only=True)
        weights, optimizer = table.pop("weights"), table.pop("optimizer")
        logits, average = table.pop("best_logits"), table.pop("average")
        state = Checkpoint(**table, best_logits=None if logits is None else logits.cpu().numpy())
    except (RuntimeError, KeyError, TypeError, EOFError, OSError, ValueError, UnpicklingError) as error:
        raise TrainingError(f"'{path}' is damaged; start anew with --fresh") from error
    if state.fingerprint != fingerprint:
        raise TrainingError(
            f"'{folder}' holds a run with other data or settings; "
            "give the same ones, another --out, or --fresh to start anew"
        )
    return state, weights, optimizer, average


def _copy(model: nn.Module) -> dict[str, Any]:
    return {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}
