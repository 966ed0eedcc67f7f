"""What goes between server and sites, as Flower's messages: the ClientApp of a site, and what its answers mean."""

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Error, Message, MetricRecord, RecordDict
from flwr.client.mod import secaggplus_mod
from flwr.clientapp import ClientApp
from flwr.compat.common import recorddict_compat as compat
from flwr.compat.common.parameter import ndarrays_to_parameters, parameters_to_ndarrays
from flwr.compat.common.typing import Code, FitRes, Status

from secondread import __version__
from secondread.errors import DataInvalid, TrainingError, UsageError
from secondread.lab.federated.histograms import LOGIT_EDGES, Histogram
from secondread.lab.federated.measure import measure_here
from secondread.lab.federated.plan import Plan
from secondread.lab.federated.privacy import Arrays
from secondread.lab.federated.shares import Teaches
from secondread.lab.federated.site import Site

HELLO, OWN_LAYERS, GOODBYE = "query.hello", "query.layers", "query.goodbye"
SCORE, MEASURE = "evaluate.score", "evaluate.measure"
TRAIN = "train.plain"  # plain "train" belongs to Flower's protocol of secure aggregation
WEIGHT = "num-examples"  # the key that Flower's strategies weigh by

logging.getLogger("flwr").setLevel(logging.ERROR)  # what matters of a round is told by who runs it

Mod = Callable[[Message, Context, Callable[[Message, Context], Message]], Message]


@dataclass(frozen=True)
class Hello:
    """What a site says of itself before the first round."""

    name: str
    version: str
    leaves: str
    fingerprint: str
    counts: Mapping[str, int]  # images and diseased ones of train, val and test
    privacy: Mapping[str, Any] | None = None  # noise that it adds itself
    refused: Mapping[str, int] | None = None  # code → images that the shipped gate left out; None: it did not look

    @property
    def teaches(self) -> Teaches:
        """By what, see `SiteData.teaches`."""
        return "labels" if 0 < self.counts["train-positive"] < self.counts["train"] else "lesions"

    @classmethod
    def of(cls, reply: Message) -> "Hello":
        """Raises DataInvalid for what is no greeting."""
        try:
            table = json.loads(str(reply.content["hello"]["json"]))
            counts = {str(name): int(count) for name, count in table.pop("counts").items()}
            return cls(**table, counts=counts)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataInvalid(
                "a site did not say who it is; run the same version of secondread at both ends"
            ) from error


def to_arrays(weights: Mapping[str, np.ndarray]) -> ArrayRecord:
    """Weights by name, as they travel."""
    return ArrayRecord({name: Array(np.asarray(part)) for name, part in weights.items()})


def from_arrays(record: ArrayRecord) -> Arrays:
    """The way back."""
    return {name: array.numpy() for name, array in record.items()}


def instruction(plan: Plan, *, weights: Arrays | None = None, server_round: int = 0) -> RecordDict:
    """What a message to a site holds."""
    content = RecordDict({"config": ConfigRecord({"plan": plan.to_json(), "round": server_round})})
    if weights is not None:
        content["arrays"] = to_arrays(weights)
    return content


def _read(message: Message) -> tuple[Plan, int, Arrays]:
    config = message.content.config_records["config"]
    arrays = message.content.array_records.get("arrays")
    return Plan.from_json(str(config["plan"])), int(config["round"]), {} if arrays is None else from_arrays(arrays)


def answer(
    app: ClientApp, message: Message, context: Context, *, on_error: Callable[[Exception], None] | None = None
) -> Message:
    """A site's reply, which is an error where something went wrong: in words that name no file and no patient.

    on_error: for the site's own screen.
    """
    try:
        return app(message, context)
    except Exception as error:  # whatever it is, the site stays and the others go on
        if on_error is not None:
            on_error(error)
        return Message(Error(_FAILED, said_outside(error)), reply_to=message)


_FAILED = 4  # Flower's code for an app that raised


def said_outside(error: Exception) -> str:
    """What may be told of an error: refusals by their sentence, all else by its kind, since sentences name files."""
    if isinstance(error, TrainingError) or (isinstance(error, UsageError) and not isinstance(error, DataInvalid)):
        return str(error)
    return f"{type(error).__name__}; the site's own screen says more"


def site_app(site: Site, *, mods: Sequence[Mod] = ()) -> ClientApp:
    """The ClientApp of a site. Whatever a server sends, only this program's own code is run.

    mods: of Flower, around what trains.
    """
    app = ClientApp()

    @app.query("hello")
    def hello(message: Message, context: Context) -> Message:
        policy = site.policy
        plan = _read(message)[0]
        site.check_teaches(plan)
        site.look(plan)
        said = {
            "name": site.data.name,
            "version": __version__,
            "leaves": policy.leaves,
            "fingerprint": site.fingerprint,
            "counts": site.data.counts(),
            "privacy": None if policy.privacy is None else policy.privacy.to_dict(),
            "refused": dict(site.data.refused) if policy.gate else None,
        }
        return Message(RecordDict({"hello": ConfigRecord({"json": json.dumps(said)})}), reply_to=message)

    @app.train("plain", mods=list(mods))
    def train(message: Message, context: Context) -> Message:
        plan, number, weights = _read(message)
        started = time.perf_counter()
        _recall(site, context)
        learnt, loss = site.train(plan, weights, number)
        if number in site.own:
            context.state[f"{_OWN}{number}"] = to_arrays(site.own[number])
        told = MetricRecord(
            {WEIGHT: len(site.data.train), "loss": loss, "seconds": round(time.perf_counter() - started, 3)}
        )
        return Message(RecordDict({"arrays": to_arrays(learnt), "metrics": told}), reply_to=message)

    @app.train(mods=[secaggplus_mod, *mods])
    def train_securely(message: Message, context: Context) -> Message:
        fit = compat.recorddict_to_fitins(message.content, keep_input=True)
        plan, names = Plan.from_json(str(fit.config["plan"])), json.loads(str(fit.config["names"]))
        weights = dict(zip(names, parameters_to_ndarrays(fit.parameters), strict=True))
        learnt, _ = site.train(plan, weights, int(fit.config["round"]))
        parameters = ndarrays_to_parameters([learnt[name].astype(np.float64) for name in names])
        told = FitRes(Status(Code.OK, ""), parameters, len(site.data.train), {})
        return Message(compat.fitres_to_recorddict(told, keep_input=False), reply_to=message)

    @app.query("layers")
    def layers(message: Message, context: Context) -> Message:
        _, number, _ = _read(message)
        _recall(site, context)
        return Message(RecordDict({"arrays": to_arrays(site.layers_of(number))}), reply_to=message)

    @app.query("goodbye")
    def goodbye(message: Message, context: Context) -> Message:
        return Message(RecordDict(), reply_to=message)

    @app.evaluate("score")
    def score(message: Message, context: Context) -> Message:
        plan, number, weights = _read(message)
        _recall(site, context)
        return Message(_counted(site.score(plan, weights, number)), reply_to=message)

    @app.evaluate("measure")
    def measure(message: Message, context: Context) -> Message:
        plan, _, _ = _read(message)
        sent = message.content.config_records["bundle"]
        told = measure_here(site, plan, record=json.loads(str(sent["record"])), model=bytes(sent["model"]))
        return Message(
            RecordDict({"measured": ConfigRecord({"json": json.dumps(told)})}),
            reply_to=message,
        )

    return app


_OWN = "own-layers-"  # and a round: keys in Flower's state of a site, which outlives the process that answered


def _recall(site: Site, context: Context) -> None:
    for key, record in context.state.array_records.items():
        if key.startswith(_OWN):
            site.own.setdefault(int(key.removeprefix(_OWN)), from_arrays(record))


def _counted(found: Histogram | None) -> RecordDict:
    if found is None:
        return RecordDict({"metrics": MetricRecord({"n": 0})})
    counts = {"positive": found.positive.tolist(), "negative": found.negative.tolist()}
    return RecordDict({"metrics": MetricRecord({"n": len(found), **counts})})


def histogram_in(reply: Message) -> Histogram | None:
    """What a site told of its validation scores; None where it tells nothing. Raises DataInvalid."""
    table = reply.content.metric_records["metrics"]
    if not table["n"]:
        return None
    return Histogram.from_counts(LOGIT_EDGES, table["positive"], table["negative"])
