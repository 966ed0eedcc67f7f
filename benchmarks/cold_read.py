"""One image, from process start to printed result: `secondread read --json` against a torch script."""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks._common import make_films, save, weights_of

ROUNDS = 15
TASK, CHANNELS = "tuberculosis", 1


def main() -> None:
    """Both in turn, after one warm-up each; medians and their ratio."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        image = make_films(folder, n=1, height=1024, width=1024, distinct=1)[0]
        weights = weights_of(TASK, folder)
        ours = [
            str(Path(sys.executable).with_name("secondread")),
            "read",
            "--task",
            TASK,
            "--bundle",
            "paper",
            "--no-gate",  # which would refuse this film, as it shows no chest
            "--json",
            str(image),
        ]
        plain = [sys.executable, str(Path(__file__).with_name("plain.py")), str(weights), str(CHANNELS), str(image)]
        times: dict[str, list[float]] = {"secondread": [], "plain": []}
        for round_number in range(ROUNDS + 1):
            for label, command in (("secondread", ours), ("plain", plain)):
                started = time.perf_counter()
                out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
                if round_number:
                    times[label].append(time.perf_counter() - started)
                else:
                    check = json.loads(out)["probability"] if label == "secondread" else float(out.split()[-1])
                    times.setdefault(f"probability {label}", []).append(check)
    medians = {label: statistics.median(times[label]) for label in ("secondread", "plain")}
    same = abs(times["probability secondread"][0] - times["probability plain"][0])
    save(
        "cold_read",
        {
            "what": "process start to printed probability, one JPEG of 1024 × 1024, median of rounds in turn",
            "rounds": ROUNDS,
            "seconds": {label: round(value, 3) for label, value in medians.items()},
            "ratio": round(medians["plain"] / medians["secondread"], 2),
            "asked": "at least 5",
            "difference_of_probability": round(same, 6),
        },
    )


if __name__ == "__main__":
    main()
