"""What a gate lets in and keeps out, on pictures that it was not trained on and that set no threshold."""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from secondread.data import Manifest, Row
from secondread.data.split import part_of
from secondread.errors import BundleForeign
from secondread.images import Image, decode
from secondread.reading import Gate, load_gate, shipped_gate
from secondread.stats.proportions import clopper_pearson
from secondread.tasks import load_task
from secondread.training.gate_data import upright
from secondread.training.gate_pictures import draw_outliers

_N_OUTLIERS = 2000
Way = Callable[[np.ndarray], np.ndarray]
_QUARTERS: tuple[Way, ...] = (np.rot90, partial(np.rot90, k=2), partial(np.rot90, k=3))


def measure_gate(manifests: Mapping[str, Manifest], folder: Path | None = None, *, command: str = "") -> dict[str, Any]:
    """Shares with n and 95 % Clopper–Pearson intervals.

    `right`: accepted, by task and source; of tasks that take films at any turn, turned ones too. `task_found`: by
    `--task auto`, by task and source. `wrong`: refused, for each task: the other tasks' pictures, its own inverted,
    its own turned where the task reads upright films, and outliers of kinds held out from training.
    Raises BundleForeign where there is no gate.
    """
    gate = load_gate(folder) if folder is not None else shipped_gate()
    if gate is None:
        raise BundleForeign("no gate is shipped; give --gate, or train one with `secondread gate train`")
    measured = {task: _measured_rows(manifest) for task, manifest in manifests.items()}
    right, found, wrong = {}, {}, {}
    standing = upright(measured)
    for task, rows in measured.items():
        for source, chosen in _by_source(rows).items():
            verdicts = _verdicts(gate, _images(chosen))
            name = f"{task}/{source}"
            right[name] = _share(sum(gate.refusal(v, load_task(task)) is None for v in verdicts), len(verdicts))
            found[name] = _share(sum(gate.task_of(v) == task for v in verdicts), len(verdicts))
            if task not in standing:
                verdicts = _verdicts(gate, _turned(_images(chosen), _QUARTERS))
                right[f"{name}, turned"] = _share(
                    sum(gate.refusal(v, load_task(task)) is None for v in verdicts), len(verdicts)
                )
    for task in measured:
        for kind, images in _wrong(task, measured):
            refusals = [gate.refusal(verdict, load_task(task)) for verdict in _verdicts(gate, images)]
            codes = [refusal.code for refusal in refusals if refusal is not None]
            counted = {code: codes.count(code) for code in sorted(set(codes))}
            wrong[f"{task} given {kind}"] = _share(len(codes), len(refusals)) | {"codes": counted}
    return {
        "date": date.today().isoformat(),
        "command": command,
        "right": right,
        "task_found": found,
        "wrong": wrong,
        "right_in_all": _total(right),
        "task_found_in_all": _total(found),
        "wrong_in_all": _total(wrong),
    }


def _measured_rows(manifest: Manifest) -> list[Row]:
    return [
        row for row, group in zip(manifest.rows, manifest.groups, strict=True) if part_of(row.split, group) == "test"
    ]


def _by_source(rows: Iterable[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(f"{row.source} ({row.split})", []).append(row)
    return dict(sorted(found.items()))


def _wrong(task: str, measured: Mapping[str, list[Row]]) -> Iterable[tuple[str, Iterable[Image]]]:
    for other, rows in measured.items():
        if other != task:
            yield f"{other} images", _images(rows)
    yield "its own images, inverted", (_inverted(image) for image in _images(measured[task]))
    if task in upright([task]):
        yield "its own images, turned", _turned(_images(measured[task]), (*_QUARTERS, np.flipud))
    outliers: dict[str, list[Image]] = {}
    for kind, picture in draw_outliers(_N_OUTLIERS, held_out=True, random_state=7):
        outliers.setdefault(kind, []).append(Image.from_array(picture))
    for kind, images in sorted(outliers.items()):
        yield f"a {kind}", images


def _images(rows: Iterable[Row]) -> Iterable[Image]:
    return (decode(row.path.read_bytes()) for row in rows)


def _turned(images: Iterable[Image], ways: tuple[Way, ...]) -> Iterable[Image]:
    """Each in one of the ways, in turn."""
    for number, image in enumerate(images):
        yield replace(image, pixels=np.ascontiguousarray(ways[number % len(ways)](image.pixels)))


def _inverted(image: Image) -> Image:
    return replace(image, pixels=(image.full_scale - image.pixels).astype(image.pixels.dtype))


def _verdicts(gate: Gate, images: Iterable[Image]) -> list[Any]:
    with ThreadPoolExecutor() as pool:
        return list(pool.map(gate.judge, images))


def _share(count: int, n: int) -> dict[str, Any]:
    low, high = clopper_pearson(count, n)
    return {"value": round(count / n, 4) if n else None, "low": round(low, 4), "high": round(high, 4), "n": n}


def _total(parts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    n = sum(part["n"] for part in parts.values())
    return _share(round(sum((part["value"] or 0) * part["n"] for part in parts.values())), n)
