"""What a site does of a run that it shares with others: some of its epochs, or the gradient of a part of one."""

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from secondread.data import PreparedSet
from secondread.errors import TrainingError
from secondread.training.batches import epoch_pieces
from secondread.training.device import choose_device, own_draws, threads_for
from secondread.training.fit import Run, check_classes, finite, in_memory, size_at
from secondread.training.mixstyle import mixed_styles
from secondread.training.optimise import freeze, positive_weight_of
from secondread.training.prepare import LesionMaps
from secondread.training.recipe import Recipe


def fit_epochs(
    model: nn.Module,
    train: PreparedSet,
    recipe: Recipe,
    *,
    epochs: Iterable[int],
    lesions: LesionMaps | None = None,
    by_lesions: bool = False,
    random_state: int = 0,
    device: torch.device | None = None,
    before_step: Callable[[nn.Module], None] | None = None,
) -> float:
    """Some epochs of a longer run, in place, with an optimizer that begins anew; the mean loss of the last of them.

    epochs: their numbers, from 1: they set the learning rate and what is drawn. before_step: called between a step's
    gradient and its use, to change the gradient. by_lesions: no label counts, so that images of one class can teach.
    Raises TrainingError if the data lack a class whose labels count.
    """
    if not by_lesions:
        check_classes(train, "train")
    run = _run(model, train, recipe, lesions=lesions, by_lesions=by_lesions, random_state=random_state, device=device)
    if before_step is not None:
        run.optimizer.register_step_pre_hook(lambda *_: before_step(model))
    loss = 0.0
    with threads_for(model):
        batches = run.batches(in_memory(train.images, model))
        for epoch in epochs:
            loss = run.epoch(epoch, batches, None)
    return loss


def gradient_of_part(
    model: nn.Module,
    train: PreparedSet,
    recipe: Recipe,
    *,
    epoch: int,
    part: int,
    parts: int,
    lesions: LesionMaps | None = None,
    by_lesions: bool = False,
    random_state: int = 0,
    device: torch.device | None = None,
) -> float:
    """Mean loss over one part of an epoch's images; its gradient is left in the parameters, which stay as they are.

    epoch: from 1; part: from 0, one of `parts` into which the epoch is dealt. by_lesions: as for `fit_epochs`. Raises
    TrainingError if the data lack a class whose labels count, or are fewer images than parts.
    """
    if not by_lesions:
        check_classes(train, "train")
    if len(train) < parts:
        raise TrainingError(f"{len(train)} images are fewer than the {parts} parts of an epoch; ask for fewer parts")
    order = np.concatenate(epoch_pieces(train, recipe, rng=np.random.default_rng([random_state, epoch])))
    dealt = np.array_split(order, parts)[part]
    chosen = PreparedSet(train.images[dealt], train.labels[dealt], tuple(train.rows[number] for number in dealt))
    run = _run(
        model,
        chosen,
        replace(recipe, balance_sources=False),  # they were drawn so already
        lesions=None if lesions is None else _lesions_of(lesions, dealt),
        by_lesions=by_lesions,
        random_state=random_state,
        device=device,
    )
    run.positive_weight = positive_weight_of(train.labels)
    seeds = [random_state, epoch, part]
    loss = 0.0
    model.train()
    freeze(model, recipe, epoch)
    model.zero_grad(set_to_none=True)
    size = size_at(epoch, recipe, chosen.images.shape[1])
    with (
        threads_for(model),
        own_draws(run.device, seeds),
        mixed_styles(model, recipe.mixstyle, rng=np.random.default_rng([*seeds, 1])),
    ):
        for batch in run.batches(in_memory(chosen.images, model))(np.random.default_rng(seeds), size):
            share = run.loss(batch) * (len(batch.labels) / len(chosen))
            share.backward()
            loss += finite(share.detach())
    return loss


def _run(
    model: nn.Module,
    train: PreparedSet,
    recipe: Recipe,
    *,
    lesions: LesionMaps | None,
    by_lesions: bool,
    random_state: int,
    device: torch.device | None,
) -> Run:
    device = device or choose_device()
    model.to(device)
    return Run(
        model,
        train,
        train,
        recipe,
        device,
        lesions=lesions,
        boxes=None,
        n_labelled=0 if by_lesions else None,
        random_state=random_state,
        batches_on_device=device.type == "cuda",
    )


def _lesions_of(lesions: LesionMaps, numbers: np.ndarray) -> LesionMaps:
    covers = {
        place: lesions.covers[int(number)] for place, number in enumerate(numbers) if int(number) in lesions.covers
    }
    return LesionMaps(covers, lesions.known[numbers], lesions.size)
