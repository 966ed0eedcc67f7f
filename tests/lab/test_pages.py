"""The lab's pages that the project keeps are what its templates make of the results that it keeps."""

import json
import re
from pathlib import Path

import numpy as np

from secondread.lab.leaderboard import write_leaderboard
from secondread.lab.pages import comparison_page, search_page, study_page
from secondread.stats.paired import choice_optimism

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"


def kept(name):
    return json.loads((RESULTS / name).read_text(encoding="utf-8"))


def test_the_leaderboard_is_that_of_the_kept_results(tmp_path):
    """Out of date? Run `secondread lab compare --page docs/reference/leaderboard.md`."""
    write_leaderboard(RESULTS / "leaderboard", tmp_path / "leaderboard.md")
    assert (tmp_path / "leaderboard.md").read_text() == (ROOT / "docs/reference/leaderboard.md").read_text()


def test_the_comparison_with_the_paper_is_that_of_the_kept_runs():
    page = (ROOT / "docs/explanation/paper-comparison.md").read_text()
    at_hand = {task: entry["fingerprint"] for task, entry in kept("leaderboard/data.json").items()}
    tables = kept("paper-comparison.json")
    assert comparison_page(tables, at_hand) == page
    stale = [task for task, table in tables.items() if table["data_fingerprint"] != at_hand[task]]
    assert page.count("**Stale**") == len(stale)


def test_the_study_is_that_of_the_kept_runs():
    folder = RESULTS / "study" / "tuberculosis"
    assert study_page(kept(folder / "study.json")) == (folder / "study.md").read_text()


def test_the_search_is_that_of_the_kept_trials():
    folder = RESULTS / "search" / "tuberculosis"
    page = search_page(kept(folder / "search.json"), measure="validation ROC AUC")
    assert page == (folder / "search.md").read_text()


def test_a_search_without_a_whole_trial_has_no_options_to_give():
    table = kept(RESULTS / "search" / "tuberculosis" / "search.json")
    page = search_page({**table, "best": None, "trials": []}, measure="validation ROC AUC")
    assert "--set" not in page.partition("![")[0]


def test_no_published_page_shows_an_interval_without_width():
    pages = [ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *RESULTS.rglob("*.md")]
    pages += (ROOT / "src" / "secondread" / "bundles").rglob("card.md")
    for page in pages:
        assert re.findall(r"[\d.]+ \(([\d.]+)–\1\)", page.read_text(encoding="utf-8")) == [], page


def test_choosing_the_best_of_many_alike_flatters_it_and_of_one_does_not():
    rng = np.random.default_rng(0)
    y = np.arange(60) < 30
    groups = [str(at) for at in range(60)]
    alike = y + rng.normal(size=(20, 60))
    flattered = choice_optimism(y, alike, groups=groups)
    assert 0.03 < flattered < 0.2
    assert abs(choice_optimism(y, alike[:1], groups=groups)) < 1e-9
    ahead = np.stack([y + 0.01 * alike[0], *-alike[1:]])
    assert abs(choice_optimism(y, ahead, groups=groups)) < 1e-9, "one that is always the best is not chosen by chance"
