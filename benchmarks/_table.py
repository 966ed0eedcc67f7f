"""The one table of all benchmarks: a row for each claim, out of the JSON that the parts wrote; and as Markdown."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

Found = Mapping[str, Any]  # what a part saved
_MOST_KEPT, _MOST_IDLE, _MOST_PAGE = 3000, 350, 100  # bytes, MB, ms


@dataclass(frozen=True)
class Row:
    """One claim. met: None where nothing was asked, or nothing measured."""

    what: str
    before: str  # what was measured when it was asked
    asked: str
    now: str
    against: str  # what it is compared with, in the same run
    n: str
    command: str
    met: bool | None = None


Maker = Callable[[Found], Iterable[Row]]


def _ratio(found: Found, what: str, before: str, asked: float, ratio: float, against: str, n: str) -> Row:
    return Row(
        what, before, f"at least {asked:g} ×", f"{ratio:.2f} ×", against, n, found["command"], met=ratio >= asked
    )


def cold_read(found: Found) -> Iterable[Row]:
    """From the start of a process."""
    n = f"{found['rounds']} rounds"
    yield _ratio(found, "cold read, 1,024 px JPEG", "5.2 ×", 5, found["ratio"], "plain torch script", n)


def warm_read(found: Found) -> Iterable[Row]:
    """In a warm process, on all cores."""
    for kind, before, asked in (("small", "3.0 ×", 4), ("large", "2.8 ×", 2)):
        part, what = found[kind], f"warm read, {found[kind]['images']}"
        yield _ratio(
            found,
            what,
            before,
            asked,
            part["times_as_many_as_plain"],
            "plain torch script",
            f"{found['rounds']} rounds",
        )


def floor(found: Found) -> Iterable[Row]:
    """A whole reading against its parts, the large files together and each small kind's worst."""
    for bundle in sorted({row["bundle"] for row in found["rows"]}):
        rows = [row for row in found["rows"] if row["bundle"] == bundle]
        worst = max(rows, key=lambda row: row["over_floor"])
        middle = sorted(row["over_floor"] for row in rows)[len(rows) // 2]
        now = f"{middle:.2f} × (median); {worst['over_floor']:.2f} × at most ({worst['file']}, {worst['side']} px)"
        against = "fastest decoder + gate + network"
        n = f"{len(rows)} files, {found['rounds']} rounds"
        yield Row(
            f"whole warm reading, {bundle}", "1.14 × decoding (large)", "at most 1.25 ×", now, against, n,
            found["command"], met=worst["over_floor"] <= 1.25,
        )  # fmt: skip


def training(found: Found) -> Iterable[Row]:
    """Epochs of the paper's network, and whatever else the part compared."""
    yield _ratio(found, "training the paper's network", "7 ×", 10, found["ratio"], "plain torch script", found["what"])


def lesion_epochs(found: Found) -> Iterable[Row]:
    """Epochs of the large network."""
    for name, ratio in found["times_as_fast_as"].items():
        yield Row("epochs of lesion-lite", "–", "–", f"{ratio:.2f} ×", name, found["what"], found["command"])


def screening(found: Found) -> Iterable[Row]:
    """An archive against the loop."""
    n = found["what"].partition(",")[0]
    yield _ratio(found, "screen, local", "0.89 ×", 0.95, found["ratio"], "the reader's loop", n)


def screening_ray(found: Found) -> Iterable[Row]:
    """A second worker on Ray."""
    n = found["what"].partition(" behind")[0]
    yield _ratio(found, "screen, Ray, 1 → 2 workers", "–", 1.6, found["ratio"], "one worker, one thread", n)


def load(found: Found) -> Iterable[Row]:
    """Servers and clients on the same cores."""
    before = {"paper against Flask + torch": "0.12–0.15 ×"}
    for name, one in found["ratios"].items():
        servers = found["servers"]
        ours = servers["secondread, paper" if name.startswith("paper") else "secondread, best"]
        what = f"images a second, 16 clients, {name.partition(' ')[0]}, stored durably"
        now = f"{one['ratio']:.2f} × ({ours['images_a_second']:g}/s; rounds {', '.join(map(str, one['all_rounds']))})"
        asked = one["asked"]
        yield Row(
            what, before.get(name, "–"), "–" if asked is None else f"at least {asked:g} ×", now,
            name.partition("against ")[2], f"{ours['n']} images a round", found["command"],
            met=None if asked is None else one["ratio"] >= asked,
        )  # fmt: skip
    for name, one in found["servers"].items():
        if "left_out" in one:
            yield Row(name, "–", "–", one["left_out"], "–", "0", found["command"])
        elif "failed" in one:
            yield failed(name, one["failed"], found["command"])


def overload(found: Found) -> Iterable[Row]:
    """Far more clients than can be served."""
    memory, good = found["memory_mb"], found["good_ms"]
    clean = not found["answers_else"] and not found["refusals_without_retry_after"]
    answers = ", ".join(f"{n} × {status}" for status, n in sorted(found["answers"].items()))
    now = f"p99 {good.get('p99', 0)} ms, most {good.get('most', 0)} ms; {answers}"
    asked = "bounded; 429/503 with Retry-After, no error else"
    n = str(sum(found["answers"].values()))
    yield Row("p99 under overload, 256 clients", "–", asked, now, "–", n, found["command"], met=clean)
    memory_now = f"{memory['most_in_the_first_half']} → {memory['most_in_the_second_half']} MB"
    yield Row("memory under overload", "–", "flat", memory_now, "first and second half", n, found["command"])


def processes(found: Found) -> Iterable[Row]:
    """Memory at rest."""
    kinds = [name for name in found if name.endswith(" processes")]
    most = max(found[name]["at_rest_mb"] for name in kinds)
    now = ", ".join(f"{name}: {found[name]['at_rest_mb']:g} MB" for name in kinds)
    asked = f"at most {_MOST_IDLE} MB"
    yield Row(
        "memory of the idle server (PSS)", "526 MB", asked, now, "–", "–", found["command"], met=most <= _MOST_IDLE
    )


def stored(found: Found) -> Iterable[Row]:
    """Bytes and waits for the disk."""
    kept = found["kept_beyond_the_image"]["bytes"]
    now = f"{max(kept.values()):,} bytes at most ({', '.join(kept)})"
    asked = "at most 3 KB"
    most = max(kept.values()) <= _MOST_KEPT
    yield Row(
        "kept bytes beyond the image", "40 KB", asked, now, "–", f"{len(kept)} bundles", found["command"], met=most
    )
    many = next(row for row in reversed(found["rows"]) if row["synchronous"] == "FULL")
    waits, commits = many["waits_for_files_and_folders_a_reading"], many["commits_a_reading"]
    now = f"{waits:.2f} of files and folders, {commits:.2f} commits"
    yield Row(
        f"waits for the disk a reading, {many['clients']} clients", "6", "under one of each kind", now, "–",
        found["what"].partition(" ")[0] + " readings a block", found["command"], met=waits < 1 and commits < 1,
    )  # fmt: skip


def worklist_time(found: Found) -> Iterable[Row]:
    """Pages, every filter in every order, and parts of names."""
    for kind, slowest in found["slowest_at_most_readings"].items():
        n = max((name for name in found[kind]), key=int)
        for part, what in (
            ("pages_ms", "worklist page"),
            ("queries_ms", "any filter in any order"),
            ("names_ms", "part of a name"),
        ):
            one = slowest[part]
            now = f"{one['p50']:g} ms (slowest: {one['what']})"
            yield Row(
                f"{what} at {int(n):,} readings, {kind}", "41 ms at 10⁴", f"under {_MOST_PAGE} ms", now, "–",
                f"{len(found[kind][n][part])} looks", found["command"], met=one["p50"] < _MOST_PAGE,
            )  # fmt: skip


_ALL: tuple[Any, ...] = (
    cold_read,
    warm_read,
    floor,
    training,
    lesion_epochs,
    screening,
    screening_ray,
    load,
    overload,
    processes,
    stored,
)
MAKERS: dict[str, Maker] = {maker.__name__: maker for maker in (*_ALL, worklist_time)}


def rows_of(part: str, found: Found) -> list[Row]:
    """The rows of one part; one that says so where the part saved something else than is known here."""
    try:
        return list(MAKERS[part](found))
    except (KeyError, TypeError, ValueError, IndexError, StopIteration) as error:
        return [failed(part, f"its JSON is not as expected: {type(error).__name__} {error}", str(found.get("command")))]


def failed(part: str, why: str, command: str) -> Row:
    """A row of a part that gave nothing."""
    return Row(part, "–", "–", f"failed: {why}", "–", "0", command, met=False)


def markdown(rows: Iterable[Row], head: str) -> str:
    """The table, with a sentence before it."""
    names = ("what", "before", "asked", "now", "against", "n", "met", "command")
    said = {True: "yes", False: "**no**", None: ""}
    lines = ["# Benchmarks, in one run", "", head, "", f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    for row in rows:
        cells = asdict(row) | {"met": said[row.met], "command": f"`{row.command}`"}
        lines.append("| " + " | ".join(str(cells[name]).replace("|", "\\|") for name in names) + " |")
    return "\n".join(lines) + "\n"
