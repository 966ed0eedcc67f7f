"""The public functions do what the commands do, tell of it, end when they are told to, and write nothing by halves."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

import secondread
from secondread.errors import DataInvalid, ExtraMissing, Objected, UnknownName, UsageError
from secondread.reading import Reader, load_bundle
from secondread.testing.phantoms import encode, film
from secondread.workflows import fitting
from secondread.workflows.call import call_of
from tests.cli.test_cli import call

SMALL = {"epochs": 2, "batch_size": 16}


class Ear:
    """Keeps what it hears; ends the run at an event that `stop` holds for."""

    def __init__(self, stop=lambda event: False):
        self.events, self.stop = [], stop

    def __call__(self, event: secondread.ProgressEvent) -> None:
        self.events.append(event)
        if self.stop(event):
            raise secondread.Cancelled("enough")

    def steps(self):
        return {event.step for event in self.events}


def test_a_cancelled_training_leaves_no_bundle_and_goes_on_where_it_was(phantom_manifest: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine"
    asked = {"out": out, "changes": SMALL, "measure": False}
    with pytest.raises(secondread.Cancelled):
        secondread.train("tuberculosis", phantom_manifest, **asked, progress=Ear(lambda event: event.epoch == 2))
    assert not out.exists()
    ear = Ear()
    bundle = secondread.train("tuberculosis", phantom_manifest, **asked, progress=ear)
    assert [event.epoch for event in ear.events if event.step == "epochs"] == [2]
    assert ear.steps() == {"prepare", "steps", "epochs"}
    assert bundle.name == "mine"
    assert bundle.training.recipe["epochs"] == 2
    assert bundle.training.command.startswith("secondread.train('tuberculosis', ")
    assert "Not measured yet" in bundle._repr_html_()


def test_what_cannot_be_trained_is_told_before_a_file_is_looked_at(tmp_path: Path, monkeypatch) -> None:
    nowhere = {"task": "tuberculosis", "data": tmp_path / "nowhere.csv", "out": tmp_path / "out"}
    for more, error in (
        ({"model": "lennet"}, UnknownName),
        ({"task": "tb"}, UnknownName),
        ({}, secondread.SecondReadError),
    ):
        with pytest.raises(error):
            secondread.train(**nowhere | more)
    with pytest.raises(UnknownName, match="engine"):
        fitting._runner("rays", None)
    monkeypatch.setitem(__import__("sys").modules, "secondread.training.train", None)
    with pytest.raises(ExtraMissing, match=r"secondread\[train\]"):
        secondread.train(**nowhere)


def test_an_evaluation_is_what_the_command_writes(capsys, phantom_bundle: Path, phantom_manifest: Path, tmp_path: Path):
    ear = Ear()
    reader = Reader.load(phantom_bundle)
    evidence = secondread.evaluate(reader, phantom_manifest, out=tmp_path / "ours", progress=ear)
    assert call(capsys, "evaluate", "--data", phantom_manifest, "--split", "test", "--bundle", phantom_bundle,
                "--out", tmp_path / "theirs")[0] == 0  # fmt: skip
    ours, theirs = (json.loads((tmp_path / one / "evidence.json").read_bytes()) for one in ("ours", "theirs"))
    assert {**ours, "command": ""} == {**theirs, "command": ""}
    assert evidence.to_dict() == ours
    assert dict(secondread.Evidence.load(tmp_path / "ours")) == ours
    assert evidence.page == tmp_path / "ours" / "index.html"
    assert (ear.events[-1].title, ear.events[-1].done, ear.events[-1].total) == ("read test", 24, 24)
    assert evidence.metric("roc_auc").value == ours["results"]["test"]["metrics"]["roc_auc"]["value"]
    assert evidence.metric("roc_auc").n == evidence["results"]["test"]["n"]
    assert "roc_auc" in repr(evidence)
    with pytest.raises(UnknownName, match="roc_auc"):
        evidence.metric("auc")
    with pytest.raises(UnknownName, match="split"):
        evidence.metric("roc_auc", "train")
    with pytest.raises(DataInvalid, match="there is no split"):
        secondread.evaluate(reader, phantom_manifest, splits="tests")


def test_an_operating_point_is_taken_whatever_is_measured(phantom_bundle: Path, phantom_manifest: Path) -> None:
    confirm = secondread.evaluate(Reader.load(phantom_bundle), phantom_manifest, operating_point="confirm")
    named = secondread.evaluate(phantom_bundle, secondread.load_data(phantom_manifest), operating_point="confirm")
    assert confirm["operating_point"] == named["operating_point"]
    assert confirm["operating_point"]["name"] == "confirm"


def test_an_audit_writes_only_where_it_is_told_to(phantom_manifest: Path, tmp_path: Path) -> None:
    ear = Ear()
    found = secondread.audit(phantom_manifest, splits=["test"], progress=ear)
    assert "read" in ear.steps()
    assert found.summary["n"] == 96
    with pytest.raises(secondread.Cancelled):
        secondread.audit(phantom_manifest, out=tmp_path / "audit", progress=Ear(lambda event: event.done == 9))
    assert not (tmp_path / "audit").exists()


SITE = np.random.default_rng(1)
OUTCOME = SITE.random(200) < 0.4
PROBABILITY = np.clip(0.3 + 0.3 * OUTCOME + SITE.normal(0, 0.15, 200), 0.01, 0.99).round(6)


def test_columns_recalibrate_as_their_file_does(tmp_path: Path) -> None:
    with (tmp_path / "site.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("outcome", "probability"), *zip(OUTCOME.astype(int), PROBABILITY, strict=True)])
    columns = {"outcome": OUTCOME, "probability": PROBABILITY}
    mine = secondread.recalibrate("tuberculosis/paper", columns, out=tmp_path / "columns")
    theirs = secondread.recalibrate("tuberculosis/paper", tmp_path / "site.csv", out=tmp_path / "file")
    assert repr(mine).startswith(f"<Recalibration {mine.bundle.id}, of {mine.old.id} on {mine.n} images")
    assert len(repr(mine)) < 160
    assert mine.bundle.calibration.temperature == theirs.bundle.calibration.temperature
    assert (mine.n, mine.n_positive) == (200, int(OUTCOME.sum()))
    assert mine.before["brier"] > mine.after["brier"]
    assert load_bundle(tmp_path / "columns").id == mine.bundle.id


def test_scores_that_speak_against_it_write_nothing(tmp_path: Path) -> None:
    upside_down = {"outcome": ~OUTCOME, "probability": list(PROBABILITY)}
    with pytest.raises(Objected) as told:
        secondread.recalibrate("tuberculosis/paper", upside_down, out=tmp_path / "no")
    assert "rank the diseased no higher" in told.value.objections[0]
    assert not (tmp_path / "no").exists()
    done = secondread.recalibrate("tuberculosis/paper", upside_down, out=tmp_path / "forced", force=True)
    assert done.objections == told.value.objections
    with pytest.raises(DataInvalid, match="'outcome' 200, 'probability' 3"):
        secondread.recalibrate("tuberculosis/paper", upside_down | {"probability": [0.1] * 3}, out=tmp_path / "no")
    with pytest.raises(UsageError, match="the bundle itself"):
        secondread.recalibrate(done.bundle, upside_down, out=tmp_path / "forced")


def test_a_cancelled_screening_goes_on(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(6):
        (tmp_path / "in" / f"{number}.png").write_bytes(encode(film(96, number, disease=False), "PNG"))
    asked = {"out": tmp_path / "out.csv", "bundle": "tuberculosis/paper", "gate": False, "workers": 1}
    with pytest.raises(secondread.Cancelled):
        secondread.screen(tmp_path / "in", **asked, progress=Ear(lambda event: event.done == 3))
    assert not (tmp_path / "out.csv").exists()
    ear = Ear()
    done = secondread.screen(tmp_path / "in", **asked, progress=ear)
    assert (done.n, done.resumed > 0) == (6, True)
    assert (ear.events[-1].done, ear.events[-1].total) == (6, 6)


def test_a_record_says_the_call_without_places_of_this_machine(monkeypatch) -> None:
    monkeypatch.setenv("SECONDREAD_DATA", "/data/all")
    said = call_of("train", "fracture", Path("/data/all/fracture"), gate=False, changes={"epochs": 2}, splits=("val",))
    assert said == "secondread.train('fracture', '$SECONDREAD_DATA/fracture', changes={'epochs': 2}, splits=('val',))"
