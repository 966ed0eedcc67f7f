"""Contrastive pretraining: the loss is the paper's, it falls, and its weights start another training."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch.nn import functional as F

from secondread.cli.main import run
from secondread.data import Manifest, load_data
from secondread.data.split import part_of
from secondread.errors import TrainingError
from secondread.lab.contrastive import Encoder, contrastive_recipe, nt_xent, pretrain, unlabelled_rows
from secondread.models import create_model, list_models
from secondread.models.weights import load_weights
from secondread.tasks import load_task
from secondread.training import load_recipe
from secondread.training.train import train_bundle

TASK = load_task("tuberculosis")
PLAN = contrastive_recipe(load_recipe("upright", TASK), epochs=4, batch_size=16, learning_rate=0.003)


def in_loops(first, second, groups, temperature):
    """Equation 1 of Chen et al. 2020, pair by pair; images of one group are no negatives."""
    views = [*F.normalize(first, dim=1), *F.normalize(second, dim=1)]
    n, total = len(first), 0.0
    for i, view in enumerate(views):
        partner = (i + n) % (2 * n)
        negatives = [k for k in range(2 * n) if groups[k % n] != groups[i % n]]
        below = sum(torch.exp(view @ views[k] / temperature) for k in [partner, *negatives])
        total += -torch.log(torch.exp(view @ views[partner] / temperature) / below)
    return total / (2 * n)


@pytest.mark.parametrize("groups", [[0, 1, 2, 3, 4, 5], [0, 0, 1, 2, 2, 2]])
@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_loss_is_the_papers(groups, temperature):
    generator = torch.Generator().manual_seed(0)
    first, second = torch.randn(2, 6, 4, generator=generator)
    found = nt_xent(first, second, torch.tensor(groups), temperature=temperature)
    torch.testing.assert_close(found, in_loops(first, second, groups, temperature))


@pytest.mark.parametrize("n", [2, 5])
def test_loss_is_least_at_a_simplex(n):
    """Views of one image alike, images as far apart as so many can be: cosines of −1 / (N − 1)."""
    simplex, temperature = torch.eye(n) - 1 / n, 0.5
    least = np.log(1 + (2 * n - 2) * np.exp(-n / ((n - 1) * temperature)))
    assert float(nt_xent(simplex, simplex, torch.arange(n), temperature=temperature)) == pytest.approx(least, abs=1e-5)
    generator = torch.Generator().manual_seed(1)
    for _ in range(50):
        first, second = simplex + 0.3 * torch.randn(2, n, n, generator=generator)
        assert float(nt_xent(first, second, torch.arange(n), temperature=temperature)) >= least - 1e-6


def test_views_that_are_all_alike_are_a_guess():
    one = torch.ones(8, 3)
    assert float(nt_xent(one, one, torch.arange(8))) == pytest.approx(np.log(15), abs=1e-5)


@pytest.mark.parametrize("name", [name for name in list_models() if not name.endswith(("lite1", "lite2", "50"))])
def test_every_network_has_features_and_a_backbone_that_loads(name, tmp_path):
    from safetensors.torch import save_file

    x = torch.rand(2, 1, 64, 64)
    encoder = Encoder(create_model(name, in_chans=1, input_size=64).eval(), x)
    assert encoder(x).shape == (2, 128)
    tensors = encoder.backbone()
    save_file(tensors, tmp_path / "weights.safetensors")
    fresh = create_model(name, in_chans=1, input_size=64)
    report = load_weights(fresh, tmp_path / "weights.safetensors")
    assert set(report.loaded) == set(tensors)
    assert report.unused == ()
    head = {id(tensor) for tensor in fresh.stages()[-1].state_dict(keep_vars=True).values()}
    assert {id(fresh.state_dict(keep_vars=True)[missing]) for missing in report.missing} == head


@pytest.fixture(scope="module")
def manifest(phantom_manifest):
    return load_data(phantom_manifest, task=TASK)


@pytest.fixture(scope="module")
def made(manifest, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pretrained")
    return pretrain(
        TASK, manifest, PLAN, model_name="lenet", out=folder / "lenet.safetensors", command="secondread pretrain …",
        cache_folder=folder / "cache",
    )  # fmt: skip


def test_pretraining_lowers_the_loss(manifest, tmp_path):
    """Three steps an epoch: single epochs are noise."""
    longer = replace(PLAN, epochs=30)
    taught = pretrain(
        TASK, manifest, longer, model_name="lenet", out=tmp_path / "lenet.safetensors", cache_folder=tmp_path / "cache"
    )
    assert np.mean(taught.losses[-5:]) < np.mean(taught.losses[:5]) - 0.1


def test_pretraining_says_what_it_saw(made, manifest):
    assert made.n_images == 48
    with safe_open(made.path, "pt") as file:
        header = json.loads(file.metadata()["secondread"])
    assert header["command"] == "secondread pretrain …"
    assert header["splits"] == {"train": 48}
    assert header["data_fingerprint"] == manifest.split("train").fingerprint()


def test_an_interrupted_pretraining_ends_as_a_whole_one(made, manifest, tmp_path):
    def stop(epoch, *_):
        if epoch == 2:
            raise KeyboardInterrupt

    options = {"model_name": "lenet", "out": tmp_path / "lenet.safetensors", "cache_folder": tmp_path / "cache"}
    with pytest.raises(KeyboardInterrupt):
        pretrain(TASK, manifest, PLAN, on_epoch=stop, **options)
    epochs = []
    again = pretrain(
        TASK,
        manifest,
        PLAN,
        command="secondread pretrain …",
        on_epoch=lambda epoch, *_: epochs.append(epoch),
        **options,
    )
    assert epochs == [3, 4]
    assert again.losses == made.losses
    with pytest.raises(TrainingError, match="--fresh"):
        pretrain(TASK, manifest, replace(PLAN, epochs=5), **options)


def test_a_training_starts_from_the_weights_and_records_them(made, manifest, tmp_path):
    recipe = load_recipe("upright", TASK, epochs=1, batch_size=16, learning_rate=1e-9, weights=str(made.path))
    bundle = train_bundle(
        TASK, manifest, recipe, model_name="lenet", out=tmp_path / "run", name="try", cache_folder=tmp_path / "cache",
        measure=False,
    )  # fmt: skip
    recorded = bundle.record["training"]["recipe"]
    assert (recorded["weights"], recorded["weights_sha256"]) == ("lenet.safetensors", made.sha256)
    state = torch.load(tmp_path / "run.run" / "checkpoint.pt", weights_only=True)
    with safe_open(made.path, "pt") as file:
        torch.testing.assert_close(state["weights"]["conv1.weight"], file.get_tensor("conv1.weight"))
    with pytest.raises(TrainingError, match="other data or settings"):
        train_bundle(
            TASK, manifest, replace(recipe, weights=""), model_name="lenet", out=tmp_path / "run", name="try",
            cache_folder=tmp_path / "cache", measure=False,
        )  # fmt: skip


def test_only_training_images_and_teaching_parts_are_seen(manifest):
    shared = tuple(
        replace(row, split=split, patient="", group=f"{split}{number}")
        for split in ("localisation", "external-negatives", "external")
        for number, row in enumerate(manifest.rows)
    )
    chosen = unlabelled_rows(Manifest(manifest.rows + shared, manifest.folder))
    assert set(chosen.splits()) == {"train", "localisation", "external-negatives"}
    for row, group in zip(chosen.rows, chosen.groups, strict=True):
        assert part_of(row.split, group) == "train"
    assert 96 < len(chosen) - 48 < 140  # about three fifths of 192


def test_a_hospital_left_out_is_not_seen(manifest, tmp_path, capsys):
    sources = sorted({row.source for row in manifest.rows})
    few = sum(row.split == "train" and row.source != sources[0] for row in manifest.rows)
    out = tmp_path / "lenet.safetensors"
    command = ["lab", "pretrain", "--task", TASK.name, "--data", str(manifest.folder / "manifest.csv")]
    command += ["--epochs", "1", "--batch-size", "8", "--set", "prepare.size=32", "--out", str(out)]
    with pytest.raises(SystemExit) as stop:
        run([*command, "--without", sources[0]])
    assert not stop.value.code
    assert f"{few} images" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stop:
        run([*command, "--without", "nowhere"])
    assert stop.value.code == 2
    assert sources[0] in capsys.readouterr().err
