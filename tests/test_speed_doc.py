"""docs/explanation/speed.md shows what was measured, and the tables follow from it."""

import re

import pytest
from benchmarks import floor, sessions, speed_tables

PAGE = speed_tables.PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("mark", speed_tables.TABLES)
def test_the_page_shows_the_results(mark: str) -> None:
    """Out of date? `python -m benchmarks.speed_tables` writes the tables anew."""
    found = re.search(f"{speed_tables.begin(mark)}\n(.*?)\n{speed_tables.end(mark)}", PAGE, re.S)
    assert found is not None
    assert found.group(1) == speed_tables.shown(mark)


def test_a_floor_is_the_sum_of_its_parts() -> None:
    for row in speed_tables._result("floor")["rows"]:
        assert row["floor"] == pytest.approx(row["fastest_decode"] + row["gate"] + row["network"], abs=0.002)
        assert row["over_floor"] == pytest.approx(row["ours"] / row["floor"], rel=0.02, abs=0.01)


def test_no_way_to_run_a_network_is_faster_than_nothing_and_todays_is_the_measure() -> None:
    for ways in speed_tables._result("sessions")["networks"].values():
        assert ways["as served"]["ratio"] == 1
        assert ways["as served"]["flips"] == ways["as served"]["largest_difference"] == 0
        assert all(way["ms"] > 0 for way in ways.values())


def test_the_page_names_the_rule_that_the_benchmark_applies() -> None:
    assert f"no more than {sessions.LARGEST_AUC_LOSS}" in PAGE
    assert f"no\nmore than {100 * sessions.LARGEST_SHARE_OF_FLIPS:.1f} %" in PAGE or (
        f"no more than {100 * sessions.LARGEST_SHARE_OF_FLIPS:.1f} %" in PAGE
    )
    assert f"at most {floor.ASKED}" in PAGE.replace("\n", " ")


def test_the_floor_runs_to_its_end_on_small_files(monkeypatch) -> None:
    kept = {}
    monkeypatch.setattr(floor, "save", kept.__setitem__)
    for some in ("BUNDLES", "OF_ALL_KINDS"):
        monkeypatch.setattr(floor, some, floor.BUNDLES[:1])
    monkeypatch.setattr(floor.sys, "argv", ["floor", "--rounds", "1", "--sides", "128"])
    monkeypatch.setattr(floor, "_SECONDS", 0.01)
    floor.main()
    rows = kept["floor"]["rows"]
    assert {row["file"] for row in rows} >= {"JPEG", "PNG, 16 bits", "DICOM, JPEG 2000", "DICOM, lossless JPEG"}
    assert all(row["ours"] > 0 for row in rows)
