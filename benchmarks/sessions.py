"""What runs a network fastest without answering otherwise: ONNX Runtime's settings, float16, int8, OpenVINO, torch.

    python -m benchmarks.sessions [--compiled] [--rounds 12] [--images 150] [--only NAME...]

For every shipped network: milliseconds an image beside today's session in the same rounds, bytes of its file, and what
it answers otherwise on validation images (SECONDREAD_DATA): the largest difference of a probability, decisions that
change, and the difference of the ROC AUC with its interval. Results in benchmarks/results/sessions.json.
"""

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks._common import data_folder, save
from benchmarks._networks import TODAY, Way, ways
from secondread.data import load_data
from secondread.images import PrepareSpec, decode, prepare
from secondread.reading import Bundle, list_bundles, load_bundle, load_gate
from secondread.reading.reader import decide
from secondread.stats.delong import delong_test
from secondread.tasks import load_task

GATE = Path(__file__).parents[1] / "src/secondread/bundles/gate"
CALIBRATING = 64  # validation images that find the ranges of int8, and that nothing is measured on
# What a faster way must keep to before it may become the default.
LARGEST_AUC_LOSS, LARGEST_SHARE_OF_FLIPS = 0.002, 0.005
_SECONDS_A_ROUND = 0.15  # of one way in one round, at least one answer


def main() -> None:
    """Every network, the small ones first."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--compiled", action="store_true", help="torch.compile as well: two minutes more.")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--images", type=int, default=150, help="Of a task's validation images, at most.")
    parser.add_argument("--only", nargs="*", help="Networks by name, 'gate' among them.")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    data, results = data_folder(), {}
    for name in options.only or [*sorted(list_bundles(), key=lambda one: not one.endswith("paper")), "gate"]:
        work = _gate if name == "gate" else _bundle
        results[name] = work(name, data, options)
    save(
        "sessions",
        {
            "command": " ".join(["python -m benchmarks.sessions", *sys.argv[1:]]),
            "what": "milliseconds an answer, quickest of the rounds in turn: of the clock, and of all cores' time "
            "together; ratio: of today's session to it, by the clock. Answers on validation images that no range was "
            "found on",
            "rule": f"a faster way is kept where the AUC falls by no more than {LARGEST_AUC_LOSS} and no more than "
            f"{LARGEST_SHARE_OF_FLIPS:.1%} of the decisions change",
            "rounds": options.rounds,
            "load_before": os.getloadavg()[0],
            "networks": results,
        },
    )


def _bundle(name: str, data: Path, options: argparse.Namespace) -> dict[str, Any]:
    bundle = load_bundle(name)
    pixels, y_true = _validation(data, [bundle.task.name], bundle.prepare_spec, options.images)
    found = list(ways(bundle.model_path.read_bytes(), pixels[_calibrating(len(pixels))], compiled=options.compiled))
    rest = np.setdiff1d(np.arange(len(pixels)), _calibrating(len(pixels)))
    logits = {way.name: _answers(way, pixels[rest], "logit") for way in found}
    probabilities = {name: bundle.calibration.apply(some[:, 0]).round(6) for name, some in logits.items()}
    return _table(
        found, pixels, options.rounds, lambda way: _differences(bundle, y_true[rest], probabilities, way.name)
    )


def _gate(name: str, data: Path, options: argparse.Namespace) -> dict[str, Any]:
    gate = load_gate(GATE)
    tasks = sorted({bundle.partition("/")[0] for bundle in list_bundles()})
    pixels, _ = _validation(data, tasks, gate.spec, options.images)
    found = list(ways((GATE / "gate.onnx").read_bytes(), pixels[_calibrating(len(pixels))], compiled=options.compiled))
    rest = np.setdiff1d(np.arange(len(pixels)), _calibrating(len(pixels)))
    logits = {way.name: _answers(way, pixels[rest], "logits") for way in found}

    def differences(way: Way) -> dict[str, Any]:
        ours, today = (_softmax(logits[one]) for one in (way.name, TODAY))
        return {
            "n": len(rest),
            "largest_difference": round(float(np.abs(ours - today).max()), 7),
            "flips": int((ours.argmax(axis=1) != today.argmax(axis=1)).sum()),
        }

    return _table(found, pixels, options.rounds, differences)


def _validation(data: Path, tasks: list[str], spec: PrepareSpec, most: int) -> tuple[np.ndarray, np.ndarray]:
    """uint8 (n, size, size, channels) and bool (n,): validation images of these tasks, evenly through the split."""
    pixels, labels = [], []
    for task in tasks:
        rows = load_data(data / task / "manifest.csv", task=load_task(task)).split("val").rows
        step = max(1, -(-len(rows) * len(tasks) // most))
        for row in rows[::step]:
            pixels.append(prepare(decode(row.path.read_bytes()), spec).pixels)
            labels.append(bool(row.label))
    return np.stack(pixels), np.array(labels)


def _calibrating(n: int) -> np.ndarray:
    return np.unique(np.linspace(0, n - 1, min(CALIBRATING, n // 3)).astype(int))


def _answers(way: Way, pixels: np.ndarray, output: str) -> np.ndarray:
    return np.stack([way.run(one[None])[output].reshape(-1) for one in pixels])


def _softmax(logits: np.ndarray) -> np.ndarray:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))


def _differences(bundle: Bundle, y_true: np.ndarray, probabilities: dict[str, np.ndarray], name: str) -> dict[str, Any]:
    """How this way answers otherwise than today's does; `kept` is the rule."""
    ours, today, point = probabilities[name], probabilities[TODAY], bundle.operating_point()
    flips = sum(decide(float(a), point) != decide(float(b), point) for a, b in zip(ours, today, strict=True))
    compared = delong_test(y_true, ours, today)
    allowed = flips <= LARGEST_SHARE_OF_FLIPS * len(ours) and compared.difference >= -LARGEST_AUC_LOSS
    return {
        "n": len(ours),
        "largest_difference": round(float(np.abs(ours - today).max()), 7),
        "flips": flips,
        "auc_difference": {
            "value": round(compared.difference, 5),
            "low": round(compared.low, 5),
            "high": round(compared.high, 5),
        },
        "keeps_the_rule": allowed,
    }


def _table(found: list[Way], pixels: np.ndarray, rounds: int, differences: Any) -> dict[str, Any]:
    """All ways in turn, round after round; of each the quickest."""
    one = pixels[:1]
    clock, cores = ({way.name: float("inf") for way in found} for _ in range(2))
    times = {way.name: _times(way, one) for way in found}
    for _ in range(rounds):
        for way in found:
            for _ in range(times[way.name]):
                started, used = time.perf_counter(), time.process_time()
                way.run(one)
                cores[way.name] = min(cores[way.name], time.process_time() - used)
                clock[way.name] = min(clock[way.name], time.perf_counter() - started)
    return {
        way.name: {
            "ms": round(1000 * clock[way.name], 3),
            "ms_of_all_cores": round(1000 * cores[way.name], 3),
            "ratio": round(clock[TODAY] / clock[way.name], 2),
            "kilobytes": round(way.n_bytes / 1000),
            "opens_ms": round(1000 * way.seconds),
            **differences(way),
        }
        for way in found
    }


def _times(way: Way, one: np.ndarray) -> int:
    """Answers that fill a round."""
    way.run(one)
    started = time.perf_counter()
    way.run(one)
    return max(1, min(50, int(_SECONDS_A_ROUND / (time.perf_counter() - started))))


if __name__ == "__main__":
    main()
