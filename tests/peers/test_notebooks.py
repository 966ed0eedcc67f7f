"""Every notebook under examples/ runs from top to bottom, on phantoms, and its page needs nothing from elsewhere."""

import re
from pathlib import Path

import pytest
from benchmarks.notebooks import NOTEBOOKS, executed, page_of

pytestmark = [
    pytest.mark.peers,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore"),  # of the kernel's messages, which are its makers' to mend
]


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.py")), ids=lambda path: path.stem)
def test_a_notebook_runs_and_shows_what_it_should(path: Path) -> None:
    notebook = executed(path)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert not [output for output in outputs if output.output_type == "error"]
    assert any("image/png" in output.get("data", {}) for output in outputs), "a plot"
    cards = [html for output in outputs if "medical device" in (html := output.get("data", {}).get("text/html", ""))]
    assert len(cards) >= (0 if path.stem.startswith("3") else 3)
    assert all(card.count("no medical device") == 1 for card in cards)
    page = page_of(notebook, title=path.stem)
    assert not re.findall(r"<(?:script|img|link)[^>]+(?:src|href)=[\"']?(?:https?:)?//", page)
    assert len(page) < 4_000_000, "pictures in a notebook are small"
