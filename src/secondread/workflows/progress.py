"""What a long run tells while it works: one kind of event, for bars, notebooks and programs alike."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from secondread.training.fit import Epoch
    from secondread.training.train import Progress as TrainingProgress


@dataclass(frozen=True)
class ProgressEvent:
    """So much of one step of a run is done.

    step: 'prepare', 'steps' and 'epochs' of training; 'read'; of an audit also 'compare', 'label shortcuts' and
    'source shortcuts'. part: the split that is prepared or read, where one is. total: None where it is not known yet.
    epoch, loss, val_auc, seconds: of training, where they are known; `seconds` is what the epoch took.
    """

    step: str
    done: int
    total: int | None = None
    part: str = ""
    epoch: int | None = None
    loss: float | None = None
    val_auc: float | None = None
    seconds: float | None = None

    @property
    def title(self) -> str:
        """The step and its part, as a label of a bar."""
        return f"{self.step} {self.part}".strip()


class OnProgress(Protocol):
    """What a caller hears of a long run with; any function of one event will do.

    It is called in the thread that called the function. What it raises (Cancelled, by custom) ends the run and reaches
    the caller: nothing half-written is left, and training or screening asked the same again goes on where it was.
    """

    def __call__(self, event: ProgressEvent, /) -> None:
        """So much is done."""
        ...


def told_of_training(tell: OnProgress | None) -> "TrainingProgress":
    """A training run's several calls, as events."""
    from secondread.training.train import Progress as TrainingProgress

    if tell is None:
        return TrainingProgress()

    def on_epoch(epoch: "Epoch", epochs: int) -> None:
        tell(
            ProgressEvent(
                "epochs",
                epoch.epoch,
                epochs,
                epoch=epoch.epoch,
                loss=epoch.loss,
                val_auc=epoch.val_auc,
                seconds=epoch.seconds,
            )
        )

    return TrainingProgress(
        on_prepare=lambda split, done, total: tell(ProgressEvent("prepare", done, total, split)),
        on_epoch=on_epoch,
        on_step=lambda epoch, steps, step, loss: tell(ProgressEvent("steps", step, steps, epoch=epoch, loss=loss)),
        on_read=lambda split, done, total: tell(ProgressEvent("read", done, total, split)),
    )
