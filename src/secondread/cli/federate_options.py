"""What the commands of `secondread federate` are asked: options that several of them take, and what is made of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from secondread.cli.options import complete_tasks, set_option

if TYPE_CHECKING:
    from secondread.lab.federated.plan import Plan
    from secondread.lab.federated.site import Policy

FILE = click.Path(dir_okay=False, path_type=Path)
no_gate_option = click.option(
    "--no-gate", is_flag=True, help="Learn and choose even from what the shipped gate refuses; for research."
)


def plan_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """What a plan is made of."""
    for option in (
        click.option(
            "--gate", is_flag=True, help="Let the shipped gate guard the bundle: it reads nothing unlike its images."
        ),
        click.option("--random-state", default=0, show_default=True, help="Seed of weights, batches and augmentation."),
        set_option,
        click.option("--delta", type=float, default=1e-5, show_default=True, help="Of the privacy promise (ε, δ)."),
        click.option("--epsilon", type=float, default=None, help="Privacy of all rounds together, instead of --noise."),
        click.option("--noise", type=float, default=None, help="Of privacy, in units of --clip; see --epsilon."),
        click.option("--clip", type=float, default=1.0, show_default=True, help="The longest update under --privacy."),
        click.option(
            "--privacy",
            type=click.Choice(["central", "local"]),
            default=None,
            help="Differential privacy: noise added by the server to the mean, or by each site to its own update.",
        ),
        click.option("--secure", is_flag=True, help="SecAgg+: the server sees sums of weights alone; from 3 sites on."),
        click.option("--faulty", default=1, show_default=True, help="Sites that `trimmed` and `krum` may lose."),
        click.option("--server-rate", default=0.01, show_default=True, help="Learning rate of `fedadam`."),
        click.option("--proximal", default=0.01, show_default=True, help="μ of `fedprox`."),
        click.option(
            "--strategy",
            type=click.Choice(["fedavg", "fedsgd", "fednova", "fedprox", "fedbn", "fedadam", "trimmed", "krum"]),
            default="fedavg",
            show_default=True,
            help="How the sites' weights become one; fedsgd shares every step; trimmed and krum survive poisoned ones.",
        ),
        click.option(
            "--rounds-per-epoch",
            type=click.IntRange(1),
            default=1,
            show_default=True,
            help="Steps of `fedsgd` to an epoch; all sites' training images over the batch size is what pooled takes.",
        ),
        click.option("--local-epochs", type=click.IntRange(1), default=1, show_default=True, help="In each round."),
        click.option("--rounds", type=click.IntRange(1), required=True, help="How often weights travel."),
        click.option("--recipe", default="paper", show_default=True, metavar="NAME", help="See `secondread models`."),
        click.option("--model", default="lenet", show_default=True, metavar="NAME", help="See `secondread models`."),
        click.option("--task", required=True, metavar="NAME", shell_complete=complete_tasks, help="A shipped task."),
    ):
        command = option(command)
    return command


def plan_of(
    *,
    sites: int,
    privacy: str | None,
    clip: float,
    noise: float | None,
    epsilon: float | None,
    delta: float,
    changes: tuple[str, ...],
    rounds: int,
    **fields: Any,
) -> Plan:
    """Of the values of `plan_options`. Raises UsageError for what cannot go together."""
    from secondread.lab.federated.plan import Plan

    made = Plan(
        rounds=rounds,
        sites=sites,
        changes=changes,
        privacy=_privacy(privacy, clip=clip, noise=noise, epsilon=epsilon, delta=delta, rounds=rounds),
        **fields,
    )
    made.load_recipe()
    return made


def _privacy(
    where: str | None, *, clip: float, noise: float | None, epsilon: float | None, delta: float, rounds: int
) -> Any:
    from secondread.lab.federated.privacy import Privacy, noise_for

    if where is None:
        if noise is not None or epsilon is not None:
            raise click.UsageError("--noise and --epsilon belong to --privacy central or --privacy local")
        return None
    if (noise is None) == (epsilon is None):
        raise click.UsageError("--privacy takes one of --epsilon and --noise")
    if epsilon is not None:
        noise = noise_for(epsilon, delta=delta, rounds=rounds)
    return Privacy(where, clip, noise, delta)  # type: ignore[arg-type]


def bundle_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Where the bundle of a run goes, and what it is called."""
    for option in (
        click.option(
            "--out",
            required=True,
            type=click.Path(file_okay=False, path_type=Path),
            help="The bundle; its run goes to OUT.run.",
        ),
        click.option("--fresh", is_flag=True, help="Forget an interrupted run in OUT.run."),
        click.option("--name", default=None, help="The bundle's name; default: that of the folder."),
    ):
        command = option(command)
    return command


def site_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Whose images, and what of them may leave."""
    for option in (
        no_gate_option,
        click.option(
            "--own-noise", type=float, default=None, help="Privacy of this site's own, in units of --own-clip."
        ),
        click.option(
            "--own-clip", type=float, default=1.0, show_default=True, help="The longest update it sends then."
        ),
        click.option("--secure-only", is_flag=True, help="Answer no round whose weights the server could read."),
        click.option(
            "--leave",
            type=click.Choice(["histogram", "nothing"]),
            default="histogram",
            show_default=True,
            help="What may leave of the scores of validation and test images.",
        ),
        click.option(
            "--name", default=None, help="What others know this site by; default: the folder of the manifest."
        ),
        click.option("--data", required=True, type=click.Path(path_type=Path), help="This site's manifest or folder."),
    ):
        command = option(command)
    return command


def policy_of(leave: str, secure_only: bool, own_noise: float | None, own_clip: float, no_gate: bool) -> Policy:
    """Of the values of `site_options`."""
    from secondread.lab.federated.privacy import Privacy
    from secondread.lab.federated.site import Policy

    own = None if own_noise is None else Privacy("local", own_clip, own_noise)
    return Policy(leave, own, secure_only, gate=not no_gate)  # type: ignore[arg-type]
