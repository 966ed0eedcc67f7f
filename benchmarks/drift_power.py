"""What the watch over sensitivity sees, and how often it cries without reason: a table over a year of weeks.

    python -m benchmarks.drift_power [--years 300]     results in benchmarks/results/drift_power.json

For evidence of so many diseased patients (found: 95 of 100) and so many reviewed diseased patients a week: how often an
alarm goes off within a year in which nothing changes, looked at every day; and, where sensitivity falls to so much in
one week and stays there, how often it goes off within 1, 4 and 8 weeks, with the median of weeks until it does. Each
year draws its evidence anew. The procedure is the one of the page: `stats.watch`, one of four things compared at 5 % a
year, eight weeks looked at. The refusals and the specificity are watched by the same means.
"""

import argparse
import sys
from typing import Any

import numpy as np

from benchmarks._common import save
from secondread.stats.interval import Interval
from secondread.stats.watch import Watch

LEVEL, A_YEAR, SHOWN = 0.05 / 4, 53, 8
TRUTH = 0.95
EVIDENCE = (50, 100, 400)  # diseased patients
WEEKLY = (5, 20, 50, 100, 400)  # reviewed diseased patients
FALLS = (0.9, 0.8, 0.7, 0.6, 0.5)


def power_table(*, years: int, random_state: int = 0) -> list[dict[str, Any]]:
    """A row for each size of evidence and number of patients a week."""
    rng = np.random.default_rng(random_state)
    rows = []
    for n_evidence in EVIDENCE:
        for weekly in WEEKLY:
            watches = [_watch(rng, n_evidence) for _ in range(years)]
            row: dict[str, Any] = {"n_evidence": n_evidence, "reviewed_a_week": weekly}
            row["false_alarm_a_year"] = float(np.mean([_cries(rng, watch, weekly) for watch in watches]))
            limits = [watch.seen_below(weekly) for watch in watches[:200]]
            row["one_week_sees_below"] = _median(limits)
            row["falls"] = [_fall(rng, watches, weekly, fall) for fall in FALLS]
            rows.append(row)
    return rows


def _watch(rng: np.random.Generator, n: int) -> Watch:
    known = Interval(rng.binomial(n, TRUTH) / n, n=n, n_effective=float(n))
    return Watch.over(known, level=LEVEL, starts_a_year=A_YEAR)


def _cries(rng: np.random.Generator, watch: Watch, weekly: int) -> bool:
    """Within a year without a change; looked at each day, at every start within the weeks shown."""
    days = min(weekly, 7)
    size = np.diff(np.round(np.linspace(0, weekly, days + 1))).astype(int)
    n = np.tile(size, 52)
    hits = rng.binomial(n, TRUTH)
    total, totals = np.r_[0, np.cumsum(hits)], np.r_[0, np.cumsum(n)]
    starts = np.arange(52) * days
    for back in range(SHOWN):  # a look on any day, at the bet of so many weeks before
        at = np.arange(1, len(total))
        week = (at - 1) // days - back
        at, week = at[week >= 0], week[week >= 0]
        evidence = watch.evidence(total[at] - total[starts[week]], totals[at] - totals[starts[week]])
        if np.max(evidence) >= watch.limit:
            return True
    return False


def _fall(rng: np.random.Generator, watches: list[Watch], weekly: int, fall: float) -> dict[str, Any]:
    """Seven good weeks, then eight at the lower rate."""
    rate = np.r_[np.full(SHOWN - 1, TRUTH), np.full(SHOWN, fall)]
    until = []
    for watch in watches[: max(200, len(watches) // 5)]:
        hits, n = rng.binomial(weekly, rate), np.full(len(rate), weekly)
        seen = [
            week
            for week in range(SHOWN)
            if watch.alarms(hits[week : week + SHOWN], n[week : week + SHOWN])[-1] is not None
        ]
        until.append(seen[0] + 1 if seen else None)
    within = {f"within_{weeks}": float(np.mean([u is not None and u <= weeks for u in until])) for weeks in (1, 4, 8)}
    return {"to": fall, **within, "median_weeks": _median(until)}


def _median(found: list[Any]) -> float | None:
    """None where half or more are None: not within what was looked at."""
    value = float(np.median([np.inf if one is None else one for one in found]))
    return None if np.isinf(value) else value


def main() -> None:
    """Make the table, write it and print it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--years", type=int, default=300, help="years drawn for each row")
    asked = parser.parse_args()
    rows = power_table(years=asked.years)
    save(
        "drift_power",
        {
            "command": " ".join(["python -m benchmarks.drift_power", *sys.argv[1:]]),
            "what": "sensitivity of 0.95 watched week by week: years with a false alarm, and falls that are seen",
            "level_a_year": LEVEL,
            "weeks_looked_at": SHOWN,
            "rows": rows,
        },
    )
    print("evidence  a week  false/year  one week sees below  falls: seen within 1 / 4 / 8 weeks")
    for row in rows:
        falls = "   ".join(
            f"{one['to']:.1f}: {one['within_1']:.2f} / {one['within_4']:.2f} / {one['within_8']:.2f}"
            for one in row["falls"]
        )
        below = "–" if row["one_week_sees_below"] is None else f"{row['one_week_sees_below']:.2f}"
        print(
            f"{row['n_evidence']:8}  {row['reviewed_a_week']:6}  {row['false_alarm_a_year']:10.4f}  {below:>19}  "
            f"{falls}"
        )


if __name__ == "__main__":
    main()
