"""Published intervals hold the truth as often as they claim, at the sizes of the kit; the long run is a benchmark's."""

import json
from pathlib import Path

import pytest
from benchmarks.coverage import CASES, CLAIMED, LEAST, coverage

KEPT = json.loads((Path(__file__).parents[2] / "benchmarks" / "results" / "coverage.json").read_text(encoding="utf-8"))
QUICK = ("tuberculosis, high sensitivity", "brain tumour, test, Navoneel")
REPEATS = 120


@pytest.mark.parametrize("case", [case for case in CASES if case.name in QUICK], ids=lambda case: case.name)
def test_intervals_hold_the_truth(case):
    """With what chance does to so few draws; the seed is fixed."""
    noise = 3 * (CLAIMED * (1 - CLAIMED) / REPEATS) ** 0.5
    rows = list(coverage(case, repeats=REPEATS))
    assert {row["kind"]: row["held"] for row in rows if row["held"] < CLAIMED - noise} == {}
    assert sum(row["no_width"] for row in rows) == 0


def test_the_kept_run_found_what_is_claimed():
    """Out of date? Run `python -m benchmarks.coverage`."""
    assert {row["case"] for row in KEPT["rows"]} == {case.name for case in CASES}
    assert [row for row in KEPT["rows"] if row["held"] < LEAST] == []
    assert sum(row["no_width"] for row in KEPT["rows"]) == 0
