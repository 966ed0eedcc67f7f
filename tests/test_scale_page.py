"""docs/explanation/scale.md says what growth.json says, and its arithmetic is right."""

import json
from pathlib import Path

import pytest
from benchmarks import _scale
from benchmarks._common import RESULTS

FOUND = {
    "date": "2026-01-01",
    "command": "python -m benchmarks.growth",
    "machine": {"cores": 2, "machine": "x86_64"},
    "load_average_before": 0.1,
    "stored": [
        {"readings": n, "files": n, "store_ms": 8.0, "list_ms": 5.0, "memory_mb": 200,
         "database_bytes": 50_000 + 2000 * n}
        for n in (100, 1000, 10_000)
    ],
    "sizes": [{"side": 8000, "megapixels": 64.0, "ms": 600.0, "most_memory_mb": 400}],
    "bundles": [{"bundle": "tuberculosis/paper", "processor_ms": 36.0, "file_bytes": 10**6}],
    "clients": [
        {"clients": 16, "images_a_second": 120.0, "n": 960, "p50_ms": 100, "p99_ms": 300, "memory_mb": 300,
         "answers": {"200": 900, "503": 300}},
    ],
}  # fmt: skip
KEPT = {"command": "python -m benchmarks.stored", "kept_beyond_the_image": {"bytes": {"a": 2500, "b": 2600}}}


def test_a_million_costs_a_million_times_one() -> None:
    assert _scale.bytes_a_reading(FOUND) == pytest.approx(2000)
    text = _scale.tables(FOUND, KEPT)
    assert "| images on the disk, 15 MB each | 15 TB | 1.5 PB |" in text
    assert "map and trail with it (`python -m benchmarks.stored`) | 2.6 GB | 260 GB |" in text
    assert "| of that rows and indices alone, 2,000 bytes | 2 GB | 200 GB |" in text
    assert "| `tuberculosis/paper` | 36 ms | 10 h | 1,000 h | 5 h | 21 days |" in text
    assert "| 16 | 120 | 100 ms | 300 ms | 25% | 300 MB |" in text


def test_the_page_is_made_anew_between_its_marks(tmp_path: Path) -> None:
    text = "before\n<!-- scale:begin -->\nold\n<!-- scale:end -->\nafter\n"
    once = _scale.page(text, FOUND, KEPT)
    assert once == _scale.page(once, FOUND, KEPT)
    assert "old" not in once
    assert once.startswith("before\n")
    assert once.endswith("<!-- scale:end -->\nafter\n")
    _scale.plot(FOUND, tmp_path / "growth.png")
    assert (tmp_path / "growth.png").read_bytes().startswith(b"\x89PNG")


def test_docs_scale_says_what_was_measured() -> None:
    if not (RESULTS / "growth.json").exists():
        pytest.skip("growth was not measured yet: `make growth`")
    text = _scale.PAGE.read_text(encoding="utf-8")
    assert text == _scale.page(text, *_scale.sources())
    assert _scale.PLOT.exists()
    assert {"stored", "sizes", "bundles", "clients"} <= set(json.loads((RESULTS / "growth.json").read_text("utf-8")))
