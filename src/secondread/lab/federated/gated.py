"""The shipped gate at a site: what it refuses teaches nothing there and chooses nothing, and is counted."""

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from secondread.data import Manifest, Row
from secondread.errors import ImageError, TrainingError
from secondread.images import decode
from secondread.lab.federated.shares import SiteData
from secondread.reading import shipped_gate
from secondread.tasks import Task


def without_refused(data: SiteData, task: Task) -> SiteData:
    """The site's images without those of `train` and `val` that the shipped gate refuses, which `refused` counts.

    Test images stay: what the bundle's own gate does to them is measured there. For a task that the gate does not know
    all stay; so does what cannot be read, of which the cache tells. Raises TrainingError if a class is left without
    images, in a sentence that names no file.
    """
    gate = shipped_gate()
    if gate is None or not gate.knows(task):
        return data

    def code(row: Row) -> str:
        try:
            image = decode(row.path.read_bytes())
        except (ImageError, OSError):
            return ""
        refusal = gate.refusal(gate.judge(image), task)
        return "" if refusal is None else refusal.code

    refused: Counter[str] = Counter()
    kept: dict[str, Manifest] = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for name, part in (("train", data.train), ("val", data.val)):
            codes = list(pool.map(code, part.rows))
            refused.update(one for one in codes if one)
            rows = tuple(row for row, one in zip(part.rows, codes, strict=True) if not one)
            kept[name] = Manifest(rows, part.folder)
    for name, part in kept.items():
        before = data.train if name == "train" else data.val
        if {row.label for row in part.rows} != {row.label for row in before.rows}:
            told = ", ".join(f"{count} {code}" for code, count in sorted(refused.items()))
            raise TrainingError(
                f"the shipped gate refuses so much of site '{data.name}' ({told}) that {len(part)} images are left to "
                f"{'learn from' if name == 'train' else 'choose by'} and a class is missing among them; is this the "
                "right collection? --no-gate takes all of it"
            )
    return replace(data, train=kept["train"], val=kept["val"], refused=dict(sorted(refused.items())))
