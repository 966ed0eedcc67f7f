"""What the gate refuses at a site teaches nothing there."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from secondread.data import Manifest, load_data
from secondread.errors import TrainingError
from secondread.lab.federated import gated
from secondread.lab.federated.app import site_app
from secondread.lab.federated.gated import without_refused
from secondread.lab.federated.plan import Plan
from secondread.lab.federated.server import Timing, gather, run_rounds
from secondread.lab.federated.shares import site_data
from secondread.lab.federated.simulation import inline_grid
from secondread.lab.federated.site import Policy, Site
from secondread.reading import Refusal
from secondread.tasks import load_task
from secondread.testing.phantoms import chest_phantom, encode

PLAN = Plan("tuberculosis", "lenet", 1, sites=2, changes=("prepare.size=31",))
SOON = Timing(sites_s=0.1, round_s=60, attempts=1)


class Narrow:
    """A gate that refuses what is 40 pixels wide."""

    def knows(self, task):
        return task.name == "tuberculosis"

    def judge(self, image):
        return image.width

    def refusal(self, verdict, task):
        return Refusal("wrong_kind", "too narrow") if verdict == 40 else None


@pytest.fixture
def with_two_narrow(hospitals, tmp_path) -> Manifest:
    """site0, of whose first two training images and first validation image others were made."""
    rows, narrow = list(hospitals["site0"].rows), []
    for split, count in (("train", 2), ("val", 1)):
        narrow += [number for number, row in enumerate(rows) if row.split == split][:count]
    for number in narrow:
        path = tmp_path / f"{number}.png"
        path.write_bytes(encode(chest_phantom(40, random_state=number), "PNG"))
        rows[number] = replace(rows[number], path=path)
    return Manifest(tuple(rows), hospitals["site0"].folder)


def test_refused_images_neither_teach_nor_choose_and_are_counted(with_two_narrow, monkeypatch):
    monkeypatch.setattr(gated, "shipped_gate", Narrow)
    whole = site_data("site0", with_two_narrow)
    kept = without_refused(whole, load_task("tuberculosis"))
    assert dict(kept.refused) == {"wrong_kind": 3}
    assert (len(kept.train), len(kept.val)) == (len(whole.train) - 2, len(whole.val) - 1)
    assert kept.test == whole.test
    assert without_refused(whole, load_task("fracture")) == whole


def test_a_site_tells_the_server_how_many_and_trains_on_the_rest(hospitals, with_two_narrow, tmp_path, monkeypatch):
    monkeypatch.setattr(gated, "shipped_gate", Narrow)
    sites = {
        "site0": Site(site_data("site0", with_two_narrow), cache_folder=tmp_path),
        "site1": Site(site_data("site1", hospitals["site1"]), Policy(gate=False), tmp_path),
    }
    joined, hellos = gather(inline_grid({name: site_app(site) for name, site in sites.items()}), PLAN, timing=SOON)
    assert {name: hello.refused for name, hello in hellos.items()} == {"site0": {"wrong_kind": 3}, "site1": None}
    line = run_rounds(joined, hellos, PLAN, timing=SOON).history[0]
    taught = sum(row.split == "train" for row in with_two_narrow.rows) - 2
    assert line["sites"]["site0"]["n"] == taught == hellos["site0"].counts["train"]
    assert hellos["site0"].fingerprint != site_data("site0", with_two_narrow).fingerprint()


def test_a_collection_of_another_kind_is_told_to_the_server_in_words_that_name_no_file(hospitals, tmp_path):
    sites = {name: Site(site_data(name, hospitals[name]), cache_folder=tmp_path) for name in ("site0", "site1")}
    with pytest.raises(TrainingError, match=r"0 of 2 sites.*the shipped gate refuses.*right collection") as raised:
        gather(inline_grid({name: site_app(site) for name, site in sites.items()}), PLAN, timing=SOON)
    assert not any(row.path.name in str(raised.value) for row in hospitals["site0"].rows)


@pytest.mark.skipif("SECONDREAD_DATA" not in os.environ, reason="needs the benchmark data: set SECONDREAD_DATA")
def test_the_shipped_gate_keeps_films_and_leaves_out_drawings(hospitals):
    films = load_data(Path(os.environ["SECONDREAD_DATA"]) / "tuberculosis" / "manifest.csv")
    rows = [row for row in films.rows if row.source == "newdelhi" and row.split in ("train", "val")]
    drawings = [row for row in hospitals["site0"].rows if row.split == "train"]
    site = site_data("site", Manifest((*rows, *drawings), films.folder))
    kept = without_refused(site, load_task("tuberculosis"))
    assert not {row.path for row in drawings} & {row.path for row in kept.train.rows}
    assert sum(kept.refused.values()) >= len(drawings)
    assert len(kept.train) >= 0.9 * (len(site.train) - len(drawings))
