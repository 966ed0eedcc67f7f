"""Hospitals left out: what is left out teaches and chooses nothing, and the mean over hospitals is what counts."""

import json
from dataclasses import replace

import numpy as np
import pytest

from secondread.data import Manifest, Row, load_data, read_manifest, write_manifest
from secondread.data.split import part_of
from secondread.errors import DataInvalid, TrainingError, UsageError
from secondread.evidence.held_out import elsewhere
from secondread.lab.holdout import (
    Run,
    Scores,
    Without,
    holdout,
    holdout_table,
    margins_of,
    measure_without,
    pooled_without,
)
from secondread.lab.hospitals import hospitals_of
from secondread.lab.pack import packed_fingerprint, rows_to_train, without_source, write_pack
from secondread.reading import load_bundle
from secondread.stats.metrics import roc_auc
from secondread.tasks import load_task
from secondread.testing.phantoms import encode, film
from secondread.training.apart import fit_apart
from secondread.training.build import BundlePlan, MemberPlan, build_bundle, weights_name
from tests.cli.test_cli import call

TASK = load_task("tuberculosis")
QUICK = {"epochs": 2, "batch_size": 8}


def rows_of(source, split, n, *, labels=(0, 1), group=None):
    return [
        Row(None, f"{source}-{split}-{number}", labels[number % len(labels)], source=source, split=split,
            group=group or f"{source}-{split}-{number // 2}")
        for number in range(n)
    ]  # fmt: skip


def manifest_of(*parts):
    return Manifest(tuple(row for part in parts for row in part), None)


COMPLETE = (
    rows_of("north", "train", 20), rows_of("north", "val", 8), rows_of("north", "test", 8),
    rows_of("south", "train", 20), rows_of("south", "val", 8), rows_of("south", "test", 8),
    rows_of("away", "external", 10), rows_of("boxes", "localisation", 30, labels=(1,)),
)  # fmt: skip


def test_the_hospital_left_out_and_its_groups_teach_and_choose_nothing():
    shared = rows_of("south", "train", 4, group="north-train-0")  # patients of both
    more = rows_of("boxes", "localisation", 2, labels=(1,), group="north-val-0")
    for hospital in hospitals_of(manifest_of(*COMPLETE, shared, more)):
        there = {row.group for row in hospital.measured}
        for rows in (hospital.train, hospital.val, hospital.lesions(["localisation"])):
            assert rows
            assert hospital.name not in {row.source for row in rows}
            assert not there & {row.group for row in rows}
        assert {row.source for row in hospital.measured} == {hospital.name}


def test_neither_test_nor_external_rows_are_used():
    for hospital in hospitals_of(manifest_of(*COMPLETE)):
        for rows in (hospital.train, hospital.val, hospital.measured):
            assert {row.split for row in rows} <= {"train", "val"}
        lesions = hospital.lesions(["localisation"])
        assert {part_of(row.split, row.group) for row in lesions} == {"train"}


def test_collections_of_one_class_are_no_hospitals():
    found = hospitals_of(manifest_of(*COMPLETE, rows_of("ill", "train", 10, labels=(1,))))
    assert [hospital.name for hospital in found] == ["north", "south"]
    assert "ill" in {row.source for row in found[0].train}


def test_sources_can_count_as_one_hospital():
    parts = (*COMPLETE, rows_of("web1", "train", 10), rows_of("web2", "train", 10))
    found = hospitals_of(manifest_of(*parts), together={"web": ["web1", "web2"]})
    assert [hospital.name for hospital in found] == ["north", "south", "web"]
    assert {row.source for row in found[2].measured} == {"web1", "web2"}
    with pytest.raises(UsageError, match="no source 'web3'"):
        hospitals_of(manifest_of(*parts), together={"web": ["web3"]})


def test_a_fifth_of_the_groups_validates_where_the_others_have_no_validation():
    only_train = rows_of("veda", "train", 200)
    found = hospitals_of(manifest_of(rows_of("north", "train", 20), rows_of("north", "val", 8), only_train))
    without_north = found[0]
    assert 20 <= len(without_north.val) <= 60
    assert not {row.group for row in without_north.val} & {row.group for row in without_north.train}
    assert len(without_north.val) + len(without_north.train) == 200
    assert found[1].val == tuple(rows_of("north", "val", 8))


def test_one_hospital_cannot_be_left_out():
    with pytest.raises(DataInvalid, match="takes two sources"):
        hospitals_of(manifest_of(rows_of("north", "train", 20), rows_of("north", "val", 8)))


def test_blocks_of_one_collection_stand_for_hospitals():
    manifest = manifest_of(rows_of("cheng", "train", 40), rows_of("cheng", "val", 10), rows_of("cheng", "test", 10))
    blocks = hospitals_of(manifest, blocks=5)
    assert [block.name for block in blocks] == [f"block-{number}" for number in range(1, 6)]
    left_out = [row.name for block in blocks for row in block.measured]
    assert sorted(left_out) == sorted(row.name for row in manifest.rows if row.split != "test"), "each row once"
    for block in blocks:
        there = {row.group for row in block.measured}
        assert not there & {row.group for row in (*block.train, *block.val)}
        assert {row.label for row in block.measured} == {0, 1}
    with pytest.raises(UsageError, match="do not make 40 blocks"):
        hospitals_of(manifest, blocks=40)


def test_what_was_left_out_is_also_measured_together():
    blocks = hospitals_of(manifest_of(rows_of("cheng", "train", 80), rows_of("cheng", "val", 20)), blocks=4)
    pooled = pooled_without([without(block, scores_for(block, n, noise=4)) for n, block in enumerate(blocks)])
    assert pooled["low"] < pooled["value"] < pooled["high"]
    assert pooled["n"] == 100
    better = pooled_without([without(block, scores_for(block, n, noise=1)) for n, block in enumerate(blocks)])
    assert better["value"] > pooled["value"]


def without(hospital, *members, lesions_from=()):
    return Without(TASK, hospital, members, [1] * len(members), lesions_from)


def scores_for(hospital, seed, *, noise, scale=1.0):
    rng = np.random.default_rng(seed)
    labels = (np.array([row.label for row in getattr(hospital, key)]) for key in ("val", "measured"))
    return Scores(*(scale * (4 * part - 2 + noise * rng.standard_normal(len(part))) for part in labels))


def test_the_mean_of_members_is_that_of_a_merged_bundle():
    hospital = hospitals_of(manifest_of(*COMPLETE))[0]
    one, two = scores_for(hospital, 0, noise=3), scores_for(hospital, 1, noise=3)
    loud = Scores(two.val * 3, two.measured * 3)  # its temperature takes that back
    result = measure_without(without(hospital, one, two))
    assert result["roc_auc"] == measure_without(without(hospital, one, loud))["roc_auc"]
    labels = np.array([row.label == 1 for row in hospital.measured])
    assert result["members"][0]["value"] == pytest.approx(roc_auc(labels, one.measured), abs=1e-6)
    assert result["roc_auc"]["low"] <= result["roc_auc"]["value"] <= result["roc_auc"]["high"]
    assert result["n"] == 28
    assert 0 <= result["screening"]["sensitivity"]["value"] <= 1
    assert result["n_checks"] == 0


def test_thresholds_are_chosen_as_a_bundles_are_on_a_share_of_the_collections_of_lesions_as_well():
    shared = rows_of("boxes", "localisation", 400, labels=(1,))
    hospital = hospitals_of(manifest_of(*COMPLETE, shared))[0]
    checks = hospital.checks(["localisation"])
    assert len(checks) >= 22
    assert not set(checks) & set(hospital.lesions(["localisation"]))
    one = scores_for(hospital, 0, noise=2)
    plain = without(hospital, one)
    faint = Scores(one.val, one.measured, np.linspace(-6, 6, len(checks)))  # whose lesions the network hardly sees
    asked = without(hospital, faint, lesions_from=["localisation"])
    assert measure_without(asked)["n_checks"] == len(checks)
    assert asked.thresholds()["screening"] < plain.thresholds()["screening"]
    found = [measure_without(which)["screening"]["sensitivity"]["value"] for which in (asked, plain)]
    assert found[0] >= found[1]


def test_the_margin_needed_keeps_the_promises_on_average_and_a_plan_that_has_it_is_measured_with_it():
    hospitals = hospitals_of(manifest_of(*COMPLETE))
    plan = BundlePlan(TASK, "off", (MemberPlan("lenet", "paper"),))
    found = {("off", Run(hospital.name, 0, 0)): scores_for(hospital, 3, noise=1) for hospital in hospitals}
    for scores in found.values():
        scores.measured -= 5.0  # the hospital left out reads lower than those that chose
    before = holdout_table([plan], hospitals, found, (0,))["plans"][0]
    assert before["margin"] == {"screening": 0.0, "confirm": 0.0}
    needed = before["margin_needed"]
    assert needed["screening"] > 0
    assert needed == margins_of([without(hospital, found["off", Run(hospital.name, 0, 0)]) for hospital in hospitals])
    after = holdout_table([replace(plan, margin=needed)], hospitals, found, (0,))["plans"][0]

    def mean(row):
        return np.mean([results[0]["screening"]["sensitivity"]["value"] for results in row["hospitals"].values()])

    assert mean(before) < 0.9 <= mean(after)
    assert after["margin_needed"] == needed, "asked of what has none, so that it can be asked again"


def test_the_plan_with_the_greatest_mean_comes_first():
    hospitals = hospitals_of(manifest_of(*COMPLETE))
    plans = [BundlePlan(TASK, name, (MemberPlan("lenet", "paper"),)) for name in ("worse", "better")]
    found = {
        (plan.name, Run(hospital.name, 0, seed)): scores_for(hospital, seed, noise=8 if plan.name == "worse" else 1)
        for plan in plans
        for hospital in hospitals
        for seed in (0, 1)
    }
    table = holdout_table(plans, hospitals, found, (0, 1))
    assert [row["name"] for row in table["plans"]] == ["better", "worse"]
    best = table["plans"][0]
    areas = [result["roc_auc"]["value"] for results in best["hospitals"].values() for result in results]
    assert best["mean_roc_auc"] == pytest.approx(np.mean(areas), abs=1e-6)
    assert best["worst_roc_auc"] <= best["mean_roc_auc"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two hospitals with both classes and test rows, and a collection of boxes."""
    folder = tmp_path_factory.mktemp("hospitals")
    (folder / "images").mkdir()
    rows, boxes, number = [], {}, 0
    for source, split, count in [
        ("north", "train", 16), ("north", "val", 8), ("north", "test", 4), ("south", "train", 16), ("south", "val", 8),
        ("south", "test", 4), ("boxes", "localisation", 10), ("away", "external", 4),
    ]:  # fmt: skip
        for _ in range(count):
            label = 1 if split == "localisation" else number % 2
            path = folder / "images" / f"{source}{number}.png"
            path.write_bytes(encode(film(160, number, disease=bool(label)), "PNG"))
            rows.append(Row(path, f"images/{path.name}", label, source=source, split=split, group=f"g{number}"))
            if split == "localisation":
                boxes[f"images/{path.name}"] = [{"category": "x", "bbox": [32, 40, 48, 40]}]
            number += 1
    (folder / "boxes.json").write_text(json.dumps(boxes))
    write_manifest(Manifest(tuple(rows), folder), folder / "manifest.csv")
    return folder / "manifest.csv"


def plan_of(**changes):
    member = MemberPlan("lenet", "paper", {**QUICK, **changes})
    return BundlePlan(TASK, "quick", (replace(member, name="one"), replace(member, name="two", random_state=7)))


def test_the_whole_way_ends_in_a_table_and_goes_on_where_it_stopped(data, tmp_path):
    manifest = load_data(data, task=TASK)
    table = holdout([plan_of()], manifest, out=tmp_path, cache_folder=tmp_path / "cache", command="secondread lab …")
    assert json.loads((tmp_path / "holdout.json").read_text()) == json.loads(json.dumps(table))
    assert list(table["plans"][0]["hospitals"]) == ["north", "south"]
    page = (tmp_path / "holdout.md").read_text()
    assert "| quick |" in page
    assert "secondread lab …" in page
    seen = []
    again = holdout(
        [plan_of()], manifest, out=tmp_path, cache_folder=tmp_path / "cache", on_epoch=lambda *line: seen.append(line)
    )
    assert seen == []
    assert again["plans"][0]["hospitals"] == table["plans"][0]["hospitals"]


def test_plans_of_one_name_are_refused(data, tmp_path):
    with pytest.raises(UsageError, match="name"):
        holdout([plan_of(), plan_of()], load_data(data, task=TASK), out=tmp_path)


def test_a_pack_holds_no_test_row_and_keeps_lesions_in_place(data, tmp_path):
    manifest = load_data(data, task=TASK)
    about = write_pack(manifest, tmp_path / "pack", longest_side=80)
    packed = read_manifest(tmp_path / "pack" / "manifest.csv", task=TASK)
    assert {row.split for row in packed.rows} == {"train", "val", "localisation"}
    assert all(part_of(row.split, row.group) != "test" for row in packed.rows)
    assert [row.name.rsplit(".", 1)[0] for row in packed.rows] == [
        row.name.rsplit(".", 1)[0] for row in rows_to_train(manifest)
    ]
    boxes = json.loads((tmp_path / "pack" / "boxes.json").read_text())
    assert {entry["bbox"][0] for entries in boxes.values() for entry in entries} == {16.0}
    assert packed_fingerprint(packed) == manifest.fingerprint() == about["fingerprint"]
    for source in {row.source for row in packed.rows}:  # what is trained without one is known by what was left
        rest = tuple(row for row in manifest.rows if row.source != source)
        assert packed_fingerprint(packed, without=source) == Manifest(rest, manifest.folder).fingerprint()
        assert {row.source for row in without_source(packed, source).rows} == {row.source for row in packed.rows} - {
            source
        }
    with pytest.raises(UsageError, match="knows no source 'nowhere'"):
        packed_fingerprint(packed, without="nowhere")
    with pytest.raises(UsageError, match="no source 'nowhere' to leave out"):
        without_source(packed, "nowhere")
    with pytest.raises(UsageError, match="not empty"):
        write_pack(manifest, tmp_path / "pack", longest_side=80)


def test_networks_trained_on_a_pack_become_the_bundle(data, tmp_path):
    manifest, plan = load_data(data, task=TASK), plan_of()
    write_pack(manifest, tmp_path / "pack", longest_side=160, quality=95)
    packed = read_manifest(tmp_path / "pack" / "manifest.csv", task=TASK)
    for member in plan.members:
        fit_apart(
            TASK, packed, member, out=tmp_path / "there" / weights_name(plan, member),
            fingerprint=packed_fingerprint(packed), command="secondread lab fit there", cache_folder=tmp_path / "cache",
        )  # fmt: skip
    given = {"out": tmp_path / "quick", "measure": False, "cache_folder": tmp_path / "cache"}
    bundle = build_bundle(plan, manifest, trained=tmp_path / "there", **given)
    for member in load_bundle(str(tmp_path / "quick")).record["members"]:
        assert member["training"]["command"] == "secondread lab fit there"
        assert member["training"]["epochs_run"] == 2
    assert bundle.data.fingerprint == manifest.fingerprint()
    with pytest.raises(TrainingError, match="other settings \\(recipe\\)"):
        build_bundle(plan_of(epochs=3), manifest, trained=tmp_path / "there", **given)
    other = Manifest(manifest.rows[1:], manifest.folder)
    with pytest.raises(TrainingError, match="other data"):
        build_bundle(plan, other, trained=tmp_path / "there", **given)


def test_the_commands_say_what_comes_next(capsys, data, tmp_path):
    file = tmp_path / "mine.toml"
    member = '[[member]]\nmodel = "lenet"\nrecipe = "paper"\nchanges = { epochs = 1 }\n'
    file.write_text(f'task = "tuberculosis"\nname = "mine"\n{member}')
    status, out, err = call(capsys, "lab", "holdout", file, "--data", data, "--out", tmp_path / "held")
    assert status == 0, err
    assert "mine: mean AUC" in out
    to_pack = ("--task", "tuberculosis", "--out", tmp_path / "pack", "--longest-side", 128)
    assert call(capsys, "lab", "pack", "--data", data, *to_pack)[0] == 0
    packed, weights = tmp_path / "pack" / "manifest.csv", tmp_path / "weights"
    assert "secondread build" in call(capsys, "lab", "fit", file, "--data", packed, "--out", weights)[1]
    built = ("--out", tmp_path / "bundle", "--trained", weights)
    status, _, err = call(capsys, "build", file, "--data", data, *built)
    assert status == 0, err
    into = ("--data", data, "--out", tmp_path / "held", "--into", tmp_path / "bundle")
    status, out, err = call(capsys, "lab", "holdout", file, *into)  # nothing is trained again
    assert status == 0, err
    bundle = load_bundle(str(tmp_path / "bundle"))
    assert "note" not in bundle.evidence["held_out"]
    assert {row.hospital for row in elsewhere(bundle.evidence) if row.how == "left out"} == {"north", "south"}
    assert "| north | left out, seed 0 |" in (tmp_path / "bundle" / "card.md").read_text(encoding="utf-8")
    other = tmp_path / "other.toml"
    other.write_text(f'task = "tuberculosis"\nname = "other"\n{member.replace("epochs = 1", "epochs = 2")}')
    status, _, err = call(capsys, "lab", "holdout", other, "--data", data, "--out", tmp_path / "no", *into[-2:])
    assert status == 2
    assert "was trained by other recipes than 'other' names" in err
    assert not (tmp_path / "no").exists(), "told before anything is trained"

    margin = tmp_path / "margin.toml"
    margin.write_text(f"{file.read_text()}[margin]\nscreening = 0.5\n")
    status, _, err = call(capsys, "lab", "holdout", margin, "--data", data, "--out", tmp_path / "no", *into[-2:])
    assert status == 2
    assert "screening of tuberculosis/mine@" in err
    assert "has a margin of 0 logits, in 'mine' it is 0.5" in err
    more = ("--out", tmp_path / "wide", "--trained", weights)
    status, _, err = call(capsys, "build", margin, "--data", data, *more)
    assert status == 0, err
    wide = load_bundle(str(tmp_path / "wide"))
    assert wide.operating_points["screening"].guarantees[0].margin == 0.5
    assert wide.operating_points["screening"].threshold <= bundle.operating_points["screening"].threshold
    into = ("--data", data, "--out", tmp_path / "held", "--into", tmp_path / "wide")
    status, out, err = call(capsys, "lab", "holdout", margin, *into)  # its networks are those of before
    assert status == 0, err
    assert "margins (logits) with which promises hold there on average: screening " in out
    assert "what they show at it flatters" in load_bundle(str(tmp_path / "wide")).evidence["held_out"]["note"]
    assert "is set 0.5 logits lower than these images ask, by the margin of its recipe" in (
        tmp_path / "wide" / "card.md"
    ).read_text(encoding="utf-8")
    assert "mine`: screening 0.5" in (tmp_path / "held" / "holdout.md").read_text(encoding="utf-8")
    for top, table in (("", "[margin]\nscreening = -1\n"), ("", "[margin]\ntriage = 1\n"), ("margin = 0.33\n", "")):
        margin.write_text(f"{top}{file.read_text()}{table}")
        status, _, err = call(capsys, "build", margin, "--data", data, "--out", tmp_path / "no")
        assert status == 2
        assert "[margin] takes screening and confirm, each from 0 to 10 logits" in err

    status, _, err = call(capsys, "lab", "holdout", file, "--data", data, "--out", tmp_path, "--together", "web")
    assert status == 2
    assert "--together takes NAME=SOURCE" in err
    status, _, err = call(capsys, "lab", "holdout", file, "--blocks", "2", *into)
    assert status == 2
    assert "blocks of one collection are none" in err
