"""--left-out and --together: which hospitals a command also measures at, after teaching without them."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from secondread.data import Manifest
    from secondread.lab.hospitals import Hospital


@dataclass(frozen=True)
class LeftOut:
    """What was asked for."""

    asked: bool
    together: dict[str, list[str]]

    def __call__(self, manifest: "Manifest") -> "tuple[Hospital, ...]":
        """The manifest's hospitals that can be left out, or none where that was not asked for. Raises DataInvalid."""
        if not self.asked:
            return ()
        from secondread.lab.hospitals import hospitals_of

        return hospitals_of(manifest, together=self.together)


def left_out_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--left-out and --together, as `hospitals`."""

    @functools.wraps(command)
    def called(*, left_out: bool, together: tuple[str, ...], **options: Any) -> Any:
        if together and not left_out:
            raise click.UsageError("--together joins hospitals that are left out: give --left-out too")
        return command(hospitals=LeftOut(left_out, together_of(together)), **options)

    for option in (
        click.option(
            "--together",
            multiple=True,
            metavar="NAME=SOURCE,SOURCE",
            help="With --left-out: sources that count as one hospital. May be given again.",
        ),
        click.option(
            "--left-out",
            is_flag=True,
            help="Also teach without each hospital in turn and measure there, on its train and val rows.",
        ),
    ):
        called = option(called)
    return called


def together_of(texts: tuple[str, ...]) -> dict[str, list[str]]:
    """What --together joins: name → its sources."""
    found = {}
    for text in texts:
        name, _, sources = text.partition("=")
        words = [word.strip() for word in sources.split(",") if word.strip()]
        if not name.strip() or not words:
            raise click.UsageError(f"--together takes NAME=SOURCE,SOURCE, such as web=br35h,sartaj, not '{text}'")
        found[name.strip()] = words
    return found
