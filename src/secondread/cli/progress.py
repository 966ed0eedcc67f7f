"""Bars while something is prepared, trained or measured; apart from the options, as reading needs none of it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

if TYPE_CHECKING:
    from secondread.training.fit import Epoch
    from secondread.training.train import Progress as TrainingProgress

_SLOW = 10.0  # seconds of an epoch


def bars(console: Console) -> Progress:
    """Description, bar, count, time spent and time left."""
    return Progress(
        TextColumn("{task.description:<14}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[said]}"),
        console=console,
    )


@contextmanager
def epoch_bars(console: Console) -> "Iterator[Callable[[str, Epoch, int], None]]":
    """A bar for each of several training runs: to be told (run, epoch, epochs)."""
    with bars(console) as progress:
        rows: dict[str, TaskID] = {}

        def tell(run: str, epoch: "Epoch", epochs: int) -> None:
            if run not in rows:
                rows[run] = progress.add_task(run, total=epochs, said="")
            progress.update(rows[run], completed=epoch.epoch, said=f"val AUC {epoch.val_auc:.3f}")

        yield tell


@contextmanager
def training_progress(console: Console) -> "Iterator[TrainingProgress]":
    """Bars for preparing, for the steps of all epochs with loss and validation AUC, and for measuring."""
    from secondread.training.train import Progress as TrainingProgress

    with bars(console) as progress:
        rows: dict[str, TaskID] = {}

        def advance(row: str, done: int, total: int, said: str | None = None) -> None:
            if row not in rows:
                rows[row] = progress.add_task(row, total=total, said="")
            progress.update(rows[row], completed=done, total=total)
            if said is not None:
                progress.update(rows[row], said=said)

        def on_epoch(epoch: "Epoch", epochs: int) -> None:
            said = f"epoch {epoch.epoch}/{epochs}  loss {epoch.loss:.3f}  val AUC {epoch.val_auc:.3f}"
            advance("epochs", epoch.epoch, epochs, said)
            # a log file gets lines instead of bars: of every epoch that takes its time, and of a tenth of quick ones
            if not console.is_terminal and (
                epoch.seconds > _SLOW or epoch.epoch % 10 == 0 or epoch.epoch in (1, epochs)
            ):
                console.print(said, highlight=False)

        def on_step(epoch: int, steps: int, step: int, loss: float) -> None:
            advance("steps", step, steps, f"epoch {epoch}  loss {loss:.3f}")

        yield TrainingProgress(
            on_prepare=lambda split, done, total: advance(f"prepare {split}", done, total),
            on_epoch=on_epoch,
            on_step=on_step,
            on_read=lambda split, done, total: advance(f"read {split}"[:14], done, total),
        )
