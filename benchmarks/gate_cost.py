"""What the gate costs: its share of a warm reading's time, on files of every task (SECONDREAD_DATA)."""

import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks._common import data_folder, save
from secondread.data import load_data
from secondread.images import decode
from secondread.reading import Gate, Reader, list_bundles, load_bundle, load_gate
from secondread.reading.session import open_session
from secondread.tasks import load_task

FILES, ROUNDS = 50, 7
SHIPPED = Path(__file__).parents[1] / "src/secondread/bundles/gate"


def milliseconds(work: Callable[[], Any]) -> float:
    """Wall time of the quickest of the rounds: other work on the machine only ever adds to it."""
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return 1000 * min(times)


def measure(name: str, data: Path, gate: Gate) -> dict[str, Any]:
    """Medians over files spread evenly through the validation split."""
    bundle = load_bundle(name)
    task = bundle.task.name
    point = bundle.operating_point()
    plain = Reader.load(bundle.folder, gate=False)
    guarded = Reader(bundle, open_session(bundle.model_path), operating_point=point, limits=plain.limits, gate=gate)
    rows = load_data(data / task / "manifest.csv", task=load_task(task)).split("val").rows
    files = [row.path.read_bytes() for row in rows[:: max(1, len(rows) // FILES)][:FILES]]
    found = {"with_gate": [], "without_gate": [], "gate_alone": []}
    for file in files:
        image = decode(file)
        if guarded.read(file).refusal is not None:
            continue  # what is refused is not read, and would cost less
        found["with_gate"].append(milliseconds(lambda file=file: guarded.read(file)))
        found["without_gate"].append(milliseconds(lambda file=file: plain.read(file)))
        found["gate_alone"].append(milliseconds(lambda image=image: gate.refusal(gate.judge(image), plain.task)))
    medians = {name: statistics.median(times) for name, times in found.items()}
    share = statistics.median(a / b for a, b in zip(found["gate_alone"], found["with_gate"], strict=True))
    return {"files": len(found["with_gate"]), "share": round(share, 3)} | {
        f"{name}_ms": round(value, 3) for name, value in medians.items()
    }


def main() -> None:
    """All shipped bundles."""
    data, gate = data_folder(), load_gate(SHIPPED)
    results = {name: measure(name, data, gate) for name in list_bundles()}
    save(
        "gate_cost",
        {
            "what": "median share of a warm reading's time that the gate takes, files in memory",
            "rounds": ROUNDS,
            "asked": "under 0.2",
            "load_before": os.getloadavg()[0],
            "gate": gate.id,
            **results,
        },
    )


if __name__ == "__main__":
    main()
