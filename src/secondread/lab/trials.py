"""The trials of a search: what to try next, how a trial is done, and what came of it."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from secondread.data import Manifest, Row
from secondread.errors import TrainingError
from secondread.lab.runs import Runs
from secondread.stats.delong import auc_interval
from secondread.stats.metrics import roc_auc
from secondread.training.fit import Epoch, predict_logits
from secondread.training.recipe import Recipe

SPREADS = ("zoom", "gamma")  # searched as one strength s, which stands for the factors from 1 / (1 + s) to 1 + s
STARTUP = 5  # trials drawn at random before TPE and pruning have something to go by

OnEpoch = Callable[[int, Epoch, int], None]  # trial, epoch, epochs


@dataclass(frozen=True)
class Part:
    """One network of a trial: what it learns from, what chooses its epoch, and what it is measured on."""

    name: str
    train: tuple[Row, ...]
    val: tuple[Row, ...]
    measured: tuple[Row, ...]


@dataclass
class Going:
    """A search that goes on: what to try next, and what came of it. In one process, whoever does the trials.

    start: what the first trial tries. end: no trial starts after that (time.monotonic).
    """

    found: optuna.Study
    space: dict[str, BaseDistribution]
    start: dict[str, float]
    random_state: int
    n_trials: int
    end: float
    on_epoch: OnEpoch | None
    n_running: int = 0

    def ask(self) -> optuna.Trial | None:
        """The next trial; None where there are enough, or it is too late."""
        done = len(finished(self.found)) + self.n_running
        if done >= self.n_trials or time.monotonic() >= self.end:
            return None
        # A generator for each trial, so that a search that was stopped goes the same way as one that was not.
        seed = 1000 * self.random_state + done
        self.found.sampler = optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=STARTUP, constant_liar=self.n_running > 0
        )
        if not done and not self.found.get_trials(states=[TrialState.WAITING]):
            self.found.enqueue_trial(self.start)
        trial = self.found.ask(self.space)
        self.n_running += 1
        return trial

    def stops(self, trial: optuna.Trial, epoch: Epoch, epochs: int, at: "At") -> bool:
        """Note an epoch. Whether the trial is so far behind the others that it ends here."""
        if self.on_epoch is not None:
            self.on_epoch(trial.number, epoch, epochs)
        trial.report(epoch.val_auc, at.step)
        return not at.last and trial.should_prune()

    def tell(self, trial: optuna.Trial, *, areas: dict[str, Any] | None = None, failed: str = "") -> None:
        """What came of a trial; neither areas nor failed: it was stopped early."""
        self.n_running -= 1
        if failed:  # a learning rate that is too high ends this trial, not the search
            trial.set_user_attr("failed", failed)
            self.found.tell(trial, -math.inf, state=TrialState.COMPLETE)
        elif areas is None:
            self.found.tell(trial, state=TrialState.PRUNED)
        else:
            trial.set_user_attr("areas", areas)
            self.found.tell(trial, float(np.mean([area["value"] for area in areas.values()])))

    def lose(self, trial: optuna.Trial) -> None:
        """A trial that came to nothing, through no fault of its values: it counts for nothing."""
        self.n_running -= 1
        self.found.tell(trial, state=TrialState.FAIL)


@dataclass(frozen=True)
class At:
    """Where a trial stands: epochs of all of its networks so far, and whether that was the last."""

    step: int
    last: bool


Tell = Callable[[Epoch, int, At], None]  # epoch, epochs, where


def one_by_one(going: Going, trials: "Trials") -> None:
    """One trial after the other."""
    while (trial := going.ask()) is not None:

        def tell(epoch: Epoch, epochs: int, at: At, trial: optuna.Trial = trial) -> None:
            if going.stops(trial, epoch, epochs, at):
                raise optuna.TrialPruned

        try:
            areas = trials.areas(trial.params, tell)
        except optuna.TrialPruned:
            going.tell(trial)
        except TrainingError as error:
            going.tell(trial, failed=str(error))
        else:
            going.tell(trial, areas=areas)


@dataclass(frozen=True)
class Trials:
    """How a trial is done; may be sent to another process."""

    runs: Runs
    recipe: Recipe
    parts: tuple[Part, ...]
    random_state: int

    def areas(self, params: dict[str, float], tell: Tell) -> dict[str, Any]:
        """Train the networks of a trial: part → its ROC AUC with interval. Raises as `fit`, and what `tell` does."""
        recipe = recipe_of(self.recipe, params)
        return {part.name: self._measure(recipe, part, number, tell) for number, part in enumerate(self.parts)}

    def _measure(self, recipe: Recipe, part: Part, number: int, tell: Tell) -> dict[str, Any]:
        def told(epoch: Epoch, epochs: int) -> None:
            last = epoch.epoch == epochs and number == len(self.parts) - 1
            tell(epoch, epochs, At(number * epochs + epoch.epoch, last))

        result = self.runs.fit(part.train, part.val, recipe, random_state=self.random_state, on_epoch=told)
        rows = Manifest(part.measured, self.runs.manifest.folder)
        logits = result.val_logits
        if part.measured is not part.val or logits is None:
            images = self.runs.prepared(part.measured, recipe).images
            logits = predict_logits(result.model, images, bfloat16=recipe.bfloat16)
        area = auc_interval(rows.labels, logits, groups=rows.groups).to_dict()
        return {**area, "value": roc_auc(rows.labels, logits), "n": len(rows), "n_positive": int(rows.labels.sum())}


def recipe_of(recipe: Recipe, params: dict[str, float]) -> Recipe:
    """The recipe with a trial's values."""
    changes: dict[str, Any] = {name: rounded(value) for name, value in params.items()}
    for name in set(SPREADS) & set(changes):
        wide = 1 + changes[name]
        changes[name] = (rounded(1 / wide), rounded(wide)) if wide > 1 else None
    return replace(recipe, **changes)


def finished(found: optuna.Study) -> list[FrozenTrial]:
    """Those that ended, in the order of their numbers."""
    return found.get_trials(deepcopy=False, states=[TrialState.COMPLETE, TrialState.PRUNED])


def rounded(value: float) -> float:
    """Four significant digits: no training can tell more apart."""
    return value if isinstance(value, int) else float(f"{value:.4g}")
