"""`secondread recalibrate`: a site's scores change what a bundle says and decides, never its weights."""

import csv
import json
import re
import shutil

import numpy as np
import pytest

from secondread.reading import Reader, load_bundle
from secondread.stats.calibration import Calibration
from secondread.stats.metrics import roc_auc
from secondread.testing.phantoms import chest_phantom, encode
from tests.cli.test_cli import call

BUNDLE = "tuberculosis/paper"


def make_rows(n=240, seed=0, temperature=2.5, bias=-1.0):
    """Scores as the shipped bundle gives them, and outcomes by which its logits are too bold and too high."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, n)
    y = rng.random(n) < 1 / (1 + np.exp(-(logits / temperature + bias)))
    probabilities = np.round(load_bundle(BUNDLE).calibration.apply(logits), 6)
    return [
        {"path": f"{i}.png", "probability": p, "outcome": int(label), "patient": f"p{i // 2}"}
        for i, (p, label) in enumerate(zip(probabilities, y, strict=True))
    ]


def write(path, rows, delimiter=","):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture
def site(tmp_path):
    return write(tmp_path / "site.csv", make_rows())


def recalibrate(capsys, scores, out, *more, bundle=BUNDLE):
    return call(capsys, "recalibrate", "--bundle", bundle, "--scores", scores, "--out", out, *more)


@pytest.mark.parametrize("method", ["temperature", "platt", "isotonic"])
def test_a_recalibrated_bundle_reads_with_the_same_weights_and_the_new_probability(capsys, tmp_path, site, method):
    code, said, _ = recalibrate(capsys, site, tmp_path / "ours", "--method", method)
    assert code == 0
    old, new = load_bundle(BUNDLE), load_bundle(tmp_path / "ours")
    assert new.record["model"]["sha256"] == old.record["model"]["sha256"]
    assert new.model_path.read_bytes() == old.model_path.read_bytes()
    assert new.id != old.id
    assert new.evidence is None, "what was measured of the old bundle is not said of the new one"
    picture = encode(chest_phantom(128, random_state=1), "PNG")
    before, after = (
        Reader.load(BUNDLE, gate=False).read(picture).probability,
        Reader.load(tmp_path / "ours", gate=False).read(picture).probability,
    )
    logit = old.calibration.undo(np.array([before]))
    assert after == pytest.approx(float(new.calibration.apply(logit)[0]), abs=2e-6)
    assert after != before
    assert f"{new.id}: bundle in" in said


def test_the_record_says_where_it_comes_from_and_its_points_load(capsys, tmp_path, site):
    recalibrate(capsys, site, tmp_path / "ours", "--confidence", "0.8", "--name", "clinic")
    old, new = load_bundle(BUNDLE), load_bundle(tmp_path / "ours")
    origin = new.record["recalibrated_from"]
    assert (origin["bundle"], origin["sha256"]) == (old.id, old.record["sha256"])
    assert (origin["n"], origin["n_groups"], origin["confidence"]) == (240, 120, 0.8)
    assert len(origin["fingerprint"]) == 64
    assert new.name == "clinic"
    assert "site.csv" in new.record["calibration"]
    assert new.operating_point().name == old.operating_point().name
    screening = new.operating_point("screening")
    assert screening.guarantees[0].target == new.task.target_sensitivity
    assert screening.guarantees[0].confidence == 0.8
    assert screening.n == 240
    assert {key: new.record[key] for key in ("prepare", "heatmap", "training", "data")} == {
        key: old.record[key] for key in ("prepare", "heatmap", "training", "data")
    }


def test_the_worst_case_counts_fewer_images_and_is_recorded(capsys, tmp_path):
    """Six images a patient, hardly alike: by what was seen they count nearly in full, at worst as one."""
    rows = [row | {"patient": f"p{i // 6}"} for i, row in enumerate(make_rows())]
    site = write(tmp_path / "site.csv", rows)
    sizes = []
    for out, more in (("seen", ()), ("worst", ("--worst-case",))):
        assert recalibrate(capsys, site, tmp_path / out, *more)[0] == 0
        new = load_bundle(tmp_path / out)
        assert new.record["recalibrated_from"]["worst_case"] == bool(more)
        sizes.append(new.operating_point("screening").guarantees[0].sources[0].n_effective)
    assert sizes[1] < sizes[0] / 1.5


def test_the_papers_point_goes_on_deciding_as_before(capsys, tmp_path, site):
    recalibrate(capsys, site, tmp_path / "ours", "--method", "platt")
    old, new = (load_bundle(bundle) for bundle in (BUNDLE, tmp_path / "ours"))
    thresholds = [one.calibration.undo(np.array([one.operating_point("paper").threshold])) for one in (old, new)]
    assert thresholds[0] == pytest.approx(thresholds[1], abs=1e-4)


def test_the_new_card_says_what_was_fitted_and_whose_the_old_figures_are(capsys, tmp_path, site):
    recalibrate(capsys, site, tmp_path / "ours")
    old, new = load_bundle(BUNDLE), load_bundle(tmp_path / "ours")
    assert new.card.startswith(f"# {new.task.title}: ours\n\n`{new.id}`")
    assert "Fitted anew to a site (site.csv, n = 240" in new.card
    assert f"{new.operating_point('screening').threshold:g}" in new.card
    assert new.card.index(f"Below is the card of `{old.id}`") < new.card.index(old.card[:100])


def test_old_and_new_points_are_printed_with_the_intervals_of_the_site(capsys, tmp_path, site):
    _, said, err = recalibrate(capsys, site, tmp_path / "ours")
    assert "240 images" in said
    for row in ("old paper", "new paper", "new screening", "new confirm"):
        assert row in said
    assert "Brier score" in said
    assert "sensitivity at least 0.9 with 90 % confidence" in said
    assert err == ""


def test_the_fitted_calibration_is_that_of_the_site(capsys, tmp_path):
    site = write(tmp_path / "large.csv", make_rows(n=6000, seed=1))
    recalibrate(capsys, site, tmp_path / "ours", "--method", "platt")
    record = load_bundle(tmp_path / "ours").record
    assert (record["temperature"], record["bias"]) == pytest.approx((2.5, -1.0), rel=0.15)


@pytest.mark.parametrize("first", ["temperature", "platt", "isotonic"])
def test_recalibrating_twice_undoes_the_first_time(capsys, tmp_path, site, first):
    """Scores of the recalibrated bundle lead to the same new bundle as those of the first one."""
    recalibrate(capsys, site, tmp_path / "first", "--method", first)
    between = load_bundle(tmp_path / "first").record
    rows = make_rows()
    logits = load_bundle(BUNDLE).calibration.undo(np.array([row["probability"] for row in rows]))
    again = [
        row | {"probability": round(float(p), 6)}
        for row, p in zip(rows, Calibration.from_record(between).apply(logits), strict=True)
    ]
    code, _, _ = recalibrate(
        capsys, write(tmp_path / "again.csv", again), tmp_path / "second", bundle=tmp_path / "first"
    )
    assert code == 0
    recalibrate(capsys, site, tmp_path / "direct")
    second, direct = (load_bundle(tmp_path / name).record for name in ("second", "direct"))
    assert second["temperature"] == pytest.approx(direct["temperature"], rel=1e-3)
    assert "bias" not in second
    assert "isotonic" not in second


def test_logits_semicolons_and_scores_without_groups_are_read_too(capsys, tmp_path):
    rows = make_rows()
    logits = load_bundle(BUNDLE).calibration.undo(np.array([row["probability"] for row in rows]))
    tables = {
        "logit": [{"Logit": float(z), "outcome": row["outcome"]} for z, row in zip(logits, rows, strict=True)],
        "score": [{"score": row["probability"], "outcome": float(row["outcome"])} for row in rows],
    }
    temperatures = []
    for name, table in tables.items():
        site = write(tmp_path / f"{name}.csv", table, delimiter=";")
        assert recalibrate(capsys, site, tmp_path / name)[0] == 0
        record = load_bundle(tmp_path / name).record
        assert record["recalibrated_from"]["n_groups"] == 240
        temperatures.append(record["temperature"])
    assert temperatures[0] == pytest.approx(temperatures[1], rel=1e-4)


def test_scores_of_this_very_bundle_may_say_so(capsys, tmp_path):
    rows = [row | {"bundle": load_bundle(BUNDLE).id} for row in make_rows()]
    assert recalibrate(capsys, write(tmp_path / "s.csv", rows), tmp_path / "ours")[0] == 0


def test_few_images_are_warned_of(capsys, tmp_path):
    rows = make_rows(n=400)
    few = [row for row in rows if row["outcome"]][:12] + [row for row in rows if not row["outcome"]][:40]
    code, said, err = recalibrate(capsys, write(tmp_path / "s.csv", few), tmp_path / "ours", "--method", "isotonic")
    assert code == 0
    assert "the intervals are wide" in err
    assert "follows chance" in err
    assert re.search(r"screening: sensitivity at least 0\.9 with 90 % confidence: not shown; 12 images of s\.csv", said)


def change(line, **cells):
    """A table where the given line (the header is line 1) has other cells."""

    def apply(rows):
        rows[line - 2] |= cells
        return rows

    return apply


MISTAKES = {
    "no outcome": (lambda rows: [{"probability": row["probability"]} for row in rows], "lacks the column 'outcome'"),
    "no score": (lambda rows: [{"outcome": row["outcome"]} for row in rows], "lacks a column 'probability'"),
    "misspelt": (lambda rows: [row | {"patiant": row.pop("patient")} for row in rows], "did you mean 'patient'?"),
    "percent": (change(5, probability=57), "line 5: probability 57 is not between 0 and 1"),
    "refused image": (change(4, probability=""), "line 4 has no probability"),
    "a word": (change(3, probability="high"), "line 3: probability 'high' is not a number"),
    "not a number": (change(3, probability="nan"), "line 3 has no probability"),
    "unknown outcome": (change(9, outcome="maybe"), "line 9: outcome 'maybe' is not 0 or 1"),
    "one class": (lambda rows: [row for row in rows if row["outcome"]], "has 0 rows with outcome 0"),
    "too few": (lambda rows: [row for row in rows if row["outcome"]][:9] + [row for row in rows if not row["outcome"]],
                "has 9 rows with outcome 1"),
    "other bundle": (lambda rows: [row | {"bundle": "tuberculosis/paper@00000000"} for row in rows],
                     "line 2 was scored by tuberculosis/paper@00000000"),
    "one row": (lambda rows: rows[:1], "has 0 rows with outcome"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_in_the_table_is_one_clear_line_and_writes_nothing(capsys, tmp_path, name):
    spoil, said = MISTAKES[name]
    site = write(tmp_path / "site.csv", spoil(make_rows()))
    code, out, err = recalibrate(capsys, site, tmp_path / "ours")
    assert code == 2
    assert said in err
    assert len(err.splitlines()) == 1
    assert out == ""
    assert not (tmp_path / "ours").exists()


TEXTS = {
    "empty": (b"", 2, "has no rows"),
    "header alone": (b"probability,outcome\n", 2, "has no rows"),
    "not UTF-8": (b"probability,outcome\n0.5,\xff\n", 2, "line 2 is not UTF-8"),
    "ragged": (b"probability,outcome\n0.5,1,2\n", 2, "line 2 has 3 cells"),
    "twice": (b"probability,outcome,outcome\n0.5,1,1\n", 2, "twice"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_file_that_is_no_table_is_refused(capsys, tmp_path, name):
    data, expected, said = TEXTS[name]
    (tmp_path / "site.csv").write_bytes(data)
    code, _, err = recalibrate(capsys, tmp_path / "site.csv", tmp_path / "ours")
    assert (code, said in err) == (expected, True), err


def test_a_missing_file_and_the_bundle_itself_as_target_are_refused(capsys, tmp_path, site):
    code, _, err = recalibrate(capsys, tmp_path / "none.csv", tmp_path / "ours")
    assert (code, "none.csv" in err) == (1, True)
    own = shutil.copytree(load_bundle(BUNDLE).folder, tmp_path / "own")
    before = (own / "bundle.json").read_bytes()
    code, _, err = recalibrate(capsys, site, own, bundle=own)
    assert (code, "the old bundle is kept" in err) == (2, True)
    assert (own / "bundle.json").read_bytes() == before
    assert json.loads(before)["name"] == "paper"


SCORES_AGAINST_IT = {
    "outcomes the wrong way round": (lambda row: row | {"outcome": 1 - row["outcome"]}, "no higher than the others"),
    "one score for all": (lambda row: row | {"probability": 0.3}, "the same score"),
    "no mistake at all": (lambda row: row | {"probability": 0.499 + 0.002 * row["outcome"]}, "lies at an end"),
}


@pytest.mark.parametrize("method", ["temperature", "platt", "isotonic"])
@pytest.mark.parametrize("name", ["outcomes the wrong way round", "one score for all", "no mistake at all"])
def test_scores_that_speak_against_it_are_refused_unless_forced(capsys, tmp_path, name, method):
    mend, said = SCORES_AGAINST_IT[name]
    site = write(tmp_path / "site.csv", [mend(row) for row in make_rows()])
    code, _, err = recalibrate(capsys, site, tmp_path / "ours", "--method", method)
    assert (code, said in err, "no bundle was written" in err) == (2, True, True), err
    assert not (tmp_path / "ours").exists()
    code, _, err = recalibrate(capsys, site, tmp_path / "ours", "--method", method, "--force")
    assert (code, f"warning: {err.split('warning: ')[-1]}" in err, said in err) == (0, True, True), err
    assert load_bundle(tmp_path / "ours").record["recalibrated_from"]["method"] == method


@pytest.mark.parametrize("temperature", [0.05, 20.0])
def test_a_temperature_at_an_end_of_the_search_is_not_taken_silently(capsys, tmp_path, temperature):
    rows = [{"probability": 0.499 + 0.002 * (i % 2), "outcome": i % 2} for i in range(400)]
    if temperature == 20.0:  # sure of everything, and hardly more often right than wrong
        rows = [
            {"probability": 0.999999 if i % 2 else 0.000001, "outcome": int(i // 2 < (102 if i % 2 else 98))}
            for i in range(400)
        ]
    code, _, err = recalibrate(capsys, write(tmp_path / "s.csv", rows), tmp_path / "ours")
    assert (code, f"temperature {temperature:.3f} lies at an end" in err) == (2, True), err


def test_isotonic_keeps_the_ranking(capsys, tmp_path, site):
    recalibrate(capsys, site, tmp_path / "ours", "--method", "isotonic")
    rows = make_rows()
    y, p = np.array([row["outcome"] == 1 for row in rows]), np.array([row["probability"] for row in rows])
    record = load_bundle(tmp_path / "ours").record
    after = Calibration.from_record(record).apply(load_bundle(BUNDLE).calibration.undo(p))
    assert roc_auc(y, after) == pytest.approx(roc_auc(y, p), abs=1e-9)
