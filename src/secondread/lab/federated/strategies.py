"""How the updates of sites become one: Flower's strategies, and the look at every update before it counts."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from flwr.app import ArrayRecord, Message
from flwr.serverapp.strategy import FedAdam, FedAvg, FedProx, FedTrimmedAvg, Krum

from secondread.lab.federated.app import WEIGHT, from_arrays, to_arrays
from secondread.lab.federated.plan import Plan
from secondread.lab.federated.privacy import Arrays, difference, moved, noisy, norm_of, secret_rng, spread_kept
from secondread.lab.federated.site import new_network_of, origin, put_in, weights_of
from secondread.training.optimise import freeze, make_optimizer, set_learning_rate

_SCALED = 5.0  # times the median length of the updates: from here on one is called scaled
_AGAINST = (
    -0.25
)  # cosine with the others' mean from which an update is called turned against them; honest ones reach −0.2


@dataclass(frozen=True)
class Update:
    """What one site sent in a round, and what is seen of it."""

    site: str
    weights: Arrays
    n: int  # images it learnt from
    loss: float | None = None
    verdict: str = ""  # '', 'scaled' or 'against'


def judged(updates: list[Update], before: Arrays) -> list[Update]:
    """The updates with what is odd about them, as far as their lengths and directions tell; of two, nothing does."""
    if len(updates) < 3:
        return updates
    moves = [np.concatenate([part.ravel() for part in difference(one.weights, before).values()]) for one in updates]
    lengths = [float(np.linalg.norm(move)) for move in moves]
    found = []
    for number, one in enumerate(updates):
        others = [move for place, move in enumerate(moves) if place != number]
        usual = float(np.median([length for place, length in enumerate(lengths) if place != number]))
        verdict = ""
        if lengths[number] > _SCALED * max(usual, 1e-12):
            verdict = "scaled"
        elif _cosine(moves[number], _middle(others)) < _AGAINST:
            verdict = "against"
        found.append(Update(one.site, one.weights, one.n, one.loss, verdict))
    return found


def _middle(moves: list[np.ndarray]) -> np.ndarray:
    """Their mean after all are brought to one length, so that a long one does not speak for all."""
    return np.mean([move / max(float(np.linalg.norm(move)), 1e-12) for move in moves], axis=0)


def _cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other / max(float(np.linalg.norm(one) * np.linalg.norm(other)), 1e-12))


class Aggregation:
    """A plan's strategy with what it remembers between rounds."""

    def __init__(self, plan: Plan):
        self.plan = plan
        self.moments: dict[str, Arrays] = {}  # of FedAdam, and of the recipe's optimizer under FedSGD

    def combine(self, before: Arrays, updates: list[Update], replies: Mapping[str, Message], *, number: int) -> Arrays:
        """The next common weights. replies: by site, in which Flower finds arrays and weights. number: of the round."""
        if self.plan.strategy == "fednova":
            after = normalised(before, updates, steps={one.site: self._steps(one.n) for one in updates})
            return spread_kept(after, before)
        ordered = [self._equal(replies[one.site]) for one in updates]
        strategy = self._strategy(len(updates))
        if isinstance(strategy, FedAdam):
            strategy.current_arrays = before
            strategy.m_t, strategy.v_t = self.moments.get("m"), self.moments.get("v")
        record, _ = strategy.aggregate_train(number, ordered)
        assert isinstance(record, ArrayRecord), "replies with arrays give arrays"
        if isinstance(strategy, FedAdam) and strategy.m_t and strategy.v_t:
            self.moments = {"m": dict(strategy.m_t), "v": dict(strategy.v_t)}
        return self._after(before, typed(from_arrays(record), before), len(updates), number=number)

    def of_mean(self, before: Arrays, mean: Arrays, n_sites: int, *, number: int) -> Arrays:
        """The same of a mean that secure aggregation made, of which there are no single updates."""
        if self.plan.strategy != "fedadam":
            return self._after(before, typed(mean, before), n_sites, number=number)
        reply = _as_reply(mean)
        return self.combine(before, [Update("mean", mean, 1)], {"mean": reply}, number=number)

    def _strategy(self, n_sites: int) -> FedAvg:
        plan = self.plan
        common: dict[str, Any] = {"weighted_by_key": WEIGHT}
        if plan.strategy == "fedprox":
            return FedProx(**common, proximal_mu=plan.proximal)
        if plan.strategy == "fedadam":
            return FedAdam(**common, eta=plan.server_rate, eta_l=1.0)
        if plan.strategy == "trimmed":
            cut = min(plan.faulty, (n_sites - 1) // 2)
            return FedTrimmedAvg(**common, beta=(cut + 1e-6) / n_sites)
        if plan.strategy == "krum":
            return Krum(**common, num_malicious_nodes=plan.faulty)
        return FedAvg(**common)

    def _steps(self, n: int) -> int:
        """How many steps a site with so many images takes in a round."""
        return self.plan.local_epochs * math.ceil(n / self.plan.load_recipe().batch_size)

    def _equal(self, reply: Message) -> Message:
        """Under a privacy promise every site counts alike, or the largest would be protected least."""
        if self.plan.privacy is not None and reply.content.metric_records:
            next(iter(reply.content.metric_records.values()))[WEIGHT] = 1
        return reply

    def _after(self, before: Arrays, mean: Arrays, n_sites: int, *, number: int) -> Arrays:
        mean = self._private(before, mean, n_sites)
        if self.plan.strategy != "fedsgd":
            return spread_kept(mean, before)
        after, self.moments = stepped(self.plan, before, spread_kept(mean, before), self.moments, number=number)
        return after

    def _private(self, before: Arrays, after: Arrays, n_sites: int) -> Arrays:
        privacy = self.plan.privacy
        if privacy is None or privacy.where != "central":
            return after
        before = origin(self.plan, before)
        deviation = privacy.noise * privacy.clip / n_sites
        return moved(before, noisy(difference(after, before), deviation, secret_rng()))


def normalised(before: Arrays, updates: list[Update], *, steps: Mapping[str, int]) -> Arrays:
    """FedNova: every update is divided by its steps before the mean is taken, then multiplied by the mean steps.

    Sites take as many steps as they have images for, so FedAvg, which weighs by images, counts these twice: a hospital
    with a fifth of the images has a twentieth of the say. Wang et al., NeurIPS 2020, equation 7.
    """
    total = sum(one.n for one in updates)
    mean_steps = sum(one.n / total * steps[one.site] for one in updates)
    move = {name: np.zeros(part.shape) for name, part in before.items()}
    for one in updates:
        share = one.n / total * mean_steps / steps[one.site]
        for name, part in difference(one.weights, before).items():
            move[name] += share * part
    return moved(before, move)


def stepped(
    plan: Plan, before: Arrays, mean: Arrays, moments: Mapping[str, Arrays], *, number: int
) -> tuple[Arrays, dict[str, Arrays]]:
    """FedSGD: the step that the recipe's own optimizer makes of the sites' mean gradient, and what it remembers then.

    mean: of every parameter the gradient; the statistics of normalisations themselves. moments: by their name in the
    optimizer, of the step before. number: of the round.
    """
    recipe, epoch, model = plan.load_recipe(), plan.epochs_of(number).start, new_network_of(plan)
    parameters = dict(model.named_parameters())
    put_in(model, mean | {name: before[name] for name in parameters})
    freeze(model, recipe, epoch)
    optimizer = make_optimizer(model, recipe, torch.device("cpu"))
    learning = {name: parameter for name, parameter in parameters.items() if parameter.requires_grad}
    for name, parameter in learning.items():
        parameter.grad = torch.from_numpy(mean[name].copy())
        known = {key: torch.from_numpy(of[name].copy()) for key, of in moments.items() if name in of}
        if known:
            optimizer.state[parameter] = known | {"step": known["step"].reshape(())}
    set_learning_rate(optimizer, recipe, epoch=epoch, done=(number - 1) / plan.rounds)
    optimizer.step()
    kept: dict[str, Arrays] = {key: dict(of) for key, of in moments.items()}
    for name, parameter in learning.items():
        for key, value in optimizer.state[parameter].items():
            kept.setdefault(key, {})[name] = np.atleast_1d(value.numpy())
    return typed(weights_of(model), before), kept


def typed(weights: Mapping[str, np.ndarray], like: Mapping[str, np.ndarray]) -> Arrays:
    """In the types and the order of other weights: sums of float32 may come back as float64."""
    return {name: np.asarray(weights[name]).astype(like[name].dtype) for name in like}


def shortened(weights: Arrays, before: Arrays, plan: Plan) -> Arrays:
    """A site's weights with the clip of central privacy, which must not hang on the site's own doing it."""
    if plan.privacy is None or plan.privacy.where != "central":
        return weights
    before = origin(plan, before)
    move = difference(weights, before)
    length = norm_of(move)
    if length <= plan.privacy.clip * (1 + 1e-6):  # float32 weights give their update back to seven digits
        return weights
    return moved(before, {name: part * (plan.privacy.clip / length) for name, part in move.items()})


def _as_reply(weights: Arrays) -> Message:
    from flwr.app import MetricRecord, RecordDict

    question = Message(RecordDict(), dst_node_id=1, message_type="train")
    content = RecordDict({"arrays": to_arrays(weights), "metrics": MetricRecord({WEIGHT: 1})})
    return Message(content, reply_to=question)
