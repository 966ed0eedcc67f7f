"""From measured growth to what a million images cost: the plots, and the tables of docs/explanation/scale.md.

Extrapolated with two models only, both said on the page: what one more reading adds (bytes, processor time) is what the
largest measured steps added; and reading is so much processor time an image, on as many cores as there are.
"""

import json
import re
from pathlib import Path
from typing import Any

from benchmarks._common import RESULTS

PAGE = Path(__file__).parents[1] / "docs/explanation/scale.md"
PLOT = PAGE.with_name("growth.png")
IMAGES = (1_000_000, 100_000_000)
A_FILM = 15_000_000  # bytes: a digital chest film as DICOM, 2,500 × 3,000 pixels of 16 bits, not compressed
_PART = re.compile(r"(<!-- scale:begin -->\n).*(<!-- scale:end -->)", re.DOTALL)


def bytes_a_reading(found: dict[str, Any]) -> float:
    """What the largest measured step added to the database, indices included."""
    last, before = found["stored"][-1], found["stored"][-2]
    added = last["database_bytes"] - before["database_bytes"]
    return float(added / (last["readings"] - before["readings"]))


def tables(found: dict[str, Any], kept: dict[str, Any]) -> str:
    """What stands between the marks of docs/explanation/scale.md. kept: what `benchmarks.stored` saved."""
    cores = found["machine"]["cores"]
    lines = [
        f"Measured on {found['date']} by `{found['command']}` on {cores} cores ({found['machine']['machine']}, load "
        f"average before {found['load_average_before']}); [every point](../../benchmarks/results/growth.json).",
        "",
        "![time and memory by stored readings, image size, clients and rows](growth.png)",
        "",
        *_costs(found, kept),
        "",
        *_readers(found, cores),
        "",
        *_stored(found),
        "",
        *_clients(found),
        "",
        *_sizes(found),
    ]
    return "\n".join(lines) + "\n"


def _costs(found: dict[str, Any], kept: dict[str, Any]) -> list[str]:
    rows, most = bytes_a_reading(found), max(kept["kept_beyond_the_image"]["bytes"].values())
    lines = [
        ("images on the disk, 15 MB each", A_FILM),
        (f"database, {most:,} bytes a reading, map and trail with it (`{kept['command']}`)", most),
        (f"of that rows and indices alone, {rows:,.0f} bytes", rows),
    ]
    return _table(
        ["", *(f"{n:,} images" for n in IMAGES)], [[what, *(_size(n * at) for n in IMAGES)] for what, at in lines]
    )


def _readers(found: dict[str, Any], cores: int) -> list[str]:
    """Processor time of reading alone; years of the measured server at its plateau."""
    rows = []
    for one in found["bundles"]:
        hours = [n * one["processor_ms"] / 3.6e6 for n in IMAGES]
        days = [hour / 24 / cores for hour in hours]
        rows.append([
            f"`{one['bundle']}`", f"{one['processor_ms']:g} ms", *(f"{hour:,.0f} h" for hour in hours),
            *(_time(day) for day in days),
        ])  # fmt: skip
    heads = [f"processor, {n:,}" for n in IMAGES] + [f"{cores} cores, {n:,}" for n in IMAGES]
    return _table(["bundle", "one film of 2,048 px", *heads], rows)


def _stored(found: dict[str, Any]) -> list[str]:
    rows = [
        [
            f"{one['readings']:,}", f"{one['store_ms']:g} ms", f"{one['list_ms']:g} ms", _size(one["database_bytes"]),
            f"{one['memory_mb']:,} MB",
        ]
        for one in found["stored"]
    ]  # fmt: skip
    return _table(["readings kept", "one more, read and stored", "a page of the list", "database", "memory"], rows)


def _clients(found: dict[str, Any]) -> list[str]:
    rows = [
        [
            str(one["clients"]), f"{one['images_a_second']:g}", f"{one['p50_ms']} ms", f"{one['p99_ms']} ms",
            f"{_refused(one['answers']):.0%}", f"{one['memory_mb']:,} MB",
        ]
        for one in found["clients"]
    ]  # fmt: skip
    return _table(["clients", "images a second", "median", "p99", "asked to come again", "memory"], rows)


def _sizes(found: dict[str, Any]) -> list[str]:
    rows = [
        [f"{one['side']:,} px", f"{one['megapixels']:g}", f"{one['ms']:g} ms", f"{one['most_memory_mb']:,} MB"]
        for one in found["sizes"]
    ]
    return _table(["side", "megapixels", "one reading", "most memory of the process"], rows)


def _refused(answers: dict[str, int]) -> float:
    return sum(n for status, n in answers.items() if status in ("429", "503")) / max(1, sum(answers.values()))


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *(f"| {' | '.join(row)} |" for row in rows)]


def _size(n_bytes: float) -> str:
    for unit, size in (("PB", 1e15), ("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if n_bytes >= size:
            return f"{n_bytes / size:.3g} {unit}"
    return f"{n_bytes / 1000:.3g} KB"


def _time(days: float) -> str:
    if days >= 365:
        return f"{days / 365:.1f} years"
    return f"{days:.0f} days" if days >= 2 else f"{24 * days:.0f} h"


def page(text: str, found: dict[str, Any], kept: dict[str, Any]) -> str:
    """The page with its tables made anew."""
    return _PART.sub(lambda match: match[1] + tables(found, kept) + match[2], text)


def sources() -> tuple[dict[str, Any], dict[str, Any]]:
    """What growth and stored saved."""
    found, kept = (json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8")) for name in ("growth", "stored"))
    return found, kept


def plot(found: dict[str, Any], target: Path) -> None:
    """Four plots of the measured points, both axes logarithmic."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 2, figsize=(11, 8), layout="constrained")
    stored, sizes, clients = found["stored"], found["sizes"], found["clients"]
    kept = [one["readings"] for one in stored]
    _lines(axes[0, 0], "readings kept", "ms", kept, {
        "one more, read and stored": [one["store_ms"] for one in stored],
        "a page of the list, slowest order": [one["list_ms"] for one in stored],
    })  # fmt: skip
    _lines(axes[0, 1], "readings kept", "MB", kept, {
        "database": [one["database_bytes"] / 1e6 for one in stored], "memory": [one["memory_mb"] for one in stored],
    })  # fmt: skip
    _lines(axes[1, 0], "megapixels of the image", "ms, MB", [one["megapixels"] for one in sizes], {
        "one reading, ms": [one["ms"] for one in sizes],
        "most memory, MB": [one["most_memory_mb"] for one in sizes],
    })  # fmt: skip
    _lines(axes[1, 1], "clients", "a second, ms, MB", [one["clients"] for one in clients], {
        "images a second": [one["images_a_second"] for one in clients],
        "median, ms": [one["p50_ms"] or float("nan") for one in clients],
        "p99, ms": [one["p99_ms"] or float("nan") for one in clients],
        "memory, MB": [one["memory_mb"] for one in clients],
    })  # fmt: skip
    figure.savefig(target, dpi=110)
    pyplot.close(figure)


def _lines(axes: Any, x: str, y: str, at: list[float], lines: dict[str, list[float]]) -> None:
    for name, values in lines.items():
        axes.loglog(at, values, marker="o", label=name)
    axes.set_ylim(bottom=min(1, axes.get_ylim()[0]))  # or a few per cent would look like much
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(visible=True, which="major", alpha=0.3)
    axes.legend()


def write() -> None:
    """Plots and tables out of the kept JSON."""
    found, kept = sources()
    plot(found, PLOT)
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), found, kept), encoding="utf-8")


if __name__ == "__main__":
    write()
