"""Training runs: they learn, they repeat exactly, and an interruption costs one epoch at most."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from secondread.data import load_data
from secondread.errors import TrainingError
from secondread.evidence.evidence import load_evidence
from secondread.reading import Reader, load_bundle
from secondread.reading.reader import decide
from secondread.tasks import load_task
from secondread.testing.phantoms import write_phantom_data
from secondread.training import load_recipe
from secondread.training.device import choose_device
from secondread.training.train import Progress, train_bundle

TASK = load_task("tuberculosis")


def train(manifest, out, *, epochs=3, seed=0, learning_rate=0.003, **options):
    recipe = load_recipe("paper", TASK, epochs=epochs, batch_size=8, learning_rate=learning_rate)
    return train_bundle(
        TASK, load_data(manifest, task=TASK), recipe, model_name="lenet", out=out, name="try", random_state=seed,
        cache_folder=out.parent / "cache", measure=False, **options,
    )  # fmt: skip


def command(manifest, out, epochs):
    return [
        sys.executable, "-m", "secondread.cli", "train", "--task", "tuberculosis",
        "--data", str(manifest), "--out", str(out), "--epochs", str(epochs), "--batch-size", "8", "--no-measure",
    ]  # fmt: skip


def test_phantoms_are_learnt_and_the_evidence_is_the_bundles_own(phantom_bundle):
    bundle = load_bundle(phantom_bundle)
    result = bundle.evidence["results"]["test"]
    assert result["n"] == 24
    assert result["metrics"]["roc_auc"]["value"] > 0.8
    assert set(result["by_source"]) == {"site0", "site1", "site2"}
    assert bundle.operating_points["paper"].n == 24
    assert bundle.operating_point().name == "paper"
    assert "no medical device" in bundle.card
    rows = bundle.evidence["data"]["rows"]
    assert {(row["role"], row["split"]) for row in rows} == {
        ("taught", "train"),
        ("chose", "val"),
        ("measured", "test"),
    }
    assert {row["source"] for row in rows} == {"site0", "site1", "site2"}
    assert [dict(row) for row in bundle.data.rows] == [row for row in rows if row["role"] != "measured"]
    assert "promises" not in bundle.evidence, "the record tells sources apart"
    assert bundle.evidence["reads"] == {"test": 1}
    assert load_evidence(phantom_bundle / "evidence.json") == bundle.evidence


def test_a_trained_bundle_is_calibrated_and_says_what_is_proven_of_its_points(phantom_bundle, phantom_manifest):
    """12 positive validation images prove no sensitivity of 0.9 with 90 % confidence: that takes 22."""
    bundle = load_bundle(phantom_bundle)
    assert bundle.record["temperature"] != 1
    assert {"paper", "screening", "confirm"} <= set(bundle.operating_points)
    screening = bundle.operating_point("screening")
    assert screening.holds is False
    (promised,) = screening.guarantees
    assert promised.target == TASK.target_sensitivity
    assert {one.source for one in promised.sources} == {"site0", "site1", "site2"}
    assert all(one.too_few for one in promised.sources)
    assert screening.chosen_by.startswith("sensitivity at least 0.9 with 90 % confidence: not shown; ")
    assert screening.sensitivity.n_groups == 6, "images of one patient are counted together"
    assert screening.sensitivity.value >= TASK.target_sensitivity
    val = load_data(phantom_manifest, task=TASK).split("val")
    reader = Reader.load(phantom_bundle, operating_point="screening")
    found = np.array([reading.decision == "positive" for reading in reader.read_many(row.path for row in val.rows)])
    assert found[val.labels].mean() == pytest.approx(screening.sensitivity.value, abs=1e-6)
    assert (~found)[~val.labels].mean() == pytest.approx(screening.specificity.value, abs=1e-6)


@pytest.fixture(scope="module")
def larger_manifest(tmp_path_factory):
    """Enough validation images, one a patient but for a few, to prove something; some labels are wrong."""
    path = write_phantom_data(tmp_path_factory.mktemp("larger"), counts={"train": 48, "val": 120})
    header, *lines = path.read_text().splitlines()
    lines = [re.sub(r"site\d", "site", line) for line in lines]  # of one hospital: a third of them would prove nothing
    for number in range(48, 168, 11):
        cells = lines[number].split(",")
        lines[number] = ",".join([cells[0], str(1 - int(cells[1])), *cells[2:]])
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


@pytest.fixture(scope="module", params=["temperature", "isotonic", "none"])
def calibrated(request, larger_manifest):
    """One run: given again with another calibration, it goes on where it stopped, at its end."""
    return train(larger_manifest, larger_manifest.parent / "run", epochs=8, calibration=request.param)


def test_proven_points_are_guaranteed_whatever_the_calibration(calibrated):
    """Calibration keeps the order of images, and so what each point finds."""
    assert ("isotonic" in calibrated.record) == calibrated.record["calibration"].startswith("centred isotonic")
    assert (calibrated.record["temperature"] == 1) == calibrated.record["calibration"].startswith("none")
    points = calibrated.operating_points
    for name, rate in (("screening", "sensitivity"), ("confirm", "specificity")):
        assert points[name].holds
        (promised,) = points[name].guarantees
        assert promised.sources[0].lower_bound >= promised.target
        assert points[name].chosen_by.startswith(f"{rate} at least ")
    triage = points["triage"]
    assert (triage.low, triage.high) == (points["screening"].threshold, points["confirm"].threshold)
    assert triage.uncertain.n == 120
    middle = (triage.low + triage.high) / 2
    assert [decide(at, triage) for at in (triage.low, middle, triage.high + 1e-6)] == [
        "negative",
        "uncertain",
        "positive",
    ]


def test_another_recipe_decides_by_screening(larger_manifest, tmp_path):
    recipe = load_recipe("upright", TASK, epochs=1, batch_size=8)
    manifest = load_data(larger_manifest, task=TASK)
    bundle = train_bundle(
        TASK, manifest, recipe, model_name="lenet", out=tmp_path / "run", name="try", cache_folder=tmp_path / "cache",
        measure=False,
    )  # fmt: skip
    assert bundle.operating_point().name == "screening"


def test_a_source_without_validation_rows_validates_with_a_fifth_of_its_own(tmp_path):
    """Its images choose, do not teach, and the operating points are told of it; the data keep their fingerprint."""
    path = write_phantom_data(tmp_path / "data", counts={"train": 96, "val": 24})
    lines = [re.sub(r"site\d(,p\d+)val", r"site0\1val", line) for line in path.read_text().splitlines()]
    lines = [re.sub(r"site\d,p", f"site{number // 4 % 2}," + "p", line) if "train" in line else line
             for number, line in enumerate(lines, start=-1)]  # fmt: skip
    path.write_text("\n".join(lines) + "\n")
    data = load_data(path, task=TASK)
    recipe = load_recipe("paper", TASK, epochs=1, batch_size=16, val_from=("site1",), prior_by_source=True)
    bundle = train_bundle(TASK, data, recipe, model_name="lenet", out=tmp_path / "b", name="try", measure=False)
    rows = {(row["role"], row["source"]): row["n"] for row in bundle.record["data"]["rows"]}
    n = sum(row.source == "site1" for row in data.split("train").rows)
    assert n > 20
    assert rows["taught", "site1"] + rows["chose", "site1"] == n
    assert 0 < rows["chose", "site1"] < n / 2
    assert rows["chose", "site0"] == 24
    assert bundle.data.fingerprint == data.fingerprint()
    told = bundle.operating_points["screening"].guarantees[0].sources
    assert {one.source for one in told} == {"site0", "site1"}


def test_same_seed_same_weights_other_seed_other_weights(phantom_manifest, tmp_path):
    hashes = [
        train(phantom_manifest, tmp_path / f"run{number}", seed=seed).record["model"]["sha256"]
        for number, seed in enumerate([0, 0, 1])
    ]
    assert hashes[0] == hashes[1] != hashes[2]


def test_training_leaves_the_global_generator_alone(phantom_manifest, tmp_path):
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    train(phantom_manifest, tmp_path / "run", epochs=1)
    assert torch.equal(torch.rand(3), expected)


def test_kill_in_the_middle_of_an_epoch_loses_at_most_that_epoch(phantom_manifest, tmp_path):
    """The killed run, given the same command again, ends with the very weights of an undisturbed one."""
    environment = {**os.environ, "SECONDREAD_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    killed = tmp_path / "killed" / "try"
    process = subprocess.Popen(command(phantom_manifest, killed, 12), env=environment, stderr=subprocess.DEVNULL)
    checkpoint = killed.with_name("try.run") / "checkpoint.pt"
    deadline = time.monotonic() + 120
    while not checkpoint.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.1)  # somewhere in a later epoch
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = len(torch.load(checkpoint, weights_only=True)["history"])
    assert 1 <= done < 12
    assert not killed.exists()
    epochs = []
    tell = Progress(on_epoch=lambda line, _: epochs.append(line.epoch))
    resumed = train(phantom_manifest, killed, epochs=12, learning_rate=None, progress=tell)
    whole = train(phantom_manifest, tmp_path / "whole" / "try", epochs=12, learning_rate=None)
    assert epochs == list(range(done + 1, 13)), "it went on instead of starting anew"
    assert resumed.model.sha256 == whole.model.sha256
    assert json.loads((killed.with_name("try.run") / "history.json").read_text())[-1]["epoch"] == 12


def test_a_checkpoint_of_another_run_is_refused_unless_fresh(phantom_manifest, tmp_path):
    train(phantom_manifest, tmp_path / "run", seed=0, epochs=1)
    with pytest.raises(TrainingError, match="--fresh"):
        train(phantom_manifest, tmp_path / "run", seed=1, epochs=1)
    train(phantom_manifest, tmp_path / "run", seed=1, epochs=1, fresh=True)


def test_a_damaged_checkpoint_is_named(phantom_manifest, tmp_path):
    train(phantom_manifest, tmp_path / "run", epochs=1)
    path = tmp_path / "run.run" / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(TrainingError, match="damaged"):
        train(phantom_manifest, tmp_path / "run", epochs=1)


def test_best_epoch_is_the_one_of_highest_validation_auc_then_lowest_loss(phantom_manifest, tmp_path):
    lines = []
    bundle = train(
        phantom_manifest, tmp_path / "run", epochs=5, progress=Progress(on_epoch=lambda e, n: lines.append(e))
    )
    best = max(lines, key=lambda line: (line.val_auc, -line.val_loss))  # of equal ones the lower loss
    assert bundle.record["training"]["best_epoch"] == best.epoch
    assert bundle.record["training"]["best_val_auc"] == pytest.approx(best.val_auc, abs=1e-6)
    assert (tmp_path / "run.run" / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_early_stop_waits_for_its_patience(phantom_manifest, tmp_path):
    recipe = load_recipe("paper", TASK, epochs=40, batch_size=8, learning_rate=1e-9, patience=3)
    bundle = train_bundle(
        TASK, load_data(phantom_manifest, task=TASK), recipe, model_name="lenet", out=tmp_path / "run", name="try",
        cache_folder=tmp_path / "cache", measure=False,
    )  # fmt: skip
    training = bundle.record["training"]
    assert training["epochs_run"] == training["best_epoch"] + 3 < 40


def test_one_class_in_training_is_refused(phantom_manifest, tmp_path):
    manifest = load_data(phantom_manifest, task=TASK)
    lines = phantom_manifest.read_text().splitlines()
    only = [lines[0], *(line for line in lines[1:] if line.split(",")[1] == "0" or "train" not in line)]
    path = phantom_manifest.with_name("one-class.csv")
    path.write_text("\n".join(only) + "\n")
    with pytest.raises(TrainingError, match="both classes"):
        train(path, tmp_path / "run")
    assert len(manifest.rows) == 96


def test_reader_says_what_torch_said_on_validation(phantom_manifest, phantom_bundle):
    """The operating point was measured with torch's logits; the reader, through ONNX, must measure the same."""
    bundle = load_bundle(phantom_bundle)
    val = load_data(phantom_manifest, task=TASK).split("val")
    reader = Reader.load(phantom_bundle)
    positive = [reading.decision == "positive" for reading in reader.read_many(row.path for row in val.rows)]
    sensitivity = np.mean([p for p, row in zip(positive, val.rows, strict=True) if row.label])
    assert sensitivity == pytest.approx(bundle.operating_point().sensitivity.value, abs=1e-6)


def test_device_is_cuda_then_mps_then_cpu(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device().type == "cuda"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device().type == "mps"
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert choose_device().type == "cpu"


def test_a_task_of_the_users_own_travels_in_its_bundle(phantom_manifest, tmp_path):
    shipped = Path(train.__globals__["__file__"]).parents[2] / "src/secondread/tasks/tuberculosis.toml"
    own = tmp_path / "effusion.toml"
    own.write_text(shipped.read_text().replace('name = "tuberculosis"', 'name = "effusion"', 1))
    task = load_task(own)
    recipe = load_recipe("upright", task, epochs=1, batch_size=8)
    train_bundle(
        task, load_data(phantom_manifest, task=task), recipe, model_name="lenet", out=tmp_path / "own", name="own",
        cache_folder=tmp_path / "cache", task_file=own,
    )  # fmt: skip
    own.unlink()
    bundle = load_bundle(tmp_path / "own")
    assert bundle.task.name == "effusion"
    assert bundle.id.startswith("effusion/own@")
