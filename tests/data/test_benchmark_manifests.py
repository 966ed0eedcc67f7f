"""The benchmark manifests hold what their description says."""

from collections import Counter
from pathlib import Path

import pytest

from secondread.data import load_data, split
from secondread.tasks import load_task

COUNTS = {  # task: {source: (negatives, positives)}
    "tuberculosis": {
        "shenzhen": (257, 265),
        "newdelhi": (78, 78),
        "montgomery": (59, 39),
        "tbx11k": (0, 300),
        "nih": (526, 0),
    },
    "brain-tumour": {"lgg": (1815, 1101), "web": (332, 314), "cheng": (0, 1050), "openms": (230, 0)},
    "fracture": {"fracatlas": (2773, 604), "veda": (859, 855), "mura": (150, 151)},
}
WEB = {"navoneel", "br35h", "sartaj"}  # described as one


@pytest.mark.data
@pytest.mark.parametrize("name", sorted(COUNTS))
def test_counts_are_as_described(data_folder: Path, name: str) -> None:
    manifest = load_data(data_folder / name / "manifest.csv", task=load_task(name))
    found = Counter(("web" if row.source in WEB else row.source, row.label) for row in manifest.rows)
    assert found == Counter(
        {(source, label): count for source, pair in COUNTS[name].items() for label, count in enumerate(pair) if count}
    )
    assert manifest.divided() == manifest.divided("patient") == {}
    assert {"train", "val", "test"} <= set(manifest.splits())


@pytest.mark.data
@pytest.mark.parametrize("name", sorted(COUNTS))
def test_a_new_split_keeps_groups_whole_and_other_hospitals_apart(data_folder: Path, name: str) -> None:
    manifest = load_data(data_folder / name, task=load_task(name))
    done = split(manifest, random_state=1)
    assert done.divided() == {}
    shared = [row for row in done.rows if row.split in ("train", "val", "test")]
    for part, fraction in (("train", 0.7), ("val", 0.1), ("test", 0.2)):
        assert done.splits()[part] / len(shared) == pytest.approx(fraction, abs=0.01)
        positives = sum(row.label for row in shared) / len(shared)
        assert done.split(part).labels.mean() == pytest.approx(positives, abs=0.02)
    kept = {
        row.name: row.split for row in manifest.rows if row.split.startswith("external") or row.split == "localisation"
    }
    assert {row.name: row.split for row in done.rows if row.name in kept} == kept
