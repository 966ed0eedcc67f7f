"""The randomised network: the same numbers in another order, and still a network."""

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from secondread.reading import load_bundle
from secondread.training.compress import in_int8
from secondread.training.heatmaps import maps_of, randomised_model


@pytest.fixture(scope="module")
def served():
    return load_bundle("tuberculosis/paper").model_path.read_bytes()


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (3, 128, 128, 1), dtype=np.uint8)


def weights(model):
    tensors = onnx.load_from_string(model).graph.initializer
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in tensors}


def test_every_weight_tensor_holds_the_same_numbers_in_another_order(served):
    before, after = weights(served), weights(randomised_model(served, random_state=0))
    for name, values in before.items():
        assert np.array_equal(np.sort(values, axis=None), np.sort(after[name], axis=None))
        if values.dtype.kind == "f" and len(np.unique(values)) > 2:
            assert not np.array_equal(values, after[name]), name


def test_what_is_no_weight_stays_as_it_is(served):
    before, after = weights(served), weights(randomised_model(served, random_state=0))
    for name, values in before.items():
        if values.dtype.kind != "f" or values.size == 1:
            assert np.array_equal(values, after[name])


def test_a_tensor_held_twice_is_shuffled_once(served):
    """The last layer's weights stand in the file as a matrix and, for the heat map, as its only row."""
    after = weights(randomised_model(served, random_state=0))
    assert np.array_equal(after["model.fc3.weight"][0], after["select_1"])


def test_a_turned_copy_is_shuffled_alike():
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    names = [("a", values), ("b", np.ascontiguousarray(values.T))]
    graph = onnx.helper.make_graph([], "g", [], [], [numpy_helper.from_array(array, name) for name, array in names])
    after = weights(randomised_model(onnx.helper.make_model(graph).SerializeToString(), random_state=0))
    assert np.array_equal(after["a"], after["b"].T)


def test_weights_kept_as_int8_are_shuffled_too():
    rng = np.random.default_rng(2)
    wide = rng.normal(size=(300, 300)).astype(np.float32)
    nodes = [onnx.helper.make_node("MatMul", ["x", "w"], ["y"])]
    kind = onnx.TensorProto.FLOAT
    ends = [onnx.helper.make_tensor_value_info(name, kind, [1, 300]) for name in ("x", "y")]
    graph = onnx.helper.make_graph(nodes, "g", ends[:1], ends[1:], [numpy_helper.from_array(wide, "w")])
    kept = in_int8(onnx.helper.make_model(graph).SerializeToString())
    before, after = weights(kept)["w.int8"], weights(randomised_model(kept, random_state=0))["w.int8"]
    assert before.dtype == np.int8
    assert np.array_equal(np.sort(before, axis=None), np.sort(after, axis=None))
    assert (before == after).mean() < 0.1


def test_random_states_repeat_and_differ(served, images):
    one, again, other = (maps_of(randomised_model(served, random_state=state), images) for state in (0, 0, 1))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_the_maps_are_those_that_are_served(served, images):
    reader_maps = maps_of(served, images)
    assert reader_maps.shape == (3, 4, 4)
    assert np.allclose(maps_of(served, images[1:2]), reader_maps[1:2], atol=1e-6)
