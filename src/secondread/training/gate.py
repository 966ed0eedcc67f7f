"""Trains the gate: which pictures each task may read, learnt from every task's images and from pictures of other kinds.

What it is worth at a hospital that it has not seen is measured by leaving every source out in turn, and the thresholds
come from there: inside its own sources a gate looks better than it is.
"""

import io
import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.special import softmax
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from secondread.errors import DataInvalid, TrainingError
from secondread.files import write_bytes
from secondread.models.gatenet import GatedDistances, GateNet
from secondread.training.export import TOLERANCE, run_onnx, to_onnx
from secondread.training.gate_batches import Batches, as_input, turned
from secondread.training.gate_data import INVERTED, KINDS, OTHER, SIDE, SPEC, TURNED, Pictures, tasks_of, upright
from secondread.training.gate_thresholds import Scores, named, thresholds
from secondread.training.gate_vary import ANY, UPRIGHT, Vary, invert

_LEARNING_RATE, _WEIGHT_DECAY, _SMOOTHING = 1e-3, 0.02, 0.02
_AVERAGED = 7  # the weights kept are the mean over about the last seventh of a run
_INVERTED_FROM = 0.5  # share that 'inverted' has of its and the task's own probability, from which it is called so
_FOLDS = 6
_RELATED = {"br35h": "web", "navoneel": "web", "sartaj": "web"}  # collections that drew on the same pages
_VIEWS = 2  # each picture left out is looked at varied so often, beside as it is
_BATCH_MEASURED = 256
_MEANT = 150  # pictures of a source that its mean is taken of


@dataclass(frozen=True)
class Plan:
    """How a gate is trained."""

    steps: int = 900
    batch: int = 192
    stages: int = 5
    random_state: int = 0
    device: str = "cpu"
    pretrained: bool = True


DEFAULT = Plan()
Told = Callable[[str], None]


def kinds_of(tasks: Iterable[str]) -> list[str]:
    """What a gate of these tasks tells apart, in the order of its outputs."""
    return [*sorted(tasks), OTHER, INVERTED, TURNED, *dict.fromkeys(KINDS.values())]


def train_gate(
    pictures: Pictures, plan: Plan = DEFAULT, *, workers: int = 1, on_run: Told | None = None
) -> tuple[dict[str, np.ndarray], Scores]:
    """The weights of a gate that all pictures taught, and the scores of what other gates were not taught.

    workers: processes that train side by side. Raises DataInvalid where no picture is kept aside to check it.
    """
    if not (pictures.parts == "val").any():
        raise DataInvalid("no picture is in the split 'val', by which a gate is checked; divide the images first")
    return _all_runs(pictures, plan, kinds_of(tasks_of(pictures)), workers=workers, on_run=on_run)


def finish_gate(
    pictures: Pictures, plan: Plan, weights: Mapping[str, np.ndarray], scores: Scores, *, command: str = ""
) -> tuple[bytes, dict[str, Any]]:
    """The gate as ONNX, and its record: kinds, thresholds, how it was made.

    Raises TrainingError if the exported gate differs from torch.
    """
    tasks = tasks_of(pictures)
    kinds = kinds_of(tasks)
    net = GateNet(num_classes=len(kinds), stages=plan.stages)
    net.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    taught = pictures.take(np.flatnonzero(pictures.parts != "val"))
    served = _with_distances(net.eval(), taught, tasks).eval()
    data = to_onnx(served, size=SIDE, channels=3, outputs=["logits", "distances"])
    _check_parity(served, data, pictures.images)
    record = {
        "kinds": kinds,
        "upright": upright(tasks),
        "inverted_from": _INVERTED_FROM,
        "prepare": SPEC.to_dict(),
        "named": named(pictures, scores, kinds),
        "thresholds": thresholds(pictures, scores, kinds),
        "created": date.today().isoformat(),
        "training": {
            "command": command,
            "steps": plan.steps,
            "batch": plan.batch,
            "stages": plan.stages,
            "random_state": plan.random_state,
            "n": len(taught),
        },
    }
    return data, record


def save_run(weights: Mapping[str, np.ndarray], scores: Scores, path: Path) -> None:
    """Weights and scores as `.npz`, to choose thresholds by another rule."""
    target = io.BytesIO()
    arrays = {**vars(scores), **{f"weights/{name}": value for name, value in weights.items()}}
    np.savez_compressed(target, **arrays)
    write_bytes(path, target.getvalue())


# --- what is left out -------------------------------------------------------------------------------------------------


def left_out(pictures: Pictures) -> Iterator[tuple[str, np.ndarray]]:
    """('source' or 'half', mask of what does not teach) for each run that measures.

    Sources: six folds, each without some sources of every task and of the other kinds. Halves: the first, then the
    second half of each kind's files in the gate's own collection, for kinds that one source shows.
    """
    families = np.array([_RELATED.get(source, source) for source in pictures.sources])
    for fold in _folds(pictures, families):
        yield "source", np.isin(families, fold)
    second = np.zeros(len(pictures), bool)
    own = pictures.parts == "gate"
    for shows in np.unique(pictures.shows[own]):
        rows = np.flatnonzero(own & (pictures.shows == shows))
        second[rows[len(rows) // 2 :]] = True
    if own.any():
        yield "half", own & ~second
        yield "half", own & second


def _folds(pictures: Pictures, families: np.ndarray) -> list[list[str]]:
    """Each family once; those of a kind are dealt out, the largest first."""
    dealt: dict[str, int] = {}
    folds: list[list[str]] = [[] for _ in range(_FOLDS)]
    tasks = tasks_of(pictures)
    for kind in [*tasks, "ct", "mri", *sorted(set(pictures.kinds.tolist()) - set(tasks) - {"ct", "mri"})]:
        names, counts = np.unique(families[pictures.kinds == kind], return_counts=True)
        if len(names) == 1 and kind in tasks:
            continue  # nothing of the task would be left to teach it
        for number, name in enumerate(names[np.argsort(-counts, kind="stable")].tolist()):
            if name not in dealt and name != "drawn":
                dealt[name] = (number + len(dealt)) % _FOLDS if kind not in tasks else number % _FOLDS
                folds[dealt[name]].append(name)
    return [fold for fold in folds if fold]


# --- runs -------------------------------------------------------------------------------------------------------------


def _all_runs(
    pictures: Pictures, plan: Plan, kinds: list[str], *, workers: int, on_run: Told | None
) -> tuple[dict[str, np.ndarray], Scores]:
    """The gate that all teach, and the scores of those that some did not teach."""
    runs: list[tuple[str, np.ndarray]] = [("known", np.zeros(len(pictures), bool)), *left_out(pictures)]
    if workers == 1:
        results = (_run((pictures, plan, kinds, *run)) for run in runs)
        return _collect(results, len(runs), on_run)
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        return _collect(pool.map(_run, [(pictures, plan, kinds, *run) for run in runs]), len(runs), on_run)


def _collect(results: Iterable[Any], n: int, on_run: Told | None) -> tuple[dict[str, np.ndarray], Scores]:
    weights: dict[str, np.ndarray] = {}
    parts = []
    for number, (state, scores, loss) in enumerate(results, start=1):
        weights = weights or state  # the first run is the one that all taught
        parts.append(scores)
        if on_run is not None:
            on_run(f"run {number} of {n}: loss {loss:.3f}")
    joined = {name: np.concatenate([vars(part)[name] for part in parts]) for name in vars(parts[0])}
    return weights, Scores(**joined)


def _run(job: tuple[Pictures, Plan, list[str], str, np.ndarray]) -> tuple[dict[str, np.ndarray], Scores, float]:
    """One training, and what its gate says of what did not teach it."""
    pictures, plan, kinds, what, without = job
    taught = pictures.take(np.flatnonzero((pictures.parts != "val") & ~without))
    net, loss = fit(taught, plan, kinds)
    asked = np.flatnonzero(without if what != "known" else pictures.parts == "val")
    scores = _look(net, pictures, asked, taught, plan, what)
    return {name: value.cpu().numpy() for name, value in net.state_dict().items()}, scores, loss


def fit(taught: Pictures, plan: Plan, kinds: Sequence[str]) -> tuple[GateNet, float]:
    """A network that these pictures taught, its weights averaged over the run; and the loss over the last tenth."""
    device = torch.device(plan.device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.random_state)
        net = GateNet(num_classes=len(kinds), stages=plan.stages, pretrained=plan.pretrained)
    net = net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    averaged = AveragedModel(
        net, multi_avg_fn=get_ema_multi_avg_fn(max(0.0, 1 - _AVERAGED / plan.steps)), use_buffers=True
    )
    optimizer = torch.optim.AdamW(net.parameters(), lr=_LEARNING_RATE, weight_decay=_WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _LEARNING_RATE, total_steps=plan.steps)
    batches = Batches(taught, kinds, batch=plan.batch, device=device, random_state=plan.random_state)
    losses = []
    for _ in range(plan.steps):
        images, targets = batches.draw()
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            logits = net(images.contiguous(memory_format=torch.channels_last))[0]
        loss = F.cross_entropy(logits.float(), targets, label_smoothing=_SMOOTHING)
        loss.backward()
        optimizer.step()
        schedule.step()
        averaged.update_parameters(net)
        losses.append(loss.detach())
    net.load_state_dict(averaged.module.state_dict())
    return net.eval(), float(torch.stack(losses[-max(1, plan.steps // 10) :]).mean())


# --- measuring and finishing ------------------------------------------------------------------------------------------


@torch.inference_mode()
def _look(net: GateNet, pictures: Pictures, asked: np.ndarray, taught: Pictures, plan: Plan, what: str) -> Scores:
    """Scores of the pictures asked after, as they are, varied, inverted and turned. asked: their indices."""
    tasks = tasks_of(taught)
    served = _with_distances(net, taught, tasks).to(plan.device).eval()
    found = []
    vary = Vary(random_state=plan.random_state + 1, device=plan.device)
    standing = upright(tasks)
    for start in range(0, len(asked), _BATCH_MEASURED):
        at = asked[start : start + _BATCH_MEASURED]
        images = as_input(torch.from_numpy(pictures.images[at]).to(plan.device))
        extents = torch.from_numpy(pictures.extents[at]).to(plan.device)
        stands = torch.from_numpy(np.isin(pictures.kinds[at], standing)).to(plan.device)
        own = np.isin(pictures.kinds[at], tasks)
        looks = [("as it is", images, np.ones(len(at), bool))]
        looks += [("varied", vary(images, extents, torch.where(stands, UPRIGHT, ANY)), own) for _ in range(_VIEWS)]
        looks += [("turned", turned(images, extents, stands, vary)[0], stands.cpu().numpy())]
        looks += [("inverted", invert(images, extents, vary.uniform(len(at)) < 0.5), own)]
        for view, seen, counted in looks:
            logits, distances = served((seen * 255).round().to(torch.uint8).permute(0, 2, 3, 1))
            found += [
                (at[counted], view, softmax(logits.cpu().numpy()[counted], axis=1), distances.cpu().numpy()[counted])
            ]
    return Scores(
        picture=np.concatenate([at for at, *_ in found]),
        view=np.concatenate([np.full(len(at), view) for at, view, *_ in found]),
        left_out=np.full(sum(len(at) for at, *_ in found), what),
        probabilities=np.concatenate([p for *_, p, _ in found]).astype(np.float32),
        distances=np.concatenate([d for *_, d in found]).astype(np.float32),
    )


@torch.inference_mode()
def _with_distances(net: GateNet, taught: Pictures, tasks: Sequence[str]) -> GatedDistances:
    """Means of every source of a task, and the whitening by the covariance within sources, at both depths."""
    device = next(net.parameters()).device
    taught = taught.take(_spread(taught))
    batches = (torch.from_numpy(taught.images[start : start + 512]) for start in range(0, len(taught), 512))
    parts = [net(as_input(batch.to(device)))[1:] for batch in batches]
    names = np.array([f"{kind}/{source}" for kind, source in zip(taught.kinds, taught.sources, strict=True)])
    whitening, means = [], []
    for depth in range(2):
        features = torch.cat([part[depth] for part in parts]).double().cpu()
        of = {name: features[torch.from_numpy(names == name)] for name in np.unique(names)}
        inside = {name: rows for name, rows in of.items() if name.split("/")[0] in tasks}
        spread = torch.cat([rows - rows.mean(dim=0) for rows in inside.values()])
        covariance = spread.T @ spread / len(spread)
        covariance += 0.01 * covariance.diagonal().mean() * torch.eye(len(covariance), dtype=torch.float64)
        values, vectors = torch.linalg.eigh(covariance)
        white = vectors / values.sqrt()
        whitening.append(white.float())
        means.append([
            torch.stack([
                (rows.mean(dim=0) @ white).float() for name, rows in inside.items() if name.startswith(f"{task}/")
            ])
            for task in tasks
        ])  # fmt: skip
    return GatedDistances(net, whitening=whitening, means=means)


def _spread(taught: Pictures) -> np.ndarray:
    """Up to 150 pictures of each source, spread evenly: their mean and covariance need no more."""
    names = np.array([f"{kind}/{source}" for kind, source in zip(taught.kinds, taught.sources, strict=True)])
    rows = (np.flatnonzero(names == name) for name in np.unique(names))
    return np.concatenate([of[:: -(-len(of) // _MEANT)] for of in rows])


def _check_parity(served: GatedDistances, data: bytes, images: np.ndarray) -> None:
    with torch.inference_mode():
        expected = [output.numpy() for output in served(torch.from_numpy(images[:64]))]
    found = run_onnx(data, images[:64], outputs=["logits", "distances"])
    worst = max(float(np.abs(a - b).max()) for a, b in zip(expected, found, strict=True))
    if not worst <= 10 * TOLERANCE:
        raise TrainingError(f"the exported gate differs from torch by {worst:.2g}; it was not written")
