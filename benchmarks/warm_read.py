"""Many images in a warm process, with heat maps: read_many on all cores against a torch script on one thread."""

import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import torch

from benchmarks._common import make_films, save, weights_of
from benchmarks.plain import plain_network, plain_read
from secondread.images import decode
from secondread.reading import Reader

ROUNDS = 5
TASK, CHANNELS, MAP_SIDE = "tuberculosis", 1, 512
SETS = {  # the small ones first: what large images leave in the allocator slows them by a quarter
    "small": {"n": 2000, "height": 400, "width": 400, "distinct": 50},
    "large": {"n": 100, "height": 2500, "width": 2000, "distinct": 10},
}


def ours(reader: Reader, paths: list[Path]) -> None:
    """A reading and a heat map of each."""
    for reading in reader.read_many(paths):
        assert reading.heatmap is not None, "every film is read"
        reading.heatmap.strength(longest_side=MAP_SIDE)


def plain(network: torch.nn.Sequential, paths: list[Path]) -> None:
    """The same from the script, image by image."""
    for path in paths:
        plain_read(network, str(path), CHANNELS, map_side=MAP_SIDE)


def decoding(paths: list[Path]) -> None:
    """Nothing but our decoder, on all cores."""
    with ThreadPoolExecutor() as pool:
        for _ in pool.map(lambda path: decode(path.read_bytes()).width, paths):
            pass


def seconds(work: Callable[[], None]) -> float:
    """Wall time of one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def measure(name: str, folder: Path, reader: Reader, network: torch.nn.Sequential) -> dict[str, object]:
    """Rounds in turn, medians, and the ratio of each round."""
    paths = make_films(folder, **SETS[name])
    runs: dict[str, list[float]] = {"secondread": [], "plain": [], "decoding alone": []}
    for round_number in range(ROUNDS + 1):
        found = {
            "secondread": seconds(lambda: ours(reader, paths)),
            "plain": seconds(lambda: plain(network, paths)),
            "decoding alone": seconds(lambda: decoding(paths)),
        }
        if round_number:  # the first warms up
            for label, value in found.items():
                runs[label].append(value)
    medians = {label: statistics.median(values) for label, values in runs.items()}
    return {
        "images": f"{SETS[name]['n']} JPEG of {SETS[name]['width']} × {SETS[name]['height']}",
        "images_a_second": {label: round(SETS[name]["n"] / value, 1) for label, value in medians.items()},
        "times_as_many_as_plain": round(medians["plain"] / medians["secondread"], 2),
        "time_over_decoding_alone": round(medians["secondread"] / medians["decoding alone"], 2),
    }


def main() -> None:
    """Both sets. The script runs on one thread, as such scripts are."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        network = plain_network(CHANNELS)
        network.load_state_dict(torch.load(weights_of(TASK, folder), weights_only=True))
        reader = Reader.load(f"{TASK}/paper", gate=False)  # it would refuse these films, which show no chest
        results = {kind: measure(kind, folder, reader, network.eval()) for kind in SETS}
    asked = {"large": "at least 2 times plain, at most 1.25 of decoding alone", "small": "at least 4 times plain"}
    save(
        "warm_read",
        {
            "what": "images a second with heat maps, median of rounds in turn",
            "rounds": ROUNDS,
            "asked": asked,
            "cv2_threads": cv2.getNumThreads(),
            **results,
        },
    )


if __name__ == "__main__":
    main()
