"""Runs examples/notebooks from top to bottom and writes them with what came out (`make notebooks`)."""

import sys
from pathlib import Path

import jupytext
from nbclient import NotebookClient
from nbconvert import HTMLExporter
from nbformat import NotebookNode

from secondread.files import write_text

NOTEBOOKS = Path(__file__).parents[1] / "examples" / "notebooks"
_SECONDS = 300  # of one cell, on a machine that does other things too
_FROM_ELSEWHERE = ("require_js_url", "jquery_url", "mathjax_url", "mermaid_js_url", "widget_renderer_url")


def executed(path: Path) -> NotebookNode:
    """The notebook with what its cells gave. Raises CellExecutionError for one that fails."""
    notebook = jupytext.read(path)
    NotebookClient(notebook, timeout=_SECONDS, kernel_name="python3", allow_errors=False).execute()
    return notebook


def page_of(notebook: NotebookNode, *, title: str) -> str:
    """One HTML file that fetches nothing from elsewhere."""
    exporter = HTMLExporter(**dict.fromkeys(_FROM_ELSEWHERE, ""))
    return str(exporter.from_notebook_node(notebook, {"metadata": {"name": title}})[0])


def main(folder: Path) -> None:
    """Every notebook, into the folder."""
    for path in sorted(NOTEBOOKS.glob("*.py")):
        notebook = executed(path)
        write_text(folder / f"{path.stem}.ipynb", jupytext.writes(notebook, fmt="ipynb"))
        write_text(folder / f"{path.stem}.html", page_of(notebook, title=path.stem))
        print(folder / f"{path.stem}.html")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "build/notebooks"))
