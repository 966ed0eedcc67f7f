"""`train_bundle` on a node of a Ray cluster, through Ray Train: there is the GPU, here is the command line.

One network is trained by one worker: ours take minutes, and what is many, the trials of a search, is spread by
`search_on_ray`. Images and the bundle's folder must lie on a disk that the node sees at the same paths.
"""

import tempfile
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from secondread.errors import CannotOpen, SecondReadError
from secondread.reading import Bundle, load_bundle
from secondread.screening.cluster import connected
from secondread.training.train import Progress, train_bundle

_TRIES_AGAIN = 2  # a node that goes takes an epoch at most with it: the run's state is on the disk
_LISTEN_EVERY = 0.5  # seconds


def train_on_ray(*, out: Path, address: str | None = None, progress: Progress | None = None, **asked: Any) -> Bundle:
    """As `train_bundle`, with the same bundle in `out`. progress: its epochs alone are heard of.

    Raises as `train_bundle` and `connected`, and CannotOpen where the cluster cannot do it.
    """
    with connected(address, workers=1) as ray, tempfile.TemporaryDirectory(prefix="train-") as folder:
        from ray import train
        from ray.exceptions import RayError
        from ray.train.torch import TorchTrainer

        ear = ray.remote(num_cpus=0)(_Ear).remote()
        trainer = TorchTrainer(
            _train,
            train_loop_config={**asked, "out": out.absolute(), "ear": ear},
            scaling_config=train.ScalingConfig(num_workers=1, use_gpu=ray.cluster_resources().get("GPU", 0) >= 1),
            run_config=train.RunConfig(
                storage_path=folder, name="train", failure_config=train.FailureConfig(max_failures=_TRIES_AGAIN)
            ),
        )
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(trainer.fit)
            mistakes = []
            while True:
                ended = not wait([running], timeout=_LISTEN_EVERY).not_done
                mistakes += _heard(ray.get(ear.take.remote()), progress)
                if ended:
                    break
        for mistake in mistakes:
            raise mistake
        try:
            running.result()
        except (train.TrainingFailedError, RayError) as error:
            said = str(error).strip().splitlines() or [type(error).__name__]
            raise CannotOpen(
                f"the cluster could not finish ({said[-1][:300]}); ask the same again to go on where it was"
            ) from error
    return load_bundle(out)


class _Ear:
    """What the node says while it trains, until somebody takes it: an actor of the cluster."""

    def __init__(self) -> None:
        self._said: list[Any] = []

    def say(self, thing: Any) -> None:
        self._said.append(thing)

    def take(self) -> list[Any]:
        said, self._said = self._said, []
        return said


def _heard(said: list[Any], progress: Progress | None) -> list[SecondReadError]:
    """Pass epochs on; gives the mistakes."""
    for thing in said:
        if isinstance(thing, tuple) and progress is not None and progress.on_epoch is not None:
            progress.on_epoch(*thing)
    return [thing for thing in said if isinstance(thing, SecondReadError)]


def _train(asked: dict[str, Any]) -> None:
    """On the node."""
    import ray

    ear = asked.pop("ear")
    progress = Progress(on_epoch=lambda epoch, epochs: ray.get(ear.say.remote((epoch, epochs))))
    try:
        train_bundle(**asked, progress=progress)
    except SecondReadError as mistake:  # which no other try would mend
        ray.get(ear.say.remote(mistake))
