"""The one table of `make bench`: made from the JSON of its parts, and honest where a part gave none."""

import importlib.util
import json
from pathlib import Path

import pytest
from benchmarks import _table, bench
from benchmarks._common import RESULTS

LOAD = {
    "command": "python -m benchmarks.load",
    "servers": {
        "secondread, paper": {"images_a_second": 150.0, "n": 1200},
        "secondread, best": {"images_a_second": 60.0, "n": 480},
        "LitServe + ONNX Runtime, best": {"left_out": "LitServe could not be installed into build/bench"},
    },
    "ratios": {
        "paper against Flask + torch": {"ratio": 1.02, "all_rounds": [1.0, 1.04], "asked": 1.0},
        "best against the reader's loop": {"ratio": 0.85, "all_rounds": [0.85], "asked": 0.9},
    },
}


def test_every_part_is_a_module_and_has_its_rows() -> None:
    for part in bench.PARTS:
        assert importlib.util.find_spec(f"benchmarks.{part.name}") is not None, part.name
        assert part.name in _table.MAKERS, part.name


def test_a_part_becomes_rows_that_say_whether_it_reached_what_was_asked() -> None:
    paper, best, litserve = _table.rows_of("load", LOAD)
    assert (paper.asked, paper.against, paper.met) == ("at least 1 ×", "Flask + torch", True)
    assert "1.02 ×" in paper.now
    assert "150/s" in paper.now
    assert (best.n, best.met) == ("480 images a round", False)
    assert litserve.now == "LitServe could not be installed into build/bench"
    page = _table.markdown([paper, best], "Made today.")
    assert page.count("\n| ") == 3
    assert "| **no** | `python -m benchmarks.load` |" in page


@pytest.mark.parametrize("found", [{}, {"ratios": {}}, {"rows": []}, {"ratios": {"x": {}}, "servers": {}}])
def test_a_part_that_saved_something_else_is_a_row_that_says_so(found: dict) -> None:
    for name in _table.MAKERS:
        rows = _table.rows_of(name, found)
        assert all(row.met is False and row.now.startswith("failed") for row in rows), name


def test_what_an_earlier_run_left_behind_is_not_taken_for_a_result(tmp_path: Path) -> None:
    (tmp_path / "this.json").write_text(json.dumps(LOAD), encoding="utf-8")
    [row] = bench._run(bench.Part("this", 60), (), tmp_path)
    assert row.now == "failed: exit code 1, and nothing saved"
    assert row.met is False


def test_the_page_is_made_from_the_json(tmp_path: Path) -> None:
    bench.keep(_table.rows_of("load", LOAD), tmp_path, load=0.5, minutes={"load": 1.5}, seconds=90)
    table = json.loads((tmp_path / "latest.json").read_text(encoding="utf-8"))
    assert (tmp_path / "latest.md").read_text(encoding="utf-8") == bench.page_of(table)
    assert len(table["rows"]) == 3


def test_the_kept_page_is_that_of_the_kept_json() -> None:
    kept = RESULTS / "latest.json"
    if not kept.exists():
        pytest.skip("no table is kept yet: `make bench` makes one")
    page = (RESULTS / "latest.md").read_text(encoding="utf-8")
    assert page == bench.page_of(json.loads(kept.read_text(encoding="utf-8")))
