"""A site: trains on its own images, says how many they are and how they score, and nothing else of them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import nn

from secondread.data import PreparedSet, prepared_cache
from secondread.errors import DataInvalid, TrainingError, UsageError
from secondread.lab.federated.gated import without_refused
from secondread.lab.federated.histograms import Histogram, logit_histogram
from secondread.lab.federated.plan import Plan
from secondread.lab.federated.privacy import Arrays, Privacy, clipped, difference, is_finite, moved, noisy, secret_rng
from secondread.lab.federated.shares import SiteData
from secondread.training.fit import predict_logits
from secondread.training.prepare import LesionMaps, lesion_maps, new_network
from secondread.training.rounds import fit_epochs, gradient_of_part

Leaves = Literal["histogram", "nothing"]
_COUNTER = "num_batches_tracked"  # of normalisation layers; it says how many batches a site has, and nothing needs it


@dataclass(frozen=True)
class Policy:
    """What a site allows, whatever a server asks for.

    leaves: of its validation images, 'histogram' (counts of scores) or 'nothing'. privacy: noise of its own on every
    update. secure_only: it answers no round whose weights the server could read. gate: it learns from no image, and
    chooses by none, that the shipped gate refuses.
    """

    leaves: Leaves = "histogram"
    privacy: Privacy | None = None
    secure_only: bool = False
    gate: bool = True

    def __post_init__(self) -> None:
        if self.leaves not in ("histogram", "nothing"):
            raise UsageError(f"what may leave is 'histogram' or 'nothing', not '{self.leaves}'")
        if self.privacy is not None and self.privacy.where != "local":
            raise UsageError("a site's own privacy is 'local'; 'central' is the server's")


OPEN = Policy()  # counts of scores may leave, and weights as they are


@dataclass
class Site:
    """A hospital's end: its images, their cache, and the network while it is there.

    data: after `look`, without what the shipped gate refuses.
    """

    data: SiteData
    policy: Policy = OPEN
    cache_folder: Path | None = None
    keeps: Path | None = None  # where the finished bundle and its own evidence are put
    _prepared: dict[tuple[str, str], PreparedSet] = field(default_factory=dict, repr=False)
    _maps: dict[str, LesionMaps] = field(default_factory=dict, repr=False)
    own: dict[int, Arrays] = field(default_factory=dict, repr=False)  # round → layers that stay at home, under FedBN
    _looks: dict[str, SiteData | TrainingError] = field(default_factory=dict, repr=False)  # task → what the gate left

    def __post_init__(self) -> None:
        self._whole = self.data

    def check_teaches(self, plan: Plan) -> None:
        """Raises TrainingError where images of one class are here and the plan lets nobody teach by lesions."""
        if self.data.teaches == "labels":
            return
        if not plan.load_recipe().lesion_weight or not hasattr(new_network_of(plan), "lesions"):
            raise TrainingError(
                f"site '{self.data.name}' has images of one class alone, which teach by their lesions or not at all: "
                "take a network with a map of lesions (lesion-lite0) and --set lesion_weight=1, or leave this site out"
            )

    def look(self, plan: Plan) -> None:
        """Leave out what the shipped gate refuses for the plan's task, at which it looks once.

        Raises TrainingError if what is left cannot teach.
        """
        if not self.policy.gate:
            return
        if plan.task not in self._looks:
            try:
                self._looks[plan.task] = without_refused(self._whole, plan.load_task())
            except TrainingError as error:
                self._looks[plan.task] = error
        found = self._looks[plan.task]
        if isinstance(found, TrainingError):
            raise found
        if found is not self.data:
            self.data = found
            self._prepared.clear()
            self._maps.clear()
            vars(self).pop("fingerprint", None)

    @cached_property
    def fingerprint(self) -> str:
        """Of all images that teach, choose or measure here; read once."""
        return self.data.fingerprint()

    def layers_of(self, server_round: int) -> Arrays:
        """The layers that stayed at home in that round, or in the last before it that this site took part in."""
        known = [number for number in self.own if number <= server_round]
        return self.own[max(known)] if known else {}

    def train(self, plan: Plan, weights: Arrays, server_round: int) -> tuple[Arrays, float]:
        """The weights after this site's epochs of a round, and the mean loss of the last of them.

        Under fedsgd, in their place, the gradient of the round's part of an epoch, and the loss of that part.

        Raises TrainingError where they are no numbers any more: such weights are never sent.
        """
        self._allow(plan)
        self.look(plan)
        model, recipe = self._network(plan, weights, server_round - 1), plan.load_recipe()
        prepared = self._part("train", plan)
        names = shared_names(model, plan)
        epochs = plan.epochs_of(server_round)
        lesions = self._lesions(plan, prepared) if recipe.lesion_weight else None
        if plan.strategy == "fedsgd":
            loss = gradient_of_part(
                model,
                prepared,
                recipe,
                epoch=epochs.start,
                part=plan.part_of(server_round),
                parts=plan.rounds_per_epoch,
                lesions=lesions,
                by_lesions=self.data.teaches == "lesions",
                random_state=plan.random_state,
            )
        else:
            loss = fit_epochs(
                model,
                prepared,
                recipe,
                epochs=epochs,
                lesions=lesions,
                by_lesions=self.data.teaches == "lesions",
                random_state=plan.random_state,
                before_step=_proximal(model, plan.proximal) if plan.strategy == "fedprox" else None,
            )
        learnt = weights_of(model)
        if plan.strategy == "fedsgd":
            learnt |= gradients_of(model)
        if plan.strategy == "fedbn":
            self.own[server_round] = {name: part for name, part in learnt.items() if name not in names}
        learnt = {name: learnt[name] for name in names}
        if not is_finite(learnt):
            raise TrainingError("this round ended in weights that are no numbers; a lower learning rate may help")
        return self._private(plan, {name: weights[name] for name in names}, learnt), loss

    def score(self, plan: Plan, weights: Arrays, server_round: int) -> Histogram | None:
        """How the validation images score by the weights of that round; None where nothing may leave."""
        self._allow(plan)
        if self.policy.leaves == "nothing":
            return None
        self.look(plan)
        if not len(self.data.val):  # as may be of images of one class
            return None
        prepared = self._part("val", plan)
        model = self._network(plan, weights, server_round)
        device = torch.device("cuda") if torch.cuda.is_available() else torch.device("cpu")
        logits = predict_logits(model.to(device), np.array(prepared.images))
        return logit_histogram(logits, prepared.labels)

    def _allow(self, plan: Plan) -> None:
        if self.policy.secure_only and not plan.secure:
            raise UsageError("this site sends weights under secure aggregation alone; start the server with --secure")

    def _private(self, plan: Plan, before: Arrays, after: Arrays) -> Arrays:
        """Clipped as the plan says, and with this site's own noise where it asks for some, or the plan does."""
        local = self.policy.privacy or (plan.privacy if plan.privacy and plan.privacy.where == "local" else None)
        if plan.privacy is None and local is None:
            return after
        before = origin(plan, before)
        bound = min(privacy.clip for privacy in (plan.privacy, local) if privacy is not None)
        update = clipped(difference(after, before), bound)
        if local is not None:
            update = noisy(update, local.noise * bound, secret_rng())
        return moved(before, update)

    def _network(self, plan: Plan, weights: Arrays, server_round: int) -> nn.Module:
        model = new_network_of(plan)
        put_in(model, weights)
        if plan.strategy == "fedbn":
            put_in(model, self.layers_of(server_round))
        return model

    def _part(self, name: Literal["train", "val"], plan: Plan) -> PreparedSet:
        spec = plan.prepare_spec
        key = (name, repr(spec))
        if key not in self._prepared:
            manifest = self.data.train if name == "train" else self.data.val
            self._prepared[key] = prepared_cache(manifest, spec, folder=self.cache_folder, on_bad="raise")
        return self._prepared[key]

    def _lesions(self, plan: Plan, prepared: PreparedSet) -> LesionMaps:
        key = repr(plan.prepare_spec)
        if key not in self._maps:
            self._maps[key] = lesion_maps(self.data.train, prepared.rows, plan.prepare_spec)
        return self._maps[key]


def new_network_of(plan: Plan) -> nn.Module:
    """The plan's network with weights that are about to be replaced: no file and no address is opened."""
    recipe = replace(plan.load_recipe(), pretrained=False, weights="", weights_sha256="")
    return new_network(plan.model, plan.prepare_spec, recipe, random_state=plan.random_state)


def first_weights(plan: Plan) -> tuple[Arrays, Arrays]:
    """Where all sites start: drawn by the random state, or with the pretrained weights that the recipe asks for.

    First what travels in every round, then what stays at each site from the first round on.
    """
    model = new_network(plan.model, plan.prepare_spec, plan.load_recipe(), random_state=plan.random_state)
    shared, whole = shared_names(model, plan), weights_of(model)
    travels = {name: whole[name] for name in shared}
    return travels, {name: part for name, part in whole.items() if name not in travels}


def weights_of(model: nn.Module) -> Arrays:
    """Everything of the network that is a number with a point: float arrays by name, in its order."""
    state = model.state_dict()
    return {
        name: tensor.detach().cpu().numpy().copy()
        for name, tensor in state.items()
        if tensor.is_floating_point() and not name.endswith(_COUNTER)
    }


_ROUNDED = 0.01  # logits: more than what rounding may change of an answer


def still_answers(plan: Plan, weights: Arrays) -> bool:
    """Whether a network of these weights answers with numbers that do not hang on rounding; under fedbn, whose layers
    are at the sites, whether they are numbers themselves."""
    if plan.strategy == "fedbn" or not is_finite(weights):
        return is_finite(weights)
    model, spec = new_network_of(plan).eval(), plan.prepare_spec
    put_in(model, weights)
    noise = torch.from_numpy(np.random.default_rng(0).random((2, spec.channels, spec.size, spec.size), np.float32))
    with torch.inference_mode():
        rounded = model(noise).double()
        return bool((model.double()(noise.double()) - rounded).abs().max() < _ROUNDED)


def gradients_of(model: nn.Module) -> Arrays:
    """Of every parameter, as they stand after a backward pass; 0 for what does not learn."""
    return {
        name: (torch.zeros_like(one) if one.grad is None else one.grad).detach().cpu().numpy().copy()
        for name, one in model.named_parameters()
    }


def origin(plan: Plan, weights: Arrays) -> Arrays:
    """From where an update is measured: the weights before the round; of a gradient, nothing."""
    if plan.strategy != "fedsgd":
        return weights
    learning = {name for name, _ in new_network_of(plan).named_parameters()}
    return {name: np.zeros_like(part) if name in learning else part for name, part in weights.items()}


def put_in(model: nn.Module, weights: Arrays) -> None:
    """Load weights by name; what they lack stays as it is. Raises DataInvalid for others than the network has."""
    state = model.state_dict()
    for name, part in weights.items():
        if name not in state or tuple(state[name].shape) != part.shape or not np.isfinite(part).all():
            raise DataInvalid(f"the weights that came do not fit the network at '{name}'; use one version everywhere")
    model.load_state_dict({name: torch.from_numpy(np.array(part)) for name, part in weights.items()}, strict=False)


def shared_names(model: nn.Module, plan: Plan) -> list[str]:
    """The weights that travel: all, but for the normalisation layers under FedBN.

    Raises UsageError for a network that has none.
    """
    names = list(weights_of(model))
    if plan.strategy != "fedbn":
        return names
    local = local_layers(model)
    if not local:
        raise UsageError(
            f"'{plan.model}' has no normalisation layers, so fedbn would be fedavg; choose another network"
        )
    return [name for name in names if name not in local]


def local_layers(model: nn.Module) -> set[str]:
    """Names of all weights and statistics of batch normalisations."""
    return {
        f"{layer}.{name}" if layer else name
        for layer, module in model.named_modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm)
        for name, tensor in module.state_dict().items()
        if tensor.is_floating_point()
    }


def _proximal(model: nn.Module, strength: float) -> Callable[[nn.Module], None]:
    """Adds μ (w − w of the round's start) to every gradient: the derivative of μ/2 ‖w − w₀‖²."""
    start: Iterable[torch.Tensor] = [parameter.detach().clone() for parameter in model.parameters()]

    def pull(now: nn.Module) -> None:
        with torch.no_grad():
            for parameter, before in zip(now.parameters(), start, strict=True):
                if parameter.grad is not None:
                    parameter.grad.add_(parameter - before.to(parameter.device), alpha=strength)

    return pull
