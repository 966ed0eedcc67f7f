"""The learned gate: what each verdict becomes, and what the shipped one does with right and wrong pictures."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from secondread.data import load_data
from secondread.errors import BundleDamaged, BundleForeign
from secondread.images import Image, decode
from secondread.reading import Gate, Reader, default_bundles, load, load_gate, shipped_gate
from secondread.reading._learned_gate import Verdict
from secondread.tasks import list_tasks, load_task

TASKS = list_tasks()
KINDS = (*TASKS, "other", "inverted")
LIMITS = {"probability": 0.5, "distance_low": 10.0, "distance_high": 10.0}
GATE = Gate({"kinds": KINDS, "thresholds": dict.fromkeys(TASKS, LIMITS), "sha256": "0" * 64}, session=None)
SHIPPED = Path(load.__code__.co_filename).parents[1] / "bundles" / "gate"


def verdict(kind, *, sure=0.95, distance=1.0):
    probabilities = np.full(len(KINDS), (1 - sure) / (len(KINDS) - 1))
    probabilities[KINDS.index(kind)] = sure
    return Verdict(KINDS, probabilities, np.full((2, len(TASKS)), distance))


@pytest.mark.parametrize(
    ("seen", "task", "code"),
    [
        (verdict("fracture"), "fracture", None),
        (verdict("tuberculosis"), "fracture", "wrong_part"),
        (verdict("fracture"), "tuberculosis", "wrong_part"),
        (verdict("brain-tumour"), "tuberculosis", "wrong_kind"),
        (verdict("fracture"), "brain-tumour", "wrong_kind"),
        (verdict("other"), "fracture", "wrong_kind"),
        (verdict("inverted"), "fracture", "inverted"),
        (verdict("fracture", sure=0.45), "fracture", "unlike_training"),
        (verdict("fracture", distance=11.0), "fracture", "unlike_training"),
    ],
)
def test_a_verdict_becomes_a_refusal_with_a_code_and_a_sentence(seen, task, code):
    refusal = GATE.refusal(seen, load_task(task))
    assert (refusal and refusal.code) == code
    assert refusal is None or len(refusal.message) > 30


def test_auto_believes_the_gate_only_when_it_is_sure():
    assert GATE.task_of(verdict("fracture")) == "fracture"
    assert GATE.task_of(verdict("fracture", sure=0.6)) is None
    assert GATE.task_of(verdict("other")) is None


needs_shipped = pytest.mark.skipif(shipped_gate() is None, reason="no gate is shipped")


@needs_shipped
@pytest.mark.parametrize("damage", ["record", "model", "missing"])
def test_a_damaged_gate_is_refused(tmp_path, damage):
    copy = shutil.copytree(SHIPPED, tmp_path / "gate")
    if damage == "record":
        table = json.loads((copy / "gate.json").read_text())
        table["thresholds"]["fracture"]["probability"] = 0.0
        (copy / "gate.json").write_text(json.dumps(table))
    elif damage == "model":
        (copy / "gate.onnx").write_bytes(b"junk")
    else:
        (copy / "gate.json").unlink()
    with pytest.raises((BundleDamaged, BundleForeign)):
        load_gate(copy)


def letter(seed):
    sheet = np.full((600, 450, 3), 250, np.uint8)
    for y in range(40, 580, 30):
        cv2.putText(sheet, f"Dear colleague {seed}, thank you for {y}", (20, y), 0, 0.6, (20, 20, 20), 1, cv2.LINE_AA)
    return sheet


@needs_shipped
@pytest.mark.parametrize("task", TASKS)
def test_a_letter_is_refused_for_every_task(task):
    refusal = load(task).read(letter(1)).refusal
    assert refusal is not None
    assert refusal.code in ("wrong_kind", "unlike_training")
    assert load(task, gate=False).read(letter(1)).refusal is None


@needs_shipped
@pytest.mark.data
@pytest.mark.parametrize("task", TASKS)
def test_right_pictures_pass_and_those_of_other_tasks_do_not(task, data_folder):
    gate = shipped_gate()
    for other in TASKS:
        rows = load_data(data_folder / other / "manifest.csv").split("test").rows[::5]
        refused = np.mean(
            [gate.refusal(gate.judge(decode(r.path.read_bytes())), load_task(task)) is not None for r in rows]
        )
        assert refused <= 0.05 if other == task else refused >= 0.97, other


@needs_shipped
@pytest.mark.data
def test_auto_finds_the_task_of_a_picture_without_dicom_facts(data_folder):
    for task in TASKS:
        rows = load_data(data_folder / task / "manifest.csv").split("test").rows[::20]
        readings = list(load("auto").read_many(row.path for row in rows))
        assert np.mean([reading.task == task for reading in readings]) >= 0.95


@needs_shipped
def test_the_shipped_bundles_were_measured_with_the_shipped_gate():
    for task, name in default_bundles().items():
        assert Reader.load(f"{task}/{name}").gate.id == shipped_gate().id


def test_a_bundle_of_ones_own_has_no_learned_gate(phantom_bundle):
    assert Reader.load(phantom_bundle).gate is None
    assert Reader.load(phantom_bundle).read(Image.from_array(letter(2))).refusal is None
