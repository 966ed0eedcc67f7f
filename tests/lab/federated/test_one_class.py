"""Hospitals whose images are all diseased or all healthy: they teach where lesions lie, and nothing by their labels."""

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from secondread.data import Manifest, Row, load_data, write_manifest
from secondread.data.split import part_of
from secondread.errors import DataInvalid, TrainingError
from secondread.lab.federated.app import site_app
from secondread.lab.federated.bundle import federated_bundle
from secondread.lab.federated.check import taken_otherwise, will_leave, will_stay
from secondread.lab.federated.histograms import logit_histogram, pooled_auc
from secondread.lab.federated.plan import Plan
from secondread.lab.federated.server import USUAL, Timing, gather, run_rounds
from secondread.lab.federated.serving import Simulated
from secondread.lab.federated.shares import site_data, sites_of
from secondread.lab.federated.simulation import inline_grid, simulate
from secondread.lab.federated.site import Policy, Site, first_weights, new_network_of, put_in
from secondread.testing.phantoms import encode, film

SHARED = ("localisation", "external-negatives")
CHANGES = ("prepare.size=64", "lesion_weight=1", f"lesions_from={','.join(SHARED)}", "batch_size=8", "bfloat16=false")
PLAN = Plan("tuberculosis", "lesion-lite0", 1, sites=4, changes=CHANGES)
OPEN = Policy(gate=False)  # the shipped gate refuses drawings
SOON = Timing(sites_s=5, round_s=120, attempts=1)
BOX = [10, 12, 20, 16]


@pytest.fixture(scope="module")
def manifest(tmp_path_factory) -> Manifest:
    """Two hospitals of both classes, one whose films are all diseased, with boxes, and one with healthy ones alone."""
    folder = tmp_path_factory.mktemp("four")
    rows, boxes, number = [], {}, 0
    for source, split, count in [
        *((name, split, n) for name in ("north", "south") for split, n in (("train", 12), ("val", 8), ("test", 4))),
        ("ill", "localisation", 20), ("well", "external-negatives", 20),
    ]:  # fmt: skip
        for _ in range(count):
            label = {"ill": 1, "well": 0}.get(source, number % 2)
            name = f"{source}{number}.png"
            (folder / name).write_bytes(encode(film(64, number, disease=bool(label)), "PNG"))
            rows.append(Row(folder / name, name, label, source=source, split=split, group=f"g{number}"))
            if source == "ill":
                boxes[name] = [{"category": "x", "bbox": BOX}]
            number += 1
    (folder / "boxes.json").write_text(json.dumps(boxes))
    write_manifest(Manifest(tuple(rows), folder), folder / "manifest.csv")
    return load_data(folder / "manifest.csv")


def _sites(manifest, cache, policy=OPEN):
    found = sites_of(manifest, lesions_from=SHARED)
    return {name: Site(site_data(name, rows), policy, cache) for name, rows in found.items()}


def _grid(sites):
    return inline_grid({name: site_app(site) for name, site in sites.items()})


def test_collections_of_one_class_are_hospitals_where_the_recipe_names_them_and_are_dealt_as_everywhere(manifest):
    assert set(sites_of(manifest)) == {"north", "south"}
    found = {name: site_data(name, rows) for name, rows in sites_of(manifest, lesions_from=SHARED).items()}
    assert {name: data.teaches for name, data in found.items()} == {
        "north": "labels", "south": "labels", "ill": "lesions", "well": "lesions",
    }  # fmt: skip
    for name, label in (("ill", 1), ("well", 0)):
        data = found[name]
        assert {row.label for row in (*data.train.rows, *data.val.rows)} == {label}
        parts = [{row.group for row in part.rows} for part in (data.train, data.val, data.test)]
        assert sum(map(len, parts)) == len(set().union(*parts)) == 20
        assert len(parts[0]) > len(parts[1]) > 0
        assert [{row.split for row in part.rows} for part in (data.train, data.val, data.test)] == [
            {"train"}, {"val"}, {"test"},
        ]  # fmt: skip


def test_the_diseased_alone_without_a_mask_or_box_have_nothing_to_teach(manifest, tmp_path):
    rows = tuple(replace(row, split="train") for row in manifest.rows if row.source == "ill")
    assert site_data("ill", Manifest(rows, manifest.folder)).teaches == "lesions"
    with pytest.raises(DataInvalid, match=r"boxes\.json"):
        site_data("ill", Manifest(rows, tmp_path))


@pytest.mark.parametrize(("name", "sign"), [("ill", 1), ("well", -1)])
def test_what_a_site_of_one_class_teaches_does_not_hang_on_its_labels(manifest, tmp_path, name, sign):
    plan = replace(PLAN, changes=(*CHANGES, "augmentations=none", "learning_rate=0.0003"), local_epochs=2)
    start, _ = first_weights(plan)
    site = _sites(manifest, tmp_path)[name]
    learnt, loss = site.train(plan, start, 1)
    assert np.isfinite(loss)
    assert loss > 0
    prepared = site._part("train", plan)
    relabelled = replace(prepared, labels=~prepared.labels)
    site._prepared[next(iter(site._prepared))] = relabelled
    again, _ = site.train(plan, start, 1)
    assert max(float(np.abs(learnt[key] - again[key]).max()) for key in start) < 1e-6

    def inside(weights):
        """How much higher the cells under the box score than those elsewhere; of healthy films, how high all score."""
        model = new_network_of(plan)
        put_in(model, weights)
        pixels = torch.from_numpy(np.array(prepared.images)).permute(0, 3, 1, 2).float() / 255
        with torch.inference_mode():
            cells = model.train().forward_map(pixels)[1].numpy().mean(axis=0)  # 4 × 4 cells of 16 pixels
        return cells[1, 1] - cells[2:].mean() if name == "ill" else cells.mean()

    assert sign * (inside(learnt) - inside(start)) > 0


def test_all_four_make_one_bundle_and_no_site_of_one_class_chooses_its_round_or_flatters_it(
    manifest, tmp_path, monkeypatch
):
    def score(site, plan, weights, server_round):
        """A network that tells the two sites of one class apart, and the classes of the others the wrong way round."""
        labels = site.data.val.labels
        return logit_histogram(labels * (6.0 if site.data.teaches == "lesions" else -1.0), labels)

    monkeypatch.setattr(Site, "score", score)
    sites = _sites(manifest, tmp_path / "cache")
    joined, hellos = gather(_grid(sites), PLAN, timing=SOON)
    trained = run_rounds(joined, hellos, PLAN, timing=SOON)
    assert {one["outcome"] for one in trained.history[0]["sites"].values()} == {"ok"}
    assert set(trained.histograms) == {"north", "south", "ill", "well"}  # all of them choose thresholds
    assert trained.history[0]["val_auc"] == 0 < pooled_auc(trained.histograms)
    bundle = federated_bundle(trained, joined, out=tmp_path / "bundle", name="four")
    results = bundle.evidence["results"]
    assert set(results["test"]["by_source"]) == {"north", "south"}
    assert results["localisation"]["metrics"]["roc_auc"]["value"] is None
    assert results["localisation"]["n"] == len(sites["ill"].data.test)
    assert results["external-negatives"]["n"] == len(sites["well"].data.test)
    assert f"| well | {len(sites['well'].data.train)} (of one class: by their lesions alone) |" in bundle.card
    assert "zero" in bundle.record["heatmap"]
    n_well = len(sites["well"].data.val)
    assert f" | {n_well} (thresholds, not the round) | " in bundle.card
    chose = next(line for line in bundle.card.splitlines() if line.startswith("- Chose the epoch (`val` alone)"))
    assert "`val` (north 8, south 8)" in chose
    assert f"a share of `external-negatives` (well {n_well})" in chose
    assert bundle.data.thresholds_from == ("external-negatives", "localisation")
    assert "their number tells the label of each" in bundle.card


def test_a_plan_that_weighs_no_lesions_is_refused_by_such_a_site_in_words(manifest, tmp_path):
    for plan in (replace(PLAN, changes=CHANGES[:1]), replace(PLAN, model="lenet")):
        with pytest.raises(TrainingError, match="lesion_weight=1"):
            gather(_grid(_sites(manifest, tmp_path)), plan, timing=replace(SOON, sites_s=0.1))


def test_a_simulation_does_not_wait_for_a_site_that_refuses(manifest, tmp_path):
    sites = {name: Simulated(name, rows, OPEN) for name, rows in sites_of(manifest, lesions_from=SHARED).items()}
    started = time.monotonic()
    with pytest.raises(TrainingError, match=r"2 of 4 sites can take part: .*site 'ill'.*lesion_weight=1") as said:
        simulate(replace(PLAN, changes=CHANGES[:1]), sites, out=tmp_path / "four", engine="inline")
    assert str(said.value).count("lesion_weight=1") == 1  # the remedy once, for both
    assert "site 'well'" in str(said.value)
    assert time.monotonic() - started < USUAL.sites_s / 2
    assert not (tmp_path / "four").exists()


def test_a_server_tells_of_a_site_that_refuses_once_and_goes_on_waiting(manifest, tmp_path):
    told: list[str] = []
    plan = replace(PLAN, changes=CHANGES[:1])
    with pytest.raises(TrainingError, match=r"2 of 4 sites came within 2 s; refused: site 'ill'.*'well'"):
        gather(_grid(_sites(manifest, tmp_path)), plan, timing=replace(SOON, sites_s=2), on_refusal=told.append)
    assert sorted(one[:11] for one in told) == ["site 'ill' ", "site 'well'"]


def test_images_that_are_all_dealt_elsewhere_are_too_few_and_not_without_boxes(manifest):
    rows = [row for row in manifest.rows if row.source == "ill"]
    measured = [row for row in rows if part_of("localisation", row.group) != "train"]
    with pytest.raises(DataInvalid, match=f"no image to learn from: its {len(measured)} images choose and measure"):
        site_data("ill", Manifest(tuple(measured), manifest.folder))


def test_check_says_which_rows_do_not_do_what_their_split_says(manifest):
    taken = taken_otherwise(manifest)
    assert taken == (
        "20 images of the split localisation take no part", "20 images of the split external-negatives take no part",
    )  # fmt: skip
    ill = Manifest(tuple(row for row in manifest.rows if row.source == "ill"), manifest.folder)
    (said,) = taken_otherwise(ill)
    assert said.startswith("no image has the split train, so those of localisation are dealt")


def test_without_any_site_of_both_classes_nothing_begins(manifest, tmp_path):
    sites = {name: site for name, site in _sites(manifest, tmp_path).items() if name in ("ill", "well")}
    with pytest.raises(TrainingError, match="nobody teaches by labels"):
        gather(_grid(sites), replace(PLAN, sites=2), timing=SOON)


def test_what_leaves_says_that_labels_teach_nothing(manifest, tmp_path):
    sites = _sites(manifest, tmp_path)
    assert any("the numbers above tell each" in line for line in will_stay(sites["ill"].data))
    assert "the label of any one image" in will_stay(sites["north"].data)
    assert any("and thresholds with the others'" in line for line in will_leave(sites["ill"].data, OPEN))
    assert any("labels teach nothing" in line for line in will_leave(sites["ill"].data, OPEN))
    assert not any("labels teach nothing" in line for line in will_leave(sites["north"].data, OPEN))


def test_a_recipe_that_draws_is_followed_without_its_part_that_draws():
    plan = Plan("fracture", "lesion-lite0", 1, recipe="best")
    assert plan.load_recipe().draw_weight == 0
    assert new_network_of(plan).finder is None


def test_simulate_takes_them_as_hospitals(manifest, tmp_path):
    from click.testing import CliRunner

    from secondread.cli.main import secondread

    options = [part for change in CHANGES for part in ("--set", change)]
    done = CliRunner().invoke(
        secondread,
        ["federate", "simulate", "--task", "tuberculosis", "--data", str(Path(manifest.folder) / "manifest.csv"),
         "--model", "lesion-lite0", "--rounds", "1", "--engine", "inline", "--no-gate", *options,
         "--out", str(tmp_path / "four")],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert set(json.loads((tmp_path / "four" / "bundle.json").read_text())["federated"]["sites"]) == {
        "ill", "north", "south", "well",
    }  # fmt: skip
