"""The card of a bundle is its evidence put into words, and shows the figures that the page shows."""

import re
from copy import deepcopy
from dataclasses import replace
from html import unescape

import pytest

from secondread.evidence.card import measured_table, write_card
from secondread.evidence.report import write_report
from secondread.reading import list_bundles, load_bundle
from secondread.stats.interval import Interval
from secondread.tasks import first_tasks

_ROUNDING = 0.0055  # of two digits on the card against three on the page


@pytest.mark.parametrize("name", list_bundles())
def test_the_shipped_card_is_that_of_the_shipped_evidence(name):
    """Out of date? Write `write_card(bundle, bundle.evidence)` with `add_card`."""
    bundle = load_bundle(name)
    assert write_card(bundle, bundle.evidence) == bundle.card


@pytest.mark.parametrize(("share", "said"), [(1.0, "**nothing is decided**"), (0.98, ": 98.0 (")])
def test_a_point_at_which_all_is_uncertain_has_no_rates_on_the_card(share, said):
    bundle = load_bundle("tuberculosis/paper")
    record = deepcopy(bundle.record)
    none_wrong = Interval(1.0, 0.93, 1.0, n=50).to_dict()
    uncertain = Interval(share, 0.9, 1.0, n=50).to_dict()
    rates = {"sensitivity": none_wrong, "specificity": none_wrong, "uncertain": uncertain}
    record["operating_points"]["triage"] |= rates
    card = write_card(replace(bundle, record=record), bundle.evidence)
    (row,) = [line for line in section(card, "## Operating points", "\n## ").splitlines() if "| triage |" in line]
    assert said in row
    assert ("1.00 (" in row) == (share < 1)


def card_tables(text):
    """Rows of all tables in Markdown, each {heading of its column: cell}."""
    for table in re.findall(r"(?:^\|.*\n)+", text + "\n", flags=re.MULTILINE):
        head, _, *rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]
        yield [dict(zip(head, row, strict=True)) for row in rows]


def page_tables(text):
    """The same in HTML; an interval on two lines is put on one."""
    for table in re.findall(r"<table>(.*?)</table>", text, flags=re.DOTALL):
        lines = [
            re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL)
            for row in re.findall(r"<tr.*?</tr>", table, re.DOTALL)
        ]
        head, *rows = [[plain(cell) for cell in line] for line in lines]
        yield [dict(zip(head, row, strict=True)) for row in rows]


def plain(cell):
    stacked = re.sub(r"<br><small class='soft'>(.*?)</small>", r" (\1)", cell)
    return unescape(re.sub(r"<[^>]+>", "", stacked)).strip()


def section(text, title, mark):
    return text.split(title, 1)[1].split(mark, 1)[0]


def meaning(title):
    """The words of a measure, whatever their order: 'recall (sensitivity)' is 'sensitivity (recall)'."""
    words = re.findall(r"\w+", title.lower().replace("(0 is best)", "").replace("ten ", "10 "))
    return frozenset(words) - {"of", "a"}


def figures(cell):
    return [float(figure) for figure in re.findall(r"\d+\.?\d*", cell)]


@pytest.mark.parametrize("name", [name for name in list_bundles() if name.endswith("/best")])
def test_every_figure_of_the_card_is_that_of_the_page(name, tmp_path):
    bundle = load_bundle(name)
    card = write_card(bundle, bundle.evidence)
    page = write_report(bundle.evidence, bundle.task, tmp_path).read_text(encoding="utf-8")
    for split, result in bundle.evidence["results"].items():
        here = section(page, f'<h2 id="{split}">', "</section>")
        check_measures(section(card, f"## Measured on {split}\n", "\n## "), here, split)
        if (result.get("heatmap") or {}).get("n"):
            check_heat_maps(section(section(card, "## Heat maps\n", "\n## "), f"On {split}:\n", "\n\nOn "), here, split)
        if f"On {split} (PPV" in card:
            check_thresholds(section(card, f"On {split} (PPV", "\n\nOn "), here, split)
        if result.get("subgroups"):
            check_subgroups(section(card, "## Subgroups\n", "\n## "), here, split)
    assert ("## Beside the seed paper\n" in card) == ('<h2 id="paper">' in page) == (bundle.task.name in first_tasks())
    if bundle.task.name in first_tasks():  # of the others the seed paper says nothing
        (on_card,) = card_tables(section(card, "## Beside the seed paper\n", "\n## "))
        (on_page,) = page_tables(section(page, '<h2 id="paper">', "<h2"))
        assert [list(row.values()) for row in on_card] == [list(row.values()) for row in on_page]


def check_measures(card, page, split):
    (on_card,), (on_page,) = card_tables(card), page_tables(section(page, f'"{split}-measures"', "<h3"))
    shown = {meaning(row["measure"]): list(row.values())[1:] for row in on_page}
    assert len(on_card) == 11
    for row in on_card:
        assert shown[meaning(row["measure"])] == list(row.values())[1:], row["measure"]


def check_heat_maps(card, page, split):
    (on_card,) = card_tables(card)
    on_page, *_ = page_tables(section(page, f'"{split}-heatmaps"', "<h3"))
    for ours, theirs in zip(on_card, on_page, strict=True):
        assert list(ours.values())[1:] == list(theirs.values())[1:6]


def check_thresholds(card, page, split):
    on_card, (on_page,) = next(card_tables(card)), page_tables(section(page, f'"{split}-thresholds"', "<h3"))
    shown = {row["positive above"].partition(" ")[2]: row for row in on_page}
    for row in on_card:
        for column in ("sensitivity", "specificity", "PPV", "NPV", "flagged of 1,000"):
            found = shown[row["name"]][column]
            assert figures(row[column]) == pytest.approx(figures(found), abs=_ROUNDING), (row["name"], column)


def check_subgroups(card, page, split):
    shown = {
        row[fact]: {meaning(column): cell for column, cell in row.items()}
        for table in page_tables(section(page, f'"{split}-subgroups"', "<h3"))
        for row in table
        for fact in list(row)[:1]
    }
    (on_card,) = card_tables(card)
    rows = [row for row in on_card if row["split"] == split]
    assert len(rows) == len(shown)
    for row in rows:
        found = shown[row["part"]]
        assert row["n (positive)"] == found[meaning("n (diseased)")]
        for column, title in [("sensitivity", "sensitivity (recall)"), ("specificity",) * 2, ("ROC AUC",) * 2]:
            assert figures(row[column]) == pytest.approx(figures(found[meaning(title)]), abs=_ROUNDING)


def test_the_table_of_bundles_shows_the_figures_of_their_cards():
    (rows,) = card_tables(measured_table([load_bundle(name) for name in list_bundles()]))
    assert {row["bundle"] for row in rows} == set(list_bundles())
    for name in list_bundles():
        bundle = load_bundle(name)
        test = next(row for row in rows if row["bundle"] == name)
        assert test["measured on"].partition(",")[0] == "test"
        (table,) = card_tables(section(bundle.card, "## Measured on test\n", "\n## "))
        shown = {row["measure"]: list(row.values())[1] for row in table}
        for column, measure in [("ROC AUC",) * 2, ("sensitivity", "recall (sensitivity)"), ("accuracy",) * 2]:
            assert figures(test[column]) == pytest.approx(figures(shown[measure]), abs=_ROUNDING)
