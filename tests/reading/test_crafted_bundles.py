"""Bundles made to do harm, their hashes right: each is refused in a sentence before memory is asked for."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from secondread.errors import BundleDamaged, BundleError, BundleForeign
from secondread.reading import Reader, list_bundles, load_bundle, load_gate, own_bundles, use_own_bundles
from secondread.reading.onnx_file import check_network
from secondread.reading.record import record_hash
from secondread.testing.phantoms import chest_phantom, encode

PAPER = load_bundle("tuberculosis/paper")
MOST = 250_000_000  # bytes that a refusal may cost, ONNX Runtime among them


def craft(
    folder: Path, *, record: Callable[[dict[str, Any]], object] = dict, model: bytes | None = None, gate: bool = False
) -> Path:
    """A copy of a shipped bundle, or of the gate, with another record or network and every hash made right."""
    source = PAPER.folder.parents[1] / "gate" if gate else PAPER.folder
    names = ("gate.json", "gate.onnx") if gate else ("bundle.json", "model.onnx")
    folder.mkdir(parents=True)
    table = json.loads((source / names[0]).read_text())
    data = (source / names[1]).read_bytes() if model is None else model
    digest = hashlib.sha256(data).hexdigest()
    if gate:
        table["model_sha256"] = digest
    else:
        table["model"]["sha256"] = digest
        for point in table["operating_points"].values():
            point["weights_sha256"] = digest
    record(table)
    table["sha256"] = record_hash(table)
    (folder / names[0]).write_text(json.dumps(table))
    (folder / names[1]).write_bytes(data)
    return folder


def refused(folder: Path) -> str:
    """Why neither the bundle nor a reader of it can be had, the gate off or on."""
    said = set()
    for gate in (True, False):
        with pytest.raises((BundleForeign, BundleDamaged)) as caught:
            Reader.load(folder, gate=gate)
        said.add(str(caught.value))
    (sentence,) = said
    return sentence


@pytest.fixture(autouse=True)
def cheaply() -> Iterator[None]:
    """No refusal of these takes much memory."""
    status, reset = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    if not reset.is_file():
        yield
        return
    reset.write_text("5")  # the highest that the process held begins anew (proc(5))
    before = _held(status)
    yield
    assert _held(status) - before < MOST


def _held(status: Path) -> int:
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


# --- records ----------------------------------------------------------------------------------------------------------


def _set(*keys: str, to: Any) -> Callable[[dict[str, Any]], None]:
    def change(table: dict[str, Any]) -> None:
        for key in keys[:-1]:
            table = table[key]
        table[keys[-1]] = to

    return change


POINT = ("operating_points", "paper")
RECORDS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "no preprocessing": (_set("prepare", to={}), "a side that is no whole number"),
    "preprocessing is a list": (_set("prepare", to=[]), "no 'prepare'"),
    "an input of a million": (_set("prepare", "size", to=1_000_000), "from 16 to 1024"),
    "an input of minus one": (_set("prepare", "size", to=-1), "from 16 to 1024"),
    "an input of true": (_set("prepare", "size", to=True), "from 16 to 1024"),
    "an input of words": (_set("prepare", "size", to="128"), "from 16 to 1024"),
    "seven channels": (_set("prepare", "channels", to=7), "channels"),
    "another aspect": (_set("prepare", "aspect", to="stretch"), "not known here"),
    "another field": (_set("prepare", "field", to="liver"), "not known here"),
    "a step not known": (_set("prepare", "sharpen", to=1), "not known here"),
    "detail of a million": (_set("prepare", "detail", to=1_000_000), "detail"),
    "a window of NaN": (_set("prepare", "window", to=[float("nan"), 99]), "lies outside 0 to 100"),
    "a window of one end": (_set("prepare", "window", to=[1]), "where they should be"),
    "clahe without end": (_set("prepare", "clahe", to=float("inf")), "lies outside 0 to 100"),
    "smoothing over everything": (_set("prepare", "denoise_sigma", to=1e9), "lies outside 0 to 100"),
    "temperature 0": (_set("temperature", to=0), "'temperature' lies outside"),
    "temperature NaN": (_set("temperature", to=float("nan")), "'temperature' lies outside"),
    "temperature in words": (_set("temperature", to="1.0"), "'temperature' lies outside"),
    "temperature of 400 digits": (_set("temperature", to=10**400), "'temperature' lies outside"),
    "bias without end": (_set("bias", to=float("-inf")), "'bias' lies outside"),
    "a line that falls": (_set("isotonic", to={"logits": [2, 1], "probabilities": [0.1, 0.9]}), "no rising line"),
    "a line of half": (_set("isotonic", to={"logits": [1, 2], "probabilities": [0.1]}), "no rising line"),
    "threshold NaN": (_set(*POINT, "threshold", to=float("nan")), "'threshold' lies outside"),
    "threshold null": (_set(*POINT, "threshold", to=None), "'threshold' lies outside"),
    "threshold 2": (_set(*POINT, "threshold", to=2), "'threshold' lies outside"),
    "half a band": (_set(*POINT, "low", to=0.1), "half a band"),
    "a share of NaN": (_set(*POINT, "sensitivity", to={"value": float("nan")}), "'value' lies outside"),
    "a share in words": (_set(*POINT, "sensitivity", to="high"), "no share"),
    "a point with more": (_set(*POINT, "run", to="rm"), "lacks something"),
    "a point with less": (lambda table: table["operating_points"]["paper"].pop("n"), "lacks something"),
    "no points": (_set("operating_points", to={}), "default operating point"),
    "another default": (_set("default_operating_point", to="none"), "default operating point"),
    "a map of nothing": (_set("heatmap", "extent", to=[1, 1, 0, 0]), "covers nothing"),
    "a map without end": (_set("heatmap", "extent", to=[0, 0, 1e300, 1]), "lies outside"),
    "a map's zero NaN": (_set("heatmap", "zero", to=float("nan")), "'zero' lies outside"),
    "no heat map": (lambda table: table.pop("heatmap"), "no 'heatmap'"),
    "a name with a way": (_set("name", to="../../best"), "'name' is not as it should be"),
    "a task that is a path": (_set("task", to="/etc/passwd"), "'task' is not as it should be"),
    "a gate that is a list": (_set("gate", to=[]), "its gate"),
    "members that are words": (_set("members", to="many"), "'members' is no list"),
    "no training": (lambda table: table.pop("training"), "no 'training'"),
}


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_that_no_reader_could_use_is_refused(tmp_path: Path, name: str) -> None:
    change, word = RECORDS[name]
    assert word in refused(craft(tmp_path / "it", record=change))


def test_nothing_but_what_was_changed_is_refused(tmp_path: Path) -> None:
    reader = Reader.load(craft(tmp_path / "it", record=_set("name", to="mine")), gate=False)
    picture = encode(chest_phantom(128, random_state=0), "PNG")
    assert reader.read(picture).probability == Reader.load("tuberculosis/paper", gate=False).read(picture).probability


# --- networks ---------------------------------------------------------------------------------------------------------


def paper() -> onnx.ModelProto:
    return onnx.load(str(PAPER.model_path))


def network(*nodes: onnx.NodeProto, tensors: tuple[onnx.TensorProto, ...] = (), cam: str = "cell") -> bytes:
    """One that takes the picture, and whose answers hang on what `nodes` make as `made`."""
    pixel = helper.make_node("Cast", ["image"], ["pixels"], to=1)
    total = helper.make_node("ReduceSum", ["pixels"], ["total"], keepdims=0)
    more = helper.make_node("ReduceSum", ["made"], ["more"], keepdims=0)
    one = [helper.make_node("Add", ["total", "more"], ["sum"]), helper.make_node("Reshape", ["sum", "one"], ["logit"])]
    answers = [*one, helper.make_node("Reshape", ["sum", cam], ["cam"])]
    shapes = [numpy_helper.from_array(np.ones(n, np.int64), name) for n, name in ((1, "one"), (3, "cell"))]
    graph = helper.make_graph(
        [pixel, total, *nodes, more, *answers],
        "g",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", 128, 128, 1])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("logit", "cam")],
        [*shapes, *tensors],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10).SerializeToString()


def numbers(name: str, *values: int) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(values, np.int64), name)


def floats(name: str, *values: float) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(values, np.float32), name)


def lying(**fields: Any) -> onnx.TensorProto:
    tensor = TensorProto(name="made", data_type=fields.pop("kind", TensorProto.FLOAT))
    for name, value in fields.items():
        (getattr(tensor, name).extend if isinstance(value, list) else lambda v, n=name: setattr(tensor, n, v))(value)
    return tensor


def edited(change: Callable[[onnx.ModelProto], object]) -> bytes:
    model = paper()
    change(model)
    return model.SerializeToString()


def elsewhere(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"


def with_input(model: onnx.ModelProto, index: int, side: int) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[index].dim_value = side


def branch() -> onnx.NodeProto:
    inner = helper.make_graph([], "inner", [], [helper.make_tensor_value_info("x", TensorProto.FLOAT, None)])
    return helper.make_node("If", ["pixels"], ["made"], then_branch=inner, else_branch=inner)


def sizes(operator: str, *inputs: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(operator, list(inputs), ["made"], **attributes)


HUGE = numbers("huge", 10**12)
NETWORKS: dict[str, tuple[Callable[[], bytes], str]] = {
    "a constant of 4 TB": (lambda: network(tensors=(lying(dims=[10**12]),)), "another size than they are said"),
    "the same, value by value": (
        lambda: network(tensors=(lying(dims=[10**12], float_data=[1.0]),)),
        "another size than they are said",
    ),
    "sides that wrap round": (
        lambda: network(tensors=(lying(dims=[2**32, 2**32], raw_data=b""),)),
        "another size than they are said",
    ),
    "sides below nothing": (lambda: network(tensors=(lying(dims=[-1, -4], raw_data=bytes(16)),)), "of a kind"),
    "weights in words": (
        lambda: network(tensors=(lying(dims=[1], kind=TensorProto.STRING, string_data=[b"x"]),)),
        "in words",
    ),
    "weights in another file": (lambda: edited(elsewhere), "weights in other files"),
    "made of a size": (lambda: network(sizes("ConstantOfShape", "huge"), tensors=(HUGE,)), "more memory"),
    "made of a constant size": (
        lambda: network(
            helper.make_node("Constant", [], ["huge"], value=numbers("", 10**6, 10**6)),
            sizes("ConstantOfShape", "huge"),
        ),
        "more memory",
    ),
    "spread out": (lambda: network(sizes("Expand", "total", "huge"), tensors=(HUGE,)), "more memory"),
    "repeated": (lambda: network(sizes("Tile", "x", "huge"), tensors=(HUGE, floats("x", 1))), "more memory"),
    "counted up": (
        lambda: network(sizes("Range", "a", "huge", "b"), tensors=(HUGE, numbers("a", 0), numbers("b", 1))),
        "more memory",
    ),
    "enlarged a million times": (
        lambda: network(sizes("Resize", "pixels", "", "times"), tensors=(floats("times", 1, 1e6, 1e6, 1),)),
        "more memory",
    ),
    "padded by an attribute": (
        lambda: network(sizes("MaxPool", "pixels", kernel_shape=[2, 2], pads=[10**9] * 4)),
        "a number that no network",
    ),
    "a branch": (lambda: network(branch()), "steps within steps"),
    "an operator of other people": (
        lambda: network(sizes("Run", "pixels", domain="com.example")),
        "operators of other people",
    ),
    "an operator set of other people": (
        lambda: edited(lambda model: model.opset_import.append(helper.make_opsetid("com.example", 1))),
        "operators of other people",
    ),
    "an operator that is none of these": (lambda: network(sizes("StringConcat", "pixels", "pixels")), "a step 'String"),
    "a function of its own": (lambda: edited(lambda model: model.functions.add(name="f")), "functions of its own"),
    "lessons of its own": (lambda: edited(lambda model: model.training_info.add()), "functions of its own"),
    "sparse weights": (lambda: edited(lambda model: model.graph.sparse_initializer.add()), "sparse weights"),
    "a picture of another size": (lambda: edited(lambda model: with_input(model, 1, 127)), "does not take one picture"),
    "a picture of a million": (lambda: edited(lambda model: with_input(model, 2, 10**6)), "does not take one picture"),
    "seven channels": (lambda: edited(lambda model: with_input(model, 3, 7)), "does not take one picture"),
    "a picture of floats": (
        lambda: edited(lambda model: setattr(model.graph.input[0].type.tensor_type, "elem_type", 1)),
        "does not take one picture",
    ),
    "two pictures": (
        lambda: edited(lambda model: model.graph.input.append(helper.make_tensor_value_info("b", 1, [1]))),
        "does not take one picture",
    ),
    "no map": (lambda: edited(lambda model: model.graph.output.pop()), "does not answer with"),
    "a map of a million cells": (
        lambda: edited(lambda m: setattr(m.graph.output[1].type.tensor_type.shape.dim[1], "dim_value", 10**6)),
        "more than an answer",
    ),
    "too many steps": (
        lambda: edited(lambda m: m.graph.node.extend([helper.make_node("Relu", ["a"], ["b"])] * 20_000)),
        "more than 20000 steps",
    ),
    "a great many pieces": (lambda: b"\x08\x01" * 600_000, "far more pieces"),
    "nothing": (lambda: b"", "no ONNX file"),
    "text": (lambda: b"this is a letter, not a network", "no ONNX file"),
    "cut short": (lambda: PAPER.model_path.read_bytes()[:-1000], "no ONNX file"),
    "two graphs": (lambda: PAPER.model_path.read_bytes() * 2, "two graphs"),
    # what only shows while it runs
    "a size that is worked out": (
        lambda: network(
            helper.make_node("Mul", ["n", "n"], ["nn"]),
            sizes("ConstantOfShape", "nn", value=floats("", 1.0)),
            tensors=(numbers("n", 10**6),),
        ),
        "asks for too much memory|cannot be run",
    ),
    "an answer without end": (
        lambda: edited(
            lambda model: [
                tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32("nan"), tensor.name))
                for tensor in model.graph.initializer
                if tensor.data_type == TensorProto.FLOAT
            ]
        ),
        "no number",
    ),
    "a map that is none": (lambda: network(sizes("Identity", "pixels"), cam="one"), "another shape"),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_that_would_do_more_than_answer_is_refused(tmp_path: Path, name: str) -> None:
    make, word = NETWORKS[name]
    sentence = refused(craft(tmp_path / "it", model=make()))
    assert any(one in sentence for one in word.split("|")), sentence


def test_a_network_of_ours_made_by_hand_is_let_through(tmp_path: Path) -> None:
    """So that what is refused above is refused for its fault alone."""
    folder = craft(tmp_path / "it", model=network(sizes("Identity", "pixels")))
    assert Reader.load(folder, gate=False).bundle.task.name == "tuberculosis"


@pytest.mark.parametrize("name", list_bundles())
def test_every_network_that_is_shipped_would_pass(name: str) -> None:
    bundle = load_bundle(name)
    spec = bundle.prepare_spec
    check_network(bundle.model_path.read_bytes(), size=spec.size, channels=spec.depth)


def test_no_damage_to_a_network_gives_anything_but_a_refusal() -> None:
    whole, rng = PAPER.model_path.read_bytes(), np.random.default_rng(0)
    heads = np.concatenate([rng.integers(4000, size=250), rng.integers(len(whole), size=50)])
    for at in heads:
        damaged = bytearray(whole)
        damaged[at : at + 3] = rng.bytes(3)
        try:
            check_network(bytes(damaged), size=128, channels=1)
        except ValueError as error:
            assert "its network" in str(error)  # noqa: PT017 - passing is right, too


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["bundle.json", "model.onnx", "evidence.json", "card.md"])
def test_a_file_of_a_gigabyte_is_not_read(tmp_path: Path, name: str) -> None:
    folder = craft(tmp_path / "it")
    with (folder / name).open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(BundleForeign, match="MB that such a file may have"):
        _ = (bundle := load_bundle(folder)).evidence, bundle.card


@pytest.mark.parametrize("name", ["bundle.json", "evidence.json"])
def test_json_without_end_is_refused(tmp_path: Path, name: str) -> None:
    folder = craft(tmp_path / "it")
    (folder / name).write_text('{"a":' * 100_000)
    with pytest.raises(BundleDamaged, match="cannot be read as JSON"):
        _ = load_bundle(folder).evidence


@pytest.mark.parametrize("name", ["bundle.json", "model.onnx", "evidence.json", "task.toml"])
def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path, name: str) -> None:
    folder, outside = craft(tmp_path / "it"), tmp_path / "outside"
    outside.write_bytes((folder / name).read_bytes() if (folder / name).is_file() else b"{}")
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(outside)
    with pytest.raises(BundleForeign, match="a link to another place"):
        _ = load_bundle(folder).evidence


def test_a_folder_may_be_a_link_and_a_pipe_is_no_file(tmp_path: Path) -> None:
    folder = craft(tmp_path / "it")
    (tmp_path / "link").symlink_to(folder)
    assert load_bundle(tmp_path / "link").name == "paper"
    (folder / "model.onnx").unlink()
    os.mkfifo(folder / "model.onnx")
    assert "missing" in refused(folder)


def test_a_folder_of_own_bundles_names_the_crafted_ones_and_keeps_the_others(tmp_path: Path) -> None:
    own = tmp_path / "own" / "tuberculosis"
    for index, (change, _) in enumerate(RECORDS.values()):
        craft(own / f"record{index}", record=change)
    for index, name in enumerate(("a constant of 4 TB", "a branch", "a size that is worked out", "nothing")):
        craft(own / f"network{index}", model=NETWORKS[name][0]())
    craft(own / "good", record=_set("name", to="good"))
    use_own_bundles(str(tmp_path / "own"))
    try:
        found = own_bundles()
    finally:
        use_own_bundles(None)
    assert found.names == ("tuberculosis/good",)
    assert len(found.skipped) == len(RECORDS) + 4
    assert not [why for why in found.skipped.values() if str(tmp_path) in why]


# --- gates ------------------------------------------------------------------------------------------------------------

GATES: dict[str, Callable[[Path], Path]] = {
    "no preprocessing": lambda folder: craft(folder, record=_set("prepare", to={}), gate=True),
    "an input of a million": lambda folder: craft(folder, record=_set("prepare", "size", to=10**6), gate=True),
    "kinds of another number": lambda folder: craft(folder, record=_set("kinds", to=["tuberculosis"]), gate=True),
    "no limits": lambda folder: craft(folder, record=_set("thresholds", to={}), gate=True),
    "a network of a bundle": lambda folder: craft(folder, model=PAPER.model_path.read_bytes(), gate=True),
    "a network of 4 TB": lambda folder: craft(folder, model=NETWORKS["a constant of 4 TB"][0](), gate=True),
    "no network": lambda folder: craft(folder, model=b"", gate=True),
}


@pytest.mark.parametrize("name", GATES)
def test_a_gate_of_another_size_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BundleError):
        load_gate(GATES[name](tmp_path / "gate"))


def test_a_copy_of_the_gate_is_one(tmp_path: Path) -> None:
    shutil.copytree(PAPER.folder.parents[1] / "gate", tmp_path / "gate")
    assert load_gate(tmp_path / "gate").kinds
