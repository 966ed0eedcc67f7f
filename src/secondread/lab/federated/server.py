"""The server's end: rounds over whatever grid connects the sites, each looked at, counted and kept before the next."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from flwr.serverapp import Grid

from secondread.errors import DataInvalid, TrainingError
from secondread.lab.federated.app import (
    HELLO,
    OWN_LAYERS,
    SCORE,
    TRAIN,
    WEIGHT,
    Hello,
    from_arrays,
    histogram_in,
    instruction,
)
from secondread.lab.federated.grid import Sites
from secondread.lab.federated.histograms import Histogram, pooled_auc, pooled_loss
from secondread.lab.federated.kept import State, load_state, save_state
from secondread.lab.federated.plan import Plan
from secondread.lab.federated.privacy import Arrays, is_finite
from secondread.lab.federated.secure import LEAST, secure_round
from secondread.lab.federated.site import first_weights, still_answers
from secondread.lab.federated.strategies import Aggregation, Update, judged, shortened, typed

_WAITS_S = 600.0  # for the first greetings
_GREETING_S = 60.0  # for one
_LOOKS_S = 0.2  # between looks for new sites


@dataclass(frozen=True)
class Timing:
    """How long the server waits: for the sites to be there, and for the answers of a round."""

    sites_s: float = _WAITS_S
    round_s: float = 3600.0
    attempts: int = 3  # rounds that may fail one after the other before the run gives up
    refused_may_return: bool = True  # a site that refuses may be started again otherwise; in a simulation none can


USUAL = Timing()


@dataclass
class Trained:
    """What the rounds ended in."""

    plan: Plan
    weights: Arrays  # of the best round by validation, else of the last
    best_round: int
    histograms: dict[str, Histogram]  # of the validation scores of these weights, by site; of those that tell
    hellos: dict[str, Hello]
    history: list[dict[str, Any]] = field(default_factory=list)


OnRound = Callable[[dict[str, Any], int], None]  # a round's line of the history, rounds in all
OnRefusal = Callable[[str], None]  # why a site that came cannot take part


def gather(
    grid: Grid, plan: Plan, *, timing: Timing = USUAL, on_refusal: OnRefusal | None = None
) -> tuple[Sites, dict[str, Hello]]:
    """Wait until the plan's sites are there and have said who they are.

    Raises TrainingError if they do not come, if two have one name, or if none has images of both classes.
    """
    sites = Sites(grid)
    hellos: dict[str, Hello] = {}
    until = time.monotonic() + timing.sites_s
    while len(hellos) < plan.sites:
        refused = welcome(sites, hellos, plan)
        if on_refusal is not None:
            for why in refused:
                on_refusal(why)
        if len(hellos) < plan.sites and refused and not timing.refused_may_return:
            raise TrainingError(f"{len(hellos)} of {plan.sites} sites can take part: {_once(refused)}")
        if len(hellos) < plan.sites and time.monotonic() > until:
            refusals = [sites.refused[node] for node in grid.get_node_ids() if node in sites.refused]
            said = f"; refused: {_once(refusals)}" if refusals else ""
            raise TrainingError(
                f"{len(hellos)} of {plan.sites} sites came within {timing.sites_s:.0f} s{said}; start the others, or "
                "ask for fewer with --sites"
            )
        time.sleep(_LOOKS_S if len(hellos) < plan.sites else 0)
    if all(hello.teaches == "lesions" for hello in hellos.values()):
        raise TrainingError(
            "no site has images of both classes, so nobody teaches by labels; one at least must, and must choose"
        )
    return sites, dict(sorted(hellos.items()))


def welcome(sites: Sites, hellos: dict[str, Hello], plan: Plan) -> list[str]:
    """Ask who they are of nodes not known yet; one that says a known name takes the place of the one that was lost.

    Returns what those said that cannot take part, who are not asked again: begun anew, a site is another node.
    Raises TrainingError where two that are both here have one name and different images.
    """
    here = set(sites.grid.get_node_ids())
    if not (new := sorted(here - set(sites.nodes.values()) - set(sites.refused))):
        return []
    strangers = Sites(sites.grid, {str(node): node for node in new})
    answers = strangers.ask(HELLO, instruction(plan), timeout_s=_GREETING_S)
    for node, reply in answers.replies.items():
        hello = Hello.of(reply)
        before = hellos.get(hello.name)
        if before is not None and before.fingerprint != hello.fingerprint and sites.nodes[hello.name] in here:
            raise TrainingError(f"two sites call themselves '{hello.name}'; give each a --name of its own")
        hellos[hello.name] = hello
        sites.nodes[hello.name] = int(node)
    sites.nodes = dict(sorted(sites.nodes.items()))
    sites.sent, sites.received = sites.sent + strangers.sent, sites.received + strangers.received
    refused = {int(node): _short(why) for node, why in answers.failed.items() if why != "late"}
    sites.refused |= refused
    return list(refused.values())


def run_rounds(
    sites: Sites,
    hellos: dict[str, Hello],
    plan: Plan,
    *,
    run_folder: Path | None = None,
    timing: Timing = USUAL,
    on_round: OnRound | None = None,
) -> Trained:
    """All rounds of a plan, from where `run_folder` says that an earlier server of the same plan stopped.

    A site that is gone, late, or sends what are no numbers is left out of a round and asked again in the next.
    Raises TrainingError if too few stay.
    """
    for name, hello in hellos.items():
        if hello.counts["train"] < plan.rounds_per_epoch:
            raise TrainingError(
                f"'{name}' has {hello.counts['train']} images to learn from, fewer than the {plan.rounds_per_epoch} "
                "rounds of an epoch; ask for fewer with --rounds-per-epoch"
            )
    state = _begin(plan, run_folder)
    aggregation = Aggregation(plan)
    aggregation.moments = state.moments
    failed = 0
    while len(state.history) < plan.rounds:
        number = len(state.history) + 1
        started, before = time.perf_counter(), (sites.sent, sites.received)
        welcome(sites, hellos, plan)
        weights, seen = _one_round(sites, hellos, plan, aggregation, state.weights, number, timing)
        if weights is None:
            failed += 1
            time.sleep(_LOOKS_S)
            if failed >= timing.attempts:
                raise TrainingError(f"round {number} failed {failed} times: {_why(seen)}; start the server again later")
            continue
        if not still_answers(plan, weights):
            raise TrainingError(f"after round {number} the network says nothing of an image any more; {_remedy(plan)}")
        failed = 0
        state.weights, state.moments = weights, aggregation.moments
        scored = plan.is_scored(number)
        histograms, silent = _scores(sites, plan, weights, number, timing) if scored else ({}, [])
        # a site of one class would praise what tells sites apart
        choosing = {name: told for name, told in histograms.items() if hellos[name].teaches == "labels"}
        line = {
            "round": number,
            "sites": seen,
            **({"silent": silent} if silent else {}),
            "bytes_sent": sites.sent - before[0],
            "bytes_received": sites.received - before[1],
            "seconds": round(time.perf_counter() - started, 3),
            "scored": scored,
            "val_auc": pooled_auc(choosing),
            "val_loss": pooled_loss(choosing),
        }
        state.add(line, histograms if scored else None)
        if run_folder is not None:
            save_state(run_folder, state)
        if on_round is not None:
            on_round(line, plan.rounds)
    trained = Trained(plan, state.best_weights, state.best_round, state.best_histograms, hellos, state.history)
    return _with_own_layers(sites, trained, timing) if plan.strategy == "fedbn" else trained


def _remedy(plan: Plan) -> str:
    if plan.privacy is None:
        return "take a lower learning rate"
    return (
        f"the noise that ε = {plan.privacy.epsilon(plan.rounds):.3g} takes of {plan.sites} sites drowns a network as "
        "deep as this; take a smaller one (lenet), more sites, fewer rounds, or a greater --epsilon"
    )


def _begin(plan: Plan, run_folder: Path | None) -> State:
    found = None if run_folder is None else load_state(run_folder, plan.fingerprint())
    return found or State(plan.fingerprint(), first_weights(plan)[0])


def _one_round(
    sites: Sites,
    hellos: dict[str, Hello],
    plan: Plan,
    aggregation: Aggregation,
    weights: Arrays,
    number: int,
    timing: Timing,
) -> tuple[Arrays | None, dict[str, dict[str, Any]]]:
    """The next weights, or None where too few sites stayed; and what became of every site."""
    present = sites.present()
    seen: dict[str, dict[str, Any]] = {name: {"outcome": "away"} for name in sites.nodes if name not in present}
    if plan.secure:
        if len(present) < LEAST:
            return None, seen
        counts = {name: hellos[name].counts["train"] for name in present}
        told = secure_round(sites, plan, weights, number=number, counts=counts, timeout_s=timing.round_s)
        seen |= {name: {"outcome": "in the sum" if name in told.sites else "left out"} for name in present}
        if told.mean is None or not is_finite(told.mean):
            return None, seen
        return aggregation.of_mean(weights, typed(told.mean, weights), len(told.sites), number=number), seen
    start = first_weights(plan)[1] if number == 1 and plan.strategy == "fedbn" else {}
    question = instruction(plan, weights=weights | start, server_round=number)
    answers = sites.ask(TRAIN, question, timeout_s=timing.round_s, of=present)
    seen |= {name: {"outcome": _short(why)} for name, why in answers.failed.items()}
    updates = []
    for name, reply in answers.replies.items():
        one = _update(name, reply, weights)
        if one is None:
            seen[name] = {"outcome": "not numbers"}
            continue
        updates.append(replace(one, weights=shortened(one.weights, weights, plan)))
    if plan.strategy != "fedsgd":  # gradients of a few images point anywhere
        updates = judged(updates, weights)
    for one in updates:
        seen[one.site] = {"outcome": one.verdict or "ok", "n": one.n, "loss": one.loss}
    if len(updates) < min(2, plan.sites):
        return None, seen
    kept = {one.site: answers.replies[one.site] for one in updates}
    for one in updates:  # as they were shortened here
        kept[one.site].content["arrays"] = instruction(plan, weights=one.weights)["arrays"]
    return aggregation.combine(weights, updates, kept, number=number), dict(sorted(seen.items()))


def _update(name: str, reply: Any, like: Arrays) -> Update | None:
    """What a site sent; None where it is not all numbers, or not of the network."""
    try:
        learnt = from_arrays(reply.content.array_records["arrays"])
        told = reply.content.metric_records["metrics"]
        n, loss = int(told[WEIGHT]), float(told["loss"])
    except (KeyError, TypeError, ValueError):
        return None
    fits = set(learnt) == set(like) and all(learnt[key].shape == like[key].shape for key in like)
    if not fits or not is_finite(learnt) or n < 1:
        return None
    return Update(name, typed(learnt, like), n, round(loss, 6) if np.isfinite(loss) else None)


def _scores(
    sites: Sites, plan: Plan, weights: Arrays, number: int, timing: Timing
) -> tuple[dict[str, Histogram], list[str]]:
    """Validation histograms of the sites that tell, and the names of those that did not answer."""
    present = sites.present()
    question = instruction(plan, weights=weights, server_round=number)
    answers = sites.ask(SCORE, question, timeout_s=timing.round_s, of=present)
    found, silent = {}, sorted({*answers.failed, *set(sites.nodes) - set(present)})
    for name, reply in answers.replies.items():
        try:
            told = histogram_in(reply)
        except (DataInvalid, KeyError):
            silent.append(name)
            continue
        if told is not None:
            found[name] = told
    return found, silent


def _with_own_layers(sites: Sites, trained: Trained, timing: Timing) -> Trained:
    """FedBN's common bundle: the layers that stayed at home in the best round are sent once, and their mean taken."""
    question = instruction(trained.plan, server_round=trained.best_round)
    answers = sites.ask(OWN_LAYERS, question, timeout_s=timing.round_s, of=sites.present())
    layers = [from_arrays(reply.content.array_records["arrays"]) for reply in answers.replies.values()]
    layers = [one for one in layers if one and is_finite(one)]
    if not layers:
        raise TrainingError("no site sent its normalisation layers; start the server again to ask once more")
    mean = {name: np.mean([one[name] for one in layers], axis=0).astype(layers[0][name].dtype) for name in layers[0]}
    weights = trained.weights | mean
    histograms, _ = _scores(sites, replace(trained.plan, strategy="fedavg"), weights, trained.best_round, timing)
    return replace(trained, weights=weights, histograms=histograms)


def _why(seen: dict[str, dict[str, Any]]) -> str:
    return ", ".join(f"{name}: {one['outcome']}" for name, one in sorted(seen.items()))


def _once(refusals: list[str]) -> str:
    """What several say, each remedy once: they stand after a colon."""
    by_remedy: dict[str, list[str]] = {}
    for why in refusals:
        said, _, remedy = why.partition(": ")
        by_remedy.setdefault(remedy, []).append(said)
    return "; ".join(": ".join(filter(None, ["; ".join(said), remedy])) for remedy, said in by_remedy.items())


def _short(why: str) -> str:
    """An error as one short clause; where Flower wraps an exception, its sentence."""
    text = why.split(":<'", 1)[-1].rstrip(">'") if ":<'" in why else why
    return " ".join(text.split())[:200]
