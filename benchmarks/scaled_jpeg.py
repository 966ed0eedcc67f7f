"""Whether large JPEG films may be decoded at a half, a quarter or an eighth (libjpeg's scaling): what answers change.

    python -m benchmarks.scaled_jpeg [--images 40] [--side 2048]

Validation images (SECONDREAD_DATA) enlarged to `side` pixels and packed again, smooth as they are and with the grain
of a film: few of the data's own are so large. Each is read from all its pixels, and from what libjpeg gives at the
smallest scale that still holds `margin` times the network's side. Asked: no probability differs by more than 0.005, and
no gate answers otherwise. Results in benchmarks/results/scaled_jpeg.json.
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
from secondread.data import load_data
from secondread.images import Image, decode
from secondread.reading import Reader, list_bundles
from secondread.tasks import load_task

ASKED = 0.005  # of a probability
GRAIN = 4.0  # standard deviation, grey levels
MARGINS = (1, 2)
SCALES = {2: cv2.IMREAD_REDUCED_GRAYSCALE_2, 4: cv2.IMREAD_REDUCED_GRAYSCALE_4, 8: cv2.IMREAD_REDUCED_GRAYSCALE_8}


def main() -> None:
    """Every shipped bundle on images of its own task."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=40, help="Of a task.")
    parser.add_argument("--side", type=int, default=2048, help="Longest side of the enlarged film, pixels.")
    options = parser.parse_args()
    data, results = data_folder(), {}
    for name in list_bundles():
        reader = Reader.load(name)
        films = _films(data, reader.task.name, options.images, options.side)
        results[name] = [_row(reader, margin, kind, some) for kind, some in films.items() for margin in MARGINS]
    worst = max(row["largest_difference"] for rows in results.values() for row in rows)
    others = sum(row["gate_answers_otherwise"] for rows in results.values() for row in rows)
    save(
        "scaled_jpeg",
        {
            "command": " ".join(["python -m benchmarks.scaled_jpeg", *sys.argv[1:]]),
            "what": "probabilities of a film read from all its pixels and from libjpeg's scaled decoding",
            "asked": f"none differs by more than {ASKED}, and the gate's answers are the same",
            "side": options.side,
            "load_before": os.getloadavg()[0],
            "largest_difference": worst,
            "gate_answers_otherwise": others,
            "holds": worst <= ASKED and not others,
            "bundles": results,
        },
    )


def _films(data: Path, task: str, most: int, side: int) -> dict[str, list[bytes]]:
    """JPEG files of quality 92, by kind."""
    rows = load_data(data / task / "manifest.csv", task=load_task(task)).split("val").rows
    found: dict[str, list[bytes]] = {"smooth": [], "with grain": []}
    rng = np.random.default_rng(0)
    for row in rows[:: max(1, len(rows) // most)][:most]:
        grey = cv2.imread(str(row.path), cv2.IMREAD_GRAYSCALE)
        scale = side / max(grey.shape)
        large = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        grainy = np.clip(large + rng.normal(0, GRAIN, large.shape).astype(np.float32), 0, 255).astype(np.uint8)
        for kind, film in (("smooth", large), ("with grain", grainy)):
            found[kind].append(cv2.imencode(".jpg", film, [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes())
    return found


def _row(reader: Reader, margin: int, kind: str, films: list[bytes]) -> dict[str, Any]:
    """Both ways of every film; of times the sum, each the quicker of two."""
    differences, other, n_scaled, whole, scaled = [], 0, 0, 0.0, 0.0
    for film in films:
        image = decode(film)
        scale = _scale(image, margin * reader.bundle.prepare_spec.size)
        if scale == 1:
            continue
        n_scaled += 1
        whole += min(_seconds(film, cv2.IMREAD_GRAYSCALE) for _ in range(2))
        scaled += min(_seconds(film, SCALES[scale]) for _ in range(2))
        small = cv2.imdecode(np.frombuffer(film, np.uint8), SCALES[scale])
        full, quick = reader.read(image), reader.read(Image(small, 255, "JPEG"))
        if full.probability is None or quick.probability is None:
            other += (full.refusal is None) != (quick.refusal is None)
            continue
        differences.append(abs(full.probability - quick.probability))
    return {
        "films": kind,
        "margin": margin,
        "n": n_scaled,
        "n_read": len(differences),
        "largest_difference": round(max(differences, default=0.0), 4),
        "share_beyond": round(float(np.mean(np.array(differences) > ASKED)), 3) if differences else 0.0,
        "gate_answers_otherwise": other,
        "decoding_times_as_fast": round(whole / scaled, 2) if scaled else None,
    }


def _scale(image: Image, side: int) -> int:
    """The largest reduction that leaves every side at least so long; 1 for none."""
    return max((one for one in SCALES if min(image.width, image.height) // one >= side), default=1)


def _seconds(film: bytes, flag: int) -> float:
    array = np.frombuffer(film, np.uint8)
    started = time.perf_counter()
    cv2.imdecode(array, flag)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
