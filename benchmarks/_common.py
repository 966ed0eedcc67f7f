"""What the benchmarks share: weights for the plain script, made-up films, and where results go."""

import json
import os
import platform
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import cv2
import numpy as np

# Elsewhere for trials, so that no figure of one is taken for a result.
RESULTS = Path(os.environ.get("BENCHMARK_RESULTS") or Path(__file__).parent / "results")
QUICK = Path(__file__).parents[1] / "build/quick"


def data_folder() -> Path:
    """Of the benchmark data: a folder with a manifest.csv for each task."""
    if not os.environ.get("SECONDREAD_DATA"):
        sys.exit("Set SECONDREAD_DATA to the folder of the benchmark data.")
    return Path(os.environ["SECONDREAD_DATA"])


def call(*args: str | Path) -> None:
    """One command of secondread, with this interpreter; its failure ends the benchmark."""
    subprocess.run([sys.executable, "-m", "secondread.cli", *map(str, args)], check=True)


def weights_of(task: str, folder: Path) -> Path:
    """The shipped paper bundle's weights as the plain script's state dict."""
    import onnx
    import torch
    from onnx import numpy_helper

    from secondread.reading import load_bundle

    model = onnx.load(str(load_bundle(f"{task}/paper").model_path))
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    state = {}
    for layer, number in (("fc1", 7), ("fc2", 9), ("fc3", 11)):
        for part in ("weight", "bias"):
            state[f"{number}.{part}"] = arrays[f"model.{layer}.{part}"]
    # The exporter folds the four shifted kernels into one tensor; the first of them is the kernel, top left in 6×6.
    kernels = sorted((array for array in arrays.values() if array.ndim == 4), key=lambda array: array.shape[1])
    biases = [array for array in arrays.values() if array.shape in ((24,), (64,))]
    for number, kernel, bias in zip((0, 3), kernels, sorted(biases, key=len), strict=True):
        state[f"{number}.weight"], state[f"{number}.bias"] = (
            kernel[: len(kernel) // 4, :, :5, :5],
            bias[: len(bias) // 4],
        )
    target = folder / f"{task}.pt"
    torch.save({name: torch.from_numpy(np.array(array)) for name, array in state.items()}, target)
    return target


def make_films(folder: Path, *, n: int, height: int, width: int, distinct: int) -> list[Path]:
    """JPEG films of noise over soft shapes, as large and as hard to decode as real ones. `distinct` of them differ."""
    rng = np.random.default_rng(0)
    files = []
    for _ in range(distinct):
        soft = cv2.resize(rng.random((12, 10)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
        film = np.clip(soft * 200 + rng.normal(0, 4, soft.shape) + 20, 0, 255).astype(np.uint8)
        files.append(cv2.imencode(".jpg", film, [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes())
    paths = [folder / f"{width}x{height}-{number:04d}.jpg" for number in range(n)]
    for number, path in enumerate(paths):
        path.write_bytes(files[number % distinct])
    return paths


def save(name: str, table: dict[str, Any], folder: Path = RESULTS, *, quiet: bool = False) -> None:
    """Print a result, unless `quiet`, and keep it, dated, with the machine and the command."""
    machine = {"cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
    full = {"date": date.today().isoformat(), "command": f"python -m benchmarks.{name}", "machine": machine, **table}
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(full, indent=1, ensure_ascii=False)
    (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    if not quiet:
        sys.stdout.write(text + "\n")
