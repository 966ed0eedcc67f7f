"""Bundles: whole or refused, written at once or not at all."""

import json
import shutil

import pytest

from secondread.errors import BundleDamaged, BundleError, BundleForeign, CannotOpen, UnknownName
from secondread.reading import Reader, default_bundles, list_bundles, load_bundle, shipped_gate, write_bundle
from secondread.tasks import list_tasks


@pytest.fixture
def copy(phantom_bundle, tmp_path):
    return shutil.copytree(phantom_bundle, tmp_path / "copy")


def edit(path, change):
    table = json.loads(path.read_text())
    change(table)
    path.write_text(json.dumps(table))


def test_every_task_has_a_default_bundle_that_loads():
    assert set(default_bundles()) == set(list_tasks())
    for task, name in default_bundles().items():
        assert f"{task}/{name}" in list_bundles()
        bundle = load_bundle(task)
        assert bundle.task.name == task
        assert bundle.evidence["results"]["test"]["n"] > 0
        assert bundle.card.startswith(f"# {bundle.task.title}")
        assert Reader.load(task).operating_point.name == bundle.record["default_operating_point"] == "screening"
        assert bundle.record["gate"] == shipped_gate().id


def test_every_task_keeps_the_papers_bundle_beside_it():
    for task in list_tasks():
        assert Reader.load(f"{task}/paper").operating_point.name == "paper"


def test_shipped_bundles_stay_small():
    sizes = [path.stat().st_size for name in list_bundles() for path in load_bundle(name).folder.iterdir()]
    assert sum(sizes) < 40_000_000


DAMAGES = {
    "a weight changed": lambda f: flip_byte(f / "model.onnx"),
    "model cut": lambda f: (f / "model.onnx").write_bytes((f / "model.onnx").read_bytes()[:-1]),
    "model missing": lambda f: (f / "model.onnx").unlink(),
    "threshold edited": lambda f: edit(
        f / "bundle.json", lambda t: t["operating_points"]["paper"].update(threshold=0.1)
    ),
    "temperature edited": lambda f: edit(f / "bundle.json", lambda t: t.update(temperature=2.0)),
    "record cut": lambda f: (f / "bundle.json").write_text((f / "bundle.json").read_text()[:-20]),
}
FOREIGN = {
    "no record": lambda f: (f / "bundle.json").unlink(),
    "another program's": lambda f: (f / "bundle.json").write_text('{"format": "other"}'),
    "a list": lambda f: (f / "bundle.json").write_text("[]"),
    "a later version": lambda f: edit(f / "bundle.json", lambda t: t.update(version=99)),
}


def flip_byte(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_bundle_is_refused(copy, name):
    DAMAGES[name](copy)
    with pytest.raises(BundleDamaged):
        load_bundle(copy)


@pytest.mark.parametrize("name", FOREIGN)
def test_foreign_bundle_is_refused(copy, name):
    FOREIGN[name](copy)
    with pytest.raises(BundleForeign):
        load_bundle(copy)


def test_evidence_of_another_bundle_is_refused(copy):
    edit(copy / "evidence.json", lambda t: t.update(bundle="tuberculosis/other@12345678"))
    with pytest.raises(BundleDamaged, match="measured on"):
        _ = load_bundle(copy).evidence


def test_operating_point_of_another_model_is_refused(phantom_bundle, tmp_path):
    record = dict(load_bundle(phantom_bundle).record)
    point = {**record["operating_points"]["paper"], "weights_sha256": "0" * 64}
    write = {**record, "operating_points": {"paper": point}}
    bundle = write_bundle(tmp_path / "new", record=write, model=(phantom_bundle / "model.onnx").read_bytes())
    with pytest.raises(BundleDamaged, match="another model"):
        bundle.operating_point()


def test_names_that_are_not_there():
    with pytest.raises(UnknownName, match="tuberculosis"):
        load_bundle("tuberculosys")
    with pytest.raises(UnknownName):
        load_bundle("tuberculosis/best-of-all")
    with pytest.raises(CannotOpen):
        load_bundle("/nowhere/bundle")


def test_writing_replaces_a_bundle_whole_and_leaves_nothing_beside(phantom_bundle, tmp_path):
    record, model = load_bundle(phantom_bundle).record, (phantom_bundle / "model.onnx").read_bytes()
    target = tmp_path / "target"
    first = write_bundle(target, record=record, model=model)
    (target / "card.md").write_text("old card")
    second = write_bundle(target, record={**record, "temperature": 2.0}, model=model)
    assert first.id != second.id
    assert {path.name for path in tmp_path.iterdir()} == {"target"}
    assert {path.name for path in target.iterdir()} == {"model.onnx", "bundle.json"}


def test_writing_never_replaces_what_is_not_a_bundle(phantom_bundle, tmp_path):
    (tmp_path / "thesis.doc").write_text("years of work")
    with pytest.raises(BundleError, match="other files"):
        write_bundle(tmp_path, record=load_bundle(phantom_bundle).record, model=b"")
    assert (tmp_path / "thesis.doc").read_text() == "years of work"


def test_a_failure_while_writing_leaves_the_old_bundle(phantom_bundle, tmp_path):
    record, model = load_bundle(phantom_bundle).record, (phantom_bundle / "model.onnx").read_bytes()
    old = write_bundle(tmp_path / "target", record=record, model=model)
    with pytest.raises(TypeError):
        write_bundle(tmp_path / "target", record={**record, "temperature": object()}, model=model)
    assert load_bundle(tmp_path / "target").id == old.id
    assert {path.name for path in tmp_path.iterdir()} == {"target"}


def test_a_bundle_is_shown_in_a_line() -> None:
    bundle = load_bundle("tuberculosis/paper")
    assert repr(bundle) == f"<Bundle {bundle.id} in {str(bundle.folder)!r}>"
