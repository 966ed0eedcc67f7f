"""Bars while something is prepared, trained or measured; apart from the options, as reading needs none of it."""

import time
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
    from secondread.workflows import OnProgress, ProgressEvent

_SLOW = 10.0  # seconds of an epoch
_TELL_EVERY = 0.1  # seconds


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
def event_bars(console: Console) -> "Iterator[OnProgress]":
    """A bar for each step that is told of; of training with epoch, loss and validation AUC."""
    with bars(console) as progress:
        rows: dict[str, TaskID] = {}
        drawn: dict[str, float] = {}

        def tell(event: "ProgressEvent") -> None:
            title = event.title
            said = _said(event)
            if title not in rows:
                rows[title] = progress.add_task(title[:14], total=event.total, said="")
            now, whole = time.monotonic(), event.done == event.total
            # to draw a bar for each of a thousand pictures a second would cost as much as reading some of them
            if whole or event.step == "epochs" or now - drawn.get(title, 0.0) >= _TELL_EVERY:
                drawn[title] = now
                progress.update(rows[title], completed=event.done, total=event.total)
                if said:
                    progress.update(rows[title], said=said)
            # a log file gets lines instead of bars: of every epoch that takes its time, and of a tenth of quick ones
            if event.step == "epochs" and not console.is_terminal and _worth_a_line(event):
                console.print(said, highlight=False)

        yield tell


def _said(event: "ProgressEvent") -> str:
    if event.epoch is None:
        return ""
    if event.step == "epochs":
        return f"epoch {event.epoch}/{event.total}  loss {event.loss:.3f}  val AUC {event.val_auc:.3f}"
    return f"epoch {event.epoch}  loss {event.loss:.3f}"


def _worth_a_line(event: "ProgressEvent") -> bool:
    return (event.seconds or 0) > _SLOW or event.done % 10 == 0 or event.done in (1, event.total)


@contextmanager
def training_progress(console: Console) -> "Iterator[TrainingProgress]":
    """The same bars for what trains in a way of its own."""
    from secondread.workflows.progress import told_of_training

    with event_bars(console) as tell:
        yield told_of_training(tell)
