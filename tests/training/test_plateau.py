"""Training until the validation loss is flat: the rate falls at a plateau, and after the third the run ends."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from secondread.data import load_data, prepared_cache
from secondread.models import create_model
from secondread.tasks import load_task
from secondread.training.fit import fit
from secondread.training.optimise import PLATEAUS, count_plateaus, is_flat, make_optimizer, set_learning_rate
from secondread.training.recipe import load_recipe, prepare_spec_of

TASK = load_task("tuberculosis")
PLATEAU = replace(load_recipe("paper", TASK), scheduler="plateau", epochs=40, flat_after=3, least_epochs=5)


@pytest.mark.parametrize(
    ("losses", "plateaus", "flat"),
    [
        ([], 0, False),
        ([0.7, 0.6, 0.5, 0.4, 0.3], 0, False),
        ([0.7, 0.6, 0.6, 0.6], 0, False),
        ([0.7, 0.6, 0.6, 0.6, 0.6], 1, True),
        ([0.7, 0.6, 0.5995, 0.599, 0.6], 1, True),  # falls too small to count
        ([0.7, 0.6, 0.61, 0.62, 0.63, 0.5], 1, False),  # the lower rate brought it on
        ([0.7, *[0.6] * 10], 3, True),
    ],
)
def test_a_plateau_is_so_many_epochs_without_a_lower_loss(losses, plateaus, flat):
    assert count_plateaus(losses, 3) == plateaus
    assert is_flat(losses, 3) is flat


def test_the_rate_falls_to_a_tenth_at_each_plateau_but_the_last():
    model = nn.Linear(2, 1)
    optimizer = make_optimizer(model, PLATEAU, torch.device("cpu"))
    rates = []
    for plateaus in range(PLATEAUS + 1):
        set_learning_rate(optimizer, PLATEAU, epoch=1, done=0, plateaus=plateaus)
        rates.append(optimizer.param_groups[0]["lr"] / PLATEAU.learning_rate)
    assert rates == pytest.approx([1, 0.1, 0.01, 0.01])


class Stopped(Exception):
    """The process ends after an epoch."""


def run(manifest, tmp_path, recipe, *, folder=None, stop_after=0):
    def tell(epoch, _):
        if epoch.epoch == stop_after:
            raise Stopped

    spec = prepare_spec_of(TASK, recipe)
    train, val = (prepared_cache(manifest.split(name), spec, folder=tmp_path / "cache") for name in ("train", "val"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = create_model("lenet", in_chans=1)
    return fit(model, train, val, recipe, run_folder=folder, fingerprint="x", on_epoch=tell)


def test_training_ends_when_the_loss_is_flat_and_never_before_the_least_epochs(phantom_manifest, tmp_path):
    manifest = load_data(phantom_manifest, task=TASK)
    still = replace(PLATEAU, learning_rate=1e-9)  # no epoch brings anything
    assert len(run(manifest, tmp_path, still).history) == 1 + PLATEAUS * still.flat_after
    assert len(run(manifest, tmp_path, replace(still, least_epochs=14)).history) == 14
    learns = run(manifest, tmp_path, PLATEAU)
    losses = [line.val_loss for line in learns.history]
    assert len(losses) == PLATEAU.epochs or is_flat(losses, PLATEAU.flat_after)


def test_a_run_that_was_interrupted_ends_as_one_that_was_not(phantom_manifest, tmp_path):
    manifest = load_data(phantom_manifest, task=TASK)
    recipe = replace(PLATEAU, epochs=12, flat_after=1)
    whole = run(manifest, tmp_path, recipe)
    with pytest.raises(Stopped):
        run(manifest, tmp_path, recipe, folder=tmp_path / "run", stop_after=4)
    again = run(manifest, tmp_path, recipe, folder=tmp_path / "run")
    told = [[(line.epoch, line.loss, line.val_loss) for line in result.history] for result in (whole, again)]
    assert told[0] == told[1]
