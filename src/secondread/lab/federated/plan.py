"""What the sites of one federated training agree on: a plan that travels in every message, checked at either end."""

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, get_args

from secondread.errors import DataInvalid, UnknownName, UsageError
from secondread.images import PrepareSpec
from secondread.lab.federated.privacy import Privacy
from secondread.tasks import Task, load_task
from secondread.training.recipe import Recipe, change_recipe, load_recipe, prepare_spec_of
from secondread.training.train import recipe_for

Strategy = Literal["fedavg", "fedsgd", "fednova", "fedprox", "fedbn", "fedadam", "trimmed", "krum"]
STRATEGIES: dict[str, str] = {
    "fedavg": "the mean of the sites' weights, each by its images (McMahan et al. 2017)",
    "fedsgd": "every step is taken together: sites send gradients, the server has the optimizer (McMahan et al. 2017)",
    "fednova": "the same, step by step: a small site's few steps count for as much as they are (Wang et al. 2020)",
    "fedprox": "the mean of the weights, with sites held near the common weights by a proximal term (Li et al. 2020)",
    "fedbn": "the same, with normalisation layers that stay at home (Li et al. 2021)",
    "fedadam": "the mean update taken as a gradient by Adam at the server (Reddi et al. 2021)",
    "trimmed": "weight by weight the mean without the furthest at either end (Yin et al. 2018)",
    "krum": "the update nearest to its neighbours, alone (Blanchard et al. 2017)",
}
ROBUST = ("trimmed", "krum")  # they must see every update by itself
_PRIVATE_FIELDS = ("weights", "weights_sha256")  # files and addresses: a server may not make a site open any


@dataclass(frozen=True)
class Plan:
    """Everything that decides what a site does in a round, but for the weights.

    task: name of a shipped task. recipe, changes: as of `secondread train`. rounds_per_epoch: of FedSGD, whose sites
    deal their images into so many parts, one for each step. proximal: μ of FedProx. server_rate: of FedAdam. faulty:
    how many sites `trimmed` and `krum` may lose. secure: only sums of masked weights are seen.
    """

    task: str
    model: str
    rounds: int
    recipe: str = "paper"
    changes: tuple[str, ...] = ()
    local_epochs: int = 1
    rounds_per_epoch: int = 1
    strategy: Strategy = "fedavg"
    proximal: float = 0.01
    server_rate: float = 0.01
    faulty: int = 1
    secure: bool = False
    privacy: Privacy | None = None
    gate: bool = False
    random_state: int = 0
    sites: int = field(default=2)  # how many must be there before it begins

    def __post_init__(self) -> None:
        if self.strategy not in get_args(Strategy):
            raise UnknownName.of("strategy", self.strategy, STRATEGIES)
        for name, least in (("rounds", 1), ("local_epochs", 1), ("rounds_per_epoch", 1), ("sites", 2), ("faulty", 0)):
            if getattr(self, name) < least:
                raise UsageError(f"{name.replace('_', ' ')} must be {least} or more, not {getattr(self, name)}")
        if self.strategy != "fedsgd" and self.rounds_per_epoch > 1:
            raise UsageError(f"'{self.strategy}' learns for whole epochs in a round; rounds per epoch are of fedsgd")
        if self.strategy == "fedsgd" and self.local_epochs > 1:
            raise UsageError("a round of 'fedsgd' is one step; leave out local epochs")
        if self.rounds % self.rounds_per_epoch:
            raise UsageError(f"{self.rounds} rounds are no whole epochs of {self.rounds_per_epoch} rounds each")
        if self.secure and self.sites < 3:
            raise UsageError(
                "secure aggregation needs three sites or more: of two, each can subtract its own weights from the sum"
            )
        if self.secure and self.strategy in ROBUST:
            raise UsageError(
                f"'{self.strategy}' must see every site's weights, and secure aggregation shows none; leave out one"
            )
        if self.secure and self.strategy == "fedbn":
            raise UsageError("'fedbn' ends with the normalisation layers of single sites, which --secure would hide")
        if self.secure and self.strategy == "fednova":
            raise UsageError("'fednova' weighs every site's update by its steps, and --secure shows none; take fedavg")
        if self.privacy is not None and self.strategy in (*ROBUST, "fednova"):
            raise UsageError(f"the ε of '{self.strategy}' is not known: take fedavg, fedprox or fedadam with privacy")

    def load_task(self) -> Task:
        """Raises UnknownName."""
        return load_task(self.task)

    def load_recipe(self) -> Recipe:
        """The recipe as the network can follow it, over all rounds. It averages nothing, as the server does, and has
        no part that draws: that is taught afterwards, where the boxes are.

        Raises UnknownName, or UsageError for a change that is none or that names files.
        """
        if found := [change for change in self.changes if change.split("=")[0].strip() in _PRIVATE_FIELDS]:
            raise UsageError(f"'{found[0]}': in a federated run the server sends the weights to start from")
        recipe = recipe_for(change_recipe(load_recipe(self.recipe, self.load_task()), self.changes), self.model)
        return replace(recipe, epochs=self.epochs_after(self.rounds), ema_decay=0.0, draw_weight=0.0, draw_from=())

    @property
    def prepare_spec(self) -> PrepareSpec:
        """What every site makes of its images."""
        return prepare_spec_of(self.load_task(), self.load_recipe())

    def epochs_of(self, server_round: int) -> range:
        """The numbers of a round's epochs among all, or of the one that it is a part of. server_round: from 1."""
        first = (server_round - 1) * self.local_epochs // self.rounds_per_epoch + 1
        return range(first, first + self.local_epochs)

    def part_of(self, server_round: int) -> int:
        """Which part of its epoch a round is, from 0."""
        return (server_round - 1) % self.rounds_per_epoch

    def epochs_after(self, server_round: int) -> int:
        """How many whole epochs lie behind after a round."""
        return server_round * self.local_epochs // self.rounds_per_epoch

    def is_scored(self, server_round: int) -> bool:
        """Whether validation looks at the weights of a round: at the end of every epoch."""
        return server_round % self.rounds_per_epoch == 0

    def to_json(self) -> str:
        """As it travels."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Plan":
        """Raises DataInvalid for what is no plan of this version, UsageError for one that cannot be."""
        try:
            table: dict[str, Any] = json.loads(text)
            privacy = table.pop("privacy")
            table["changes"] = tuple(table["changes"])
            return cls(**table, privacy=None if privacy is None else Privacy(**privacy))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DataInvalid(
                "the server sent a plan that is not known here; run the same version of secondread at both ends"
            ) from error

    def fingerprint(self) -> str:
        """SHA-256: a run goes on only under the plan that it began with."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()
