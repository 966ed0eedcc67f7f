"""The trials of a search on a Ray cluster, through Ray Tune: several at a time, each in a process of its own.

What is tried, when a trial ends early and what is kept stay with Optuna and its storage, as without a cluster: Tune
asks it through a searcher and a scheduler of ours. So a search goes on where it stopped with either engine. Trials that
run side by side know nothing of each other's values: the same search on another number of workers takes another way.
"""

import json
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import optuna

from secondread.errors import CannotOpen, TrainingError
from secondread.lab.trials import At, Going, Trials
from secondread.screening.cluster import connected, cores_of
from secondread.training.fit import Epoch


def on_ray(*, address: str | None = None, workers: int | None = None) -> Callable[[Going, Trials], None]:
    """Does the trials of a search there, as many at a time as workers are asked for; by default one for each core.

    Images must lie at the same paths on every host. Raises as `connected`.
    """

    def run(going: Going, trials: Trials) -> None:
        with connected(address, workers=workers) as ray:
            _run(ray, going, trials, workers or cores_of(ray))

    return run


def _run(ray: Any, going: Going, trials: Trials, workers: int) -> None:
    from ray import tune
    from ray.tune.schedulers import FIFOScheduler, TrialScheduler
    from ray.tune.search import Searcher

    running: dict[str, optuna.Trial] = {}

    class Asking(Searcher):
        """What Tune tries is what the search asks for."""

        def suggest(self, trial_id: str) -> Any:
            if len(running) >= workers:
                return None  # later
            trial = going.ask()
            if trial is None:
                return None if running else Searcher.FINISHED
            running[trial_id] = trial
            return {"params": dict(trial.params)}

        def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
            trial = running.pop(trial_id)
            told = json.loads((result or {}).get("told", "{}"))
            if error:
                going.lose(trial)
            else:
                going.tell(trial, areas=told.get("areas"), failed=told.get("failed", ""))

        def save(self, *where: str) -> None:
            pass  # Optuna's storage holds it

        def restore(self, *where: str) -> None:
            pass

    class Stopping(FIFOScheduler):
        """A trial ends early where the search says so."""

        def on_trial_result(self, _: Any, trial: Any, result: dict[str, Any]) -> str:
            told = json.loads(result["told"])
            if "epoch" not in told:
                return str(TrialScheduler.CONTINUE)
            epoch, at = Epoch(**told["epoch"]), At(**told["at"])
            stops = going.stops(running[trial.trial_id], epoch, told["epochs"], at)
            return str(TrialScheduler.STOP if stops else TrialScheduler.CONTINUE)

    with tempfile.TemporaryDirectory(prefix="tune-", ignore_cleanup_errors=True) as folder:
        done = tune.Tuner(
            tune.with_resources(tune.with_parameters(_trial, trials=trials), {"cpu": 1}),
            tune_config=tune.TuneConfig(
                search_alg=Asking(metric="value", mode="max"),
                scheduler=Stopping(),
                num_samples=-1,
                max_concurrent_trials=0,
                reuse_actors=False,
            ),
            run_config=tune.RunConfig(storage_path=folder, name="search", verbose=0),
        ).fit()
    if done.errors:
        said = str(done.errors[0]).strip().splitlines()[-1]
        raise CannotOpen(f"a trial could not be done on the cluster: {said[:300]}; search again to go on")


def _trial(config: dict[str, Any], *, trials: Trials) -> None:
    """In a process of the cluster."""
    from ray import tune

    def say(value: float, **told: Any) -> None:
        tune.report({"value": value, "told": json.dumps(told)})  # as text: Tune takes tables apart

    def tell(epoch: Epoch, epochs: int, at: At) -> None:
        say(epoch.val_auc, epoch=asdict(epoch), epochs=epochs, at=asdict(at))

    try:
        areas = trials.areas(config["params"], tell)
    except TrainingError as error:
        say(0.0, failed=str(error))
    else:
        say(0.0, areas=areas)
