"""`secondread recalibrate --unlabelled`: says what it assumes, and sets or writes nothing where it must not."""

import csv
import json

import numpy as np
import pytest

from secondread.evidence import unlabelled
from secondread.evidence.evidence import Scored
from secondread.evidence.measured import measured_predictions
from secondread.evidence.unlabelled import Unlabelled, label_shift
from secondread.reading import load_bundle, write_bundle
from secondread.service import Service
from tests.cli.test_cli import call

BUNDLE = load_bundle("fracture/best")
HOME = Scored.of(measured_predictions(BUNDLE, "test"))


def drawn(n, share, seed=0, home=HOME):
    """Scores of the evidence's own images, of which such a share is diseased."""
    rng = np.random.default_rng(seed)
    sizes = {True: round(share * n), False: n - round(share * n)}
    return np.concatenate([rng.choice(home.probabilities[home.y_true == which], size) for which, size in sizes.items()])


@pytest.fixture
def table(tmp_path):
    def write(scores):
        path = tmp_path / "scores.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([["probability"], *([one] for one in scores)])
        return path

    return write


def recalibrate(capsys, *more, bundle=BUNDLE):
    return call(capsys, "recalibrate", "--bundle", bundle.folder, "--unlabelled", *more)


def test_scores_that_no_share_explains_are_refused(capsys, table, tmp_path):
    path = table(np.linspace(0.3, 0.5, 400))
    status, _, err = recalibrate(capsys, "--scores", path, "--set", "--data-folder", tmp_path / "site")
    assert status == 2
    assert "no share of the diseased explains" in err
    assert not (tmp_path / "site").exists(), "nothing was set"


def test_too_few_to_see_a_shift_are_refused(capsys, table):
    status, _, err = recalibrate(capsys, "--scores", table(drawn(60, 0.3)))
    assert status == 2
    assert "nothing could be seen to differ" in err
    status, _, err = recalibrate(capsys, "--scores", table(drawn(20, 0.3)))
    assert status == 2
    assert "too few" in err


def test_an_estimate_becomes_the_sites_prevalence_where_it_may(capsys, table, tmp_path, monkeypatch):
    monkeypatch.setattr(unlabelled, "BLIND", 1.0)
    bundle = load_bundle("brain-tumour/best")
    path = table(drawn(600, 0.3, home=Scored.of(measured_predictions(bundle, "test"))))
    where = ("--data-folder", tmp_path / "site")
    status, out, err = recalibrate(capsys, "--scores", path, "--set", *where, bundle=bundle)
    assert status == 0, err
    assert "label shift" in out
    service = Service.open({"DATA_FOLDER": str(tmp_path / "site")})
    try:
        active = service.prevalences.active("brain-tumour")
        assert active is not None
        assert active.prevalence == pytest.approx(0.3, abs=0.1)
        assert "without outcomes" in active.note
    finally:
        service.close()


def test_probabilities_that_are_not_calibrated_well_enough_are_refused(capsys, table, monkeypatch):
    monkeypatch.setattr(unlabelled, "BLIND", 1.0)
    status, _, err = recalibrate(capsys, "--scores", table(drawn(600, 0.3)))
    assert status == 2
    assert "not calibrated well enough" in err


def test_a_known_share_moves_the_thresholds_into_a_new_bundle(capsys, table, tmp_path):
    scores = drawn(500, 0.2)
    moved = 1 / (1 + np.exp(-(np.log(scores.clip(1e-6, 1 - 1e-6) / (1 - scores.clip(1e-6, 1 - 1e-6))) + 1)))
    status, out, err = recalibrate(capsys, "--scores", table(moved), "--prevalence", "0.2", "--out", tmp_path / "moved")
    assert status == 0, err
    assert "kept their order" in out
    new = load_bundle(tmp_path / "moved")
    assert new.sha256 != BUNDLE.sha256
    assert new.model.sha256 == BUNDLE.model.sha256
    for name in ("screening", "confirm"):
        point, old = new.operating_point(name), BUNDLE.operating_point(name)
        assert point.threshold > old.threshold
        assert np.mean(moved > point.threshold) == pytest.approx(np.mean(scores > old.threshold), abs=0.05)
        assert not point.guarantees
        assert point.sensitivity.value is None, "nothing is claimed that was not measured"
    assert "without outcomes" in new.card


def test_a_known_share_moves_the_sites_own_point(capsys, table, tmp_path):
    where = ("--data-folder", tmp_path / "site")
    status, _, err = recalibrate(capsys, "--scores", table(drawn(200, 0.4)), "--prevalence", "0.2", "--set", *where)
    assert status == 0, err
    service = Service.open({"DATA_FOLDER": str(tmp_path / "site")})
    try:
        point = service.points.active(BUNDLE)
        assert point is not None
        assert (point.prevalence, point.bundle_sha256) == (0.2, BUNDLE.sha256)
    finally:
        service.close()


def test_a_bundle_with_points_of_other_names_is_moved_too(capsys, table, tmp_path):
    point = BUNDLE.record["operating_points"]["screening"]
    record = {
        key: value for key, value in BUNDLE.record.items() if key not in ("sha256", "format", "version", "series")
    }
    record |= {"name": "own", "operating_points": {"ours": point}, "default_operating_point": "ours"}
    own = write_bundle(tmp_path / "own", record=record, model=BUNDLE.model_path.read_bytes())
    measured = json.loads((BUNDLE.folder / "evidence.json").read_text(encoding="utf-8")) | {"bundle": own.id}
    (own.folder / "evidence.json").write_text(json.dumps(measured), encoding="utf-8")
    path = table(drawn(400, 0.4))
    more = ("--prevalence", "0.4", "--out", tmp_path / "moved", "--set", "--data-folder", tmp_path / "site")
    status, out, err = recalibrate(capsys, "--scores", path, *more, bundle=own)
    assert status == 0, err
    assert "    ours: " in out
    moved = load_bundle(tmp_path / "moved")
    assert list(moved.operating_points) == ["ours"]
    assert moved.operating_point().threshold != own.operating_point().threshold


def test_an_empty_store_has_too_few(capsys, tmp_path):
    (tmp_path / "site").mkdir()
    status, _, err = recalibrate(capsys, "--store", "--data-folder", tmp_path / "site")
    assert status == 2
    assert "too few" in err


def test_a_folder_or_an_image_that_is_not_there_is_named(capsys, tmp_path):
    status, _, err = recalibrate(capsys, "--store", "--data-folder", tmp_path / "sight")
    assert status == 2
    assert "sight" in err
    assert not (tmp_path / "sight").exists(), "what only reads makes no service"
    status, _, err = recalibrate(capsys, "--images", tmp_path / "nowhere.png")
    assert status == 1
    assert "nowhere.png" in err


def test_no_name_that_a_bundle_cannot_have_replaces_one(capsys, table, tmp_path):
    path, out = table(drawn(400, 0.3)), tmp_path / "moved"
    given = ("--scores", path, "--prevalence", "0.3", "--out", out)
    assert recalibrate(capsys, *given)[0] == 0
    before = load_bundle(out).id
    status, _, err = recalibrate(capsys, *given, "--name", "a/b")
    assert status == 1
    assert "no slash" in err
    assert load_bundle(out).id == before
    assert load_bundle(out).card


def test_a_bundle_is_not_written_where_somebody_stands(capsys, table, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, _, err = recalibrate(
        capsys, "--scores", table(drawn(400, 0.3)), "--prevalence", "0.3", "--out", ".", "--name", "ours"
    )
    assert status == 1
    assert "by its name" in err
    assert tmp_path.is_dir()


def test_options_that_do_not_go_together_are_told(capsys, table):
    path = table(drawn(60, 0.3))
    assert recalibrate(capsys)[0] == 2
    assert recalibrate(capsys, "--scores", path, "--store")[0] == 2
    assert recalibrate(capsys, "--scores", path, "--out", path.with_name("x"))[0] == 2
    assert call(capsys, "recalibrate", "--bundle", BUNDLE.folder, "--store")[0] == 2


def test_all_alike_scores_say_nothing():
    found = Unlabelled("x", np.full(100, 0.4), None)
    with pytest.raises(Exception, match="same score"):
        label_shift(BUNDLE, found)
