"""The entry point: finds the command, and turns every error into one clear line and an exit code."""

import errno
import os
import sys
from importlib import import_module
from typing import Any

import click

from secondread import __version__
from secondread.errors import SecondReadError, UsageError

COMMANDS = {  # name → module of this package, in the order of --help
    "read": "read",
    "screen": "screen",
    "serve": "serve",
    "work": "serve",
    "dicom": "dicom",
    "user": "admin",
    "token": "admin",
    "trail": "admin",
    "backup": "admin",
    "restore": "admin",
    "retain": "admin",
    "erase": "keeping",
    "reviewed": "keeping",
    "db": "admin",
    "train": "train",
    "merge": "train",
    "build": "train",
    "evaluate": "evaluate",
    "recalibrate": "recalibrate",
    "series-point": "series_point",
    "data": "data",
    "audit": "audit",
    "gate": "gate",
    "lab": "lab",
    "federate": "federate",
    "tasks": "catalogue",
    "models": "catalogue",
    "bundles": "catalogue",
    "completion": "admin",
}


ALIASES = dict.fromkeys(("compare", "compare-paper", "study", "search", "pretrain"), "lab")  # as before `lab`


class _Commands(click.Group):
    """Imports a command's module when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = (COMMANDS | ALIASES).get(cmd_name)
        if module is None:
            return None
        return getattr(import_module(f"secondread.cli.{module}"), cmd_name.replace("-", "_"))

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from secondread.errors import UnknownName

            raise click.UsageError(str(UnknownName.of("command", args[0], COMMANDS | ALIASES)), ctx) from error


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="secondread")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def secondread(debug: bool) -> None:
    """A second reader for medical images: brain MRI slices, chest X-rays and bone X-rays, on an ordinary CPU.

    It assists a qualified reader and is no medical device.

    Completion of names with the tab key: eval "$(secondread completion bash)", zsh or fish alike.
    """


def run(args: list[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    args = sys.argv[1:] if args is None else args
    debug = "--debug" in args
    if not debug and not sys.warnoptions:
        import warnings

        warnings.simplefilter("ignore")  # of libraries, about files; what matters to a reader is in the reading itself
    # --debug may stand anywhere; click knows it in front alone
    args = [arg for arg in args if arg != "--debug"]
    try:
        sys.exit(secondread.main(args=args, prog_name="secondread", standalone_mode=False) or 0)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except (click.exceptions.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        sys.exit(130)
    except click.ClickException as error:
        if debug:
            raise
        error.show()
        sys.exit(error.exit_code)
    except BrokenPipeError:  # the reader of our output (head, less) has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except SecondReadError as error:
        _fail(error, debug=debug, code=2 if isinstance(error, UsageError) else 1)
    except Exception as error:  # a bug of ours, or of the machine (disk full): still one line
        _fail(error, debug=debug, code=1)


def _fail(error: Exception, *, debug: bool, code: int) -> None:
    if debug:
        raise error
    click.echo(f"secondread: {' '.join(_sentence(error).split())}", err=True)
    sys.exit(code)


def _sentence(error: Exception) -> str:
    if isinstance(error, SecondReadError):
        return str(error)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        where = f" with '{error.filename}'" if error.filename else ""
        return f"the disk{where} is full; free some space, or write to another one"
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"cannot use '{error.filename}': {error.strerror}"
    if isinstance(error, OSError):
        return str(error)
    return f"{type(error).__name__}: {error} (a defect of secondread; run again with --debug to see where)"
