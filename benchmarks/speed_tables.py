"""The tables of docs/explanation/speed.md, made of what benchmarks/results holds: nobody types a measured number twice.

python -m benchmarks.speed_tables      writes them between the page's marks
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks._common import RESULTS
from benchmarks._networks import TODAY

PAGE = Path(__file__).parents[1] / "docs/explanation/speed.md"


def main() -> None:
    """Every table anew."""
    text = PAGE.read_text(encoding="utf-8")
    for mark, table in TABLES.items():
        before, _, rest = text.partition(begin(mark))
        after = rest.partition(end(mark))[2]
        text = f"{before}{begin(mark)}\n{table(_result(mark))}\n{end(mark)}{after}"
    PAGE.write_text(text, encoding="utf-8")


def begin(mark: str) -> str:
    """The line before a table."""
    return f"<!-- {mark}:begin -->"


def end(mark: str) -> str:
    """The line after it."""
    return f"<!-- {mark}:end -->"


def shown(mark: str) -> str:
    """What the page should hold between the marks."""
    return TABLES[mark](_result(mark))


def _result(mark: str) -> dict[str, Any]:
    table: dict[str, Any] = json.loads((RESULTS / f"{mark}.json").read_text(encoding="utf-8"))
    return table


def floor_table(result: dict[str, Any]) -> str:
    """A row for each file and bundle."""
    heads = ("file", "pixels a side", "bundle", "fastest decoder", "decode", "gate", "network", "floor")
    rows = [
        (
            row["file"],
            f"{row['side']:,}",
            row["bundle"],
            row["fastest_decoder"],
            _ms(row["fastest_decode"]),
            _ms(row["gate"]),
            _ms(row["network"]),
            _ms(row["floor"]),
            _ms(row["ours"]),
            f"{row['over_floor']:.2f}",
            _ms(row["plain"]),
            f"{row['times_plain']:.2f}",
        )
        for row in result["rows"]
    ]
    within = sum(row["over_floor"] <= 1.25 for row in result["rows"])
    said = f"Milliseconds {result['counted']}. {within} of {len(rows)} rows are within 1.25 times the floor."
    return f"{_from(result)} {said}\n\n{_markdown((*heads, 'ours', 'ours / floor', 'plain', 'plain / ours'), rows)}"


def sessions_table(result: dict[str, Any]) -> str:
    """A row for each network and way to run it."""
    heads = ("network", "run by", "ms", "ms of all cores", "times as fast", "of all cores", "KB", "opens in ms")
    rows = [
        (
            network,
            way,
            f"{found['ms']:.3f}",
            f"{found['ms_of_all_cores']:.3f}",
            f"{found['ratio']:.2f}",
            f"{ways[TODAY]['ms_of_all_cores'] / found['ms_of_all_cores']:.2f}",
            f"{found['kilobytes']:,}",
            f"{found['opens_ms']:.0f}",
            f"{found['largest_difference']:.6f}",
            f"{found['flips']} of {found['n']}",
            _auc(found.get("auc_difference")),
        )
        for network, ways in result["networks"].items()
        for way, found in ways.items()
    ]
    more = ("largest Δp", "answers changed", "AUC difference")
    return f"{_from(result)}\n\n{_markdown((*heads, *more), rows)}"


def scaled_table(result: dict[str, Any]) -> str:
    """A row for each bundle, kind of film and margin that had any film to scale."""
    heads = ("bundle", "films", "margin", "n", "read", "largest Δp", "share beyond 0.005", "gate answers otherwise")
    rows = [
        (
            bundle,
            row["films"],
            str(row["margin"]),
            str(row["n"]),
            str(row["n_read"]),
            f"{row['largest_difference']:.4f}",
            f"{row['share_beyond']:.2f}",
            str(row["gate_answers_otherwise"]),
            f"{row['decoding_times_as_fast']:.1f}",
        )
        for bundle, some in result["bundles"].items()
        for row in some
        if row["n"]
    ]
    holds = "It holds." if result["holds"] else "**It does not hold.**"
    other = result["gate_answers_otherwise"]
    worst = f"The largest difference is {result['largest_difference']:.4f}; {other} answers of the gate change."
    return f"{_from(result)} {holds} {worst}\n\n{_markdown((*heads, 'decoding, times as fast'), rows)}"


TABLES: dict[str, Callable[[dict[str, Any]], str]] = {
    "floor": floor_table,
    "sessions": sessions_table,
    "scaled_jpeg": scaled_table,
}


def _from(result: dict[str, Any]) -> str:
    machine, load = result["machine"], result["load_before"]
    return f"`{result['command']}`, {result['date']}, {machine['cores']} cores, load {load:.1f} before it began."


def _ms(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


def _auc(difference: dict[str, float] | None) -> str:
    if difference is None:
        return ""
    return f"{difference['value']:+.4f} ({difference['low']:+.4f} to {difference['high']:+.4f})"


def _markdown(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [heads, ("---",) * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    main()
