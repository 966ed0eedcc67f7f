"""The same network with nothing learnt left in it: for the sanity test of heat maps (Adebayo et al., NeurIPS 2018)."""

import numpy as np

from secondread.errors import ExtraMissing

_BATCH = 64


def randomised_model(model: bytes, *, random_state: int) -> bytes:
    """The ONNX file with the numbers of every weight tensor shuffled within it.

    What was learnt is gone; the scale of the weights stays, so that activations stay in their range. A tensor that the
    file holds twice, also turned about (as the closed form of a heat map may need it), is shuffled once.
    """
    try:
        import onnx
        from onnx import numpy_helper
    except ModuleNotFoundError as error:
        raise ExtraMissing.of("the randomised-weights test of heat maps", "train") from error
    graph = onnx.load_from_string(model)
    rng = np.random.default_rng(random_state)
    done: list[tuple[np.ndarray, np.ndarray]] = []
    for tensor in graph.graph.initializer:
        values = numpy_helper.to_array(tensor)
        # shapes, indices and single factors are not weights; int8 holds those of `compress.in_int8`
        if not (values.dtype.kind == "f" or values.dtype == np.int8) or values.size < 2:
            continue
        tensor.CopyFrom(numpy_helper.from_array(_shuffled(values, done, rng), tensor.name))
    return graph.SerializeToString()


def maps_of(model: bytes, images: np.ndarray) -> np.ndarray:
    """The coarse maps of prepared images, uint8 (n, size, size, channels) → float32 (n, rows, columns)."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    parts = [session.run(["cam"], {"image": images[at : at + _BATCH]})[0] for at in range(0, len(images), _BATCH)]
    return np.concatenate(parts)


def _shuffled(values: np.ndarray, done: list[tuple[np.ndarray, np.ndarray]], rng: np.random.Generator) -> np.ndarray:
    for before, after in done:
        if before.size != values.size:
            continue
        if np.array_equal(before.ravel(), values.ravel()):
            return after.reshape(values.shape)
        if before.ndim == 2 and before.T.shape == values.shape and np.array_equal(before.T, values):
            return np.ascontiguousarray(after.T)
    shuffled = rng.permutation(values.ravel()).reshape(values.shape)
    done.append((values, shuffled))
    return shuffled
