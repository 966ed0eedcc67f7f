"""The learned gate: what each verdict becomes, and what one trained on phantoms does."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

import secondread
from secondread.data import load_data
from secondread.errors import BundleDamaged, BundleForeign
from secondread.images import Image
from secondread.reading import Gate, Reader, load_bundle, load_gate, reasons, write_bundle, write_gate
from secondread.reading.gate import Verdict
from secondread.tasks import first_tasks, load_task
from secondread.testing.phantoms import bone_phantom, brain_phantom, chest_phantom, encode
from secondread.training.gate import Plan, finish_gate, train_gate
from secondread.training.gate_data import gather

SHIPPED = Path(secondread.__file__).parent / "bundles" / "gate"
TASKS = first_tasks()
KINDS = (*TASKS, "other", "inverted")
LIMITS = {"probability": 0.5, "distance_low": 10.0, "distance_high": 10.0}
GATE = Gate({"kinds": KINDS, "thresholds": dict.fromkeys(TASKS, LIMITS), "sha256": "0" * 64}, session=None)


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


NAMED = (*KINDS, "turned", "ct", "mri", "lateral", "skull", "ultrasound", "child")
NAMING = Gate({**GATE.record, "kinds": NAMED, "upright": ["tuberculosis"], "named": NAMED[6:]}, session=None)


def named_verdict(kind):
    return Verdict(NAMED, np.eye(len(NAMED))[NAMED.index(kind)], np.ones((2, len(TASKS))))


@pytest.mark.parametrize(
    ("kind", "code"), [("turned", "turned"), ("inverted", "inverted"), ("other", None), ("ct", None)]
)
def test_where_nobody_names_a_task_the_way_a_film_lies_is_still_said(kind, code):
    refusal = NAMING.way_up(named_verdict(kind))
    assert (refusal and refusal.code) == code


@pytest.mark.parametrize(
    ("kind", "task", "code", "said"),
    [
        ("turned", "tuberculosis", "turned", "upside down"),
        ("turned", "fracture", "wrong_part", "chest X-ray"),  # a limb may lie as it likes: this is a turned chest
        ("turned", "brain-tumour", "wrong_kind", "chest X-ray"),
        ("ct", "brain-tumour", "wrong_kind", "CT slice"),
        ("ct", "fracture", "wrong_kind", "CT slice"),
        ("mri", "brain-tumour", "wrong_part", "another part"),
        ("mri", "tuberculosis", "wrong_kind", "MRI slice"),
        ("lateral", "tuberculosis", "wrong_kind", "from the side"),
        ("lateral", "fracture", "wrong_part", "from the side"),
        ("skull", "fracture", "wrong_part", "skull"),
        ("skull", "brain-tumour", "wrong_kind", "skull"),
        ("child", "tuberculosis", "wrong_kind", "child"),
        ("ultrasound", "fracture", "wrong_kind", "ultrasound"),
    ],
)
def test_a_refusal_says_what_the_picture_looks_like(kind, task, code, said):
    refusal = NAMING.refusal(named_verdict(kind), load_task(task))
    assert refusal.code == code
    assert said in refusal.message


def test_what_is_likelier_inverted_than_right_is_called_so_where_the_gate_was_measured_so():
    loose = {**LIMITS, "probability": 0.1}
    gate = Gate({**GATE.record, "thresholds": dict.fromkeys(TASKS, loose)}, session=None)
    measured = Gate({**gate.record, "inverted_from": 0.5}, session=None)
    seen = verdict("inverted", sure=0.6)
    seen.probabilities[KINDS.index("fracture")] = 0.3
    assert gate.refusal(seen, load_task("fracture")) is None
    assert measured.refusal(seen, load_task("fracture")).code == "inverted"
    seen.probabilities[KINDS.index("fracture")] = 0.7
    assert measured.refusal(seen, load_task("fracture")) is None


def test_a_kind_that_is_not_told_reliably_is_not_named():
    gate = Gate({**NAMING.record, "named": ["skull"]}, session=None)
    refusal = gate.refusal(named_verdict("ct"), load_task("fracture"))
    assert refusal.code == "wrong_kind"
    assert "CT" not in refusal.message


def test_a_right_picture_passes_though_another_kind_is_likelier():
    loose = {**LIMITS, "probability": 0.2}
    gate = Gate({**GATE.record, "thresholds": dict.fromkeys(TASKS, loose)}, session=None)
    seen = verdict("other", sure=0.6)
    seen.probabilities[KINDS.index("fracture")] = 0.3
    assert gate.refusal(seen, load_task("fracture")) is None
    assert gate.refusal(seen, load_task("tuberculosis")).code == "wrong_kind"
    assert gate.task_of(seen) == "fracture"


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("ct", "and it looks like a CT slice"),
        ("mri", "and it looks like an MRI slice of another part"),
        ("ultrasound", "and it looks like an ultrasound image"),
        ("other", "looks like nothing that a task reads"),
        ("fracture", "looks most like a bone X-ray, but unlike every one"),
    ],
)
def test_where_no_task_is_found_it_is_said_what_the_picture_looks_like(kind, said):
    told = NAMING.seen(named_verdict(kind), reasons.SAYS_NOTHING)
    assert told.startswith("the file does not say what it shows")
    assert said in told


@pytest.mark.parametrize(
    ("modality", "article"),
    [("MRI slice", "an"), ("X-ray", "an"), ("chest X-ray", "a"), ("CT slice", "a"), ("ultrasound image", "an"),
     ("US image", "a"), ("brain MRI slice", "a"), ("oblique film", "an")],
)  # fmt: skip
def test_the_article_goes_by_the_sound(modality, article):
    assert reasons.tell(reasons.NOT_LIKE_IT, reads=modality).startswith(
        f"this does not look like {article} {modality};"
    )


def test_auto_finds_the_task_only_where_the_gate_lets_the_picture_pass():
    assert GATE.task_of(verdict("fracture")) == "fracture"
    assert GATE.task_of(verdict("fracture", sure=0.45)) is None
    assert GATE.task_of(verdict("fracture", distance=11.0)) is None
    assert GATE.task_of(verdict("other")) is None


def trains(test):
    """A network is trained and exported for it: minutes where much runs beside it."""
    return pytest.mark.peers(pytest.mark.timeout(900)(test))


@pytest.fixture(scope="module")
def gate_folder(tmp_path_factory):
    """A gate trained on phantoms of the three tasks."""
    folder = tmp_path_factory.mktemp("gate")
    manifests = {task: write_manifest_of(folder / task, draw) for task, draw in DRAW.items()}
    pictures = gather(manifests, n_outliers=120)
    plan = Plan(steps=100, batch=32, stages=3)
    model, record = finish_gate(pictures, plan, *train_gate(pictures, plan))
    write_gate(folder / "gate", record=record, model=model)
    return folder / "gate"


DRAW = {"brain-tumour": brain_phantom, "fracture": bone_phantom, "tuberculosis": chest_phantom}


def write_manifest_of(folder, draw):
    """60 pictures to train on and 30 that set thresholds."""
    rows = ["path,label,source,split"]
    folder.mkdir()
    for number in range(90):
        (folder / f"{number}.png").write_bytes(encode(draw(96, random_state=number, lesion=bool(number % 2)), "PNG"))
        rows.append(f"{number}.png,{number % 2},made,{'train' if number < 60 else 'val'}")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    return load_data(folder / "manifest.csv")


def letter(seed):
    sheet = np.full((600, 450, 3), 250, np.uint8)
    for y in range(40, 580, 30):
        cv2.putText(sheet, f"Dear colleague {seed}, thank you for {y}", (20, y), 0, 0.6, (20, 20, 20), 1, cv2.LINE_AA)
    return sheet


@trains
def test_a_trained_gate_lets_its_own_in_and_keeps_the_others_out(gate_folder):
    gate = load_gate(gate_folder)
    for task in TASKS:
        for other, draw in DRAW.items():
            pictures = [Image.from_array(draw(96, random_state=500 + number)) for number in range(20)]
            refused = np.mean([gate.refusal(gate.judge(picture), load_task(task)) is not None for picture in pictures])
            assert refused <= 0.2 if other == task else refused >= 0.8, (task, other)
        letters = [Image.from_array(letter(number)) for number in range(10)]
        assert all(gate.refusal(gate.judge(picture), load_task(task)) for picture in letters)


@trains
def test_a_trained_gate_finds_the_task(gate_folder):
    gate = load_gate(gate_folder)
    for task, draw in DRAW.items():
        found = [gate.task_of(gate.judge(Image.from_array(draw(96, random_state=700 + n)))) for n in range(20)]
        assert np.mean([name == task for name in found]) >= 0.7, found
        assert np.mean([name not in (task, None) for name in found]) <= 0.1, found


@pytest.mark.parametrize("damage", ["record", "model", "missing"])
def test_a_damaged_gate_is_refused(tmp_path, damage):
    copy = shutil.copytree(SHIPPED, tmp_path / "gate")
    assert load_gate(copy).record
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


class Bright(Gate):
    """Takes what is bright all over, as a letter is, for no medical picture, and all else for a chest film."""

    def judge(self, image, *, halves=None):
        return verdict("other" if image.pixels.mean() > 200 else "tuberculosis")


def test_a_reader_refuses_what_its_gate_refuses(phantom_bundle):
    check_reader(phantom_bundle, Bright(GATE.record, session=None))


@trains
def test_a_reader_refuses_what_a_trained_gate_refuses(gate_folder, phantom_bundle):
    check_reader(phantom_bundle, load_gate(gate_folder))


def check_reader(bundle, gate):
    plain = Reader.load(bundle)
    gated = Reader(plain.bundle, plain._session, operating_point=plain.operating_point, limits=plain.limits, gate=gate)
    assert gated.read(letter(2)).refusal.code in ("wrong_kind", "unlike_training", "inverted")
    assert plain.read(letter(2)).refusal is None
    films = [chest_phantom(96, random_state=900 + number) for number in range(10)]
    assert sum(gated.read(picture).refusal is None for picture in films) >= 7


def test_a_bundle_that_asks_for_another_gate_is_refused(phantom_bundle, tmp_path):
    record = {**load_bundle(phantom_bundle).record, "gate": "12345678"}
    write_bundle(tmp_path / "asks", record=record, model=(phantom_bundle / "model.onnx").read_bytes())
    with pytest.raises(BundleDamaged, match="gate 12345678"):
        Reader.load(tmp_path / "asks")
    assert Reader.load(tmp_path / "asks", gate=False).gate is None
