"""Ways to run one network's ONNX file: ONNX Runtime's own choices, smaller weights, eight bits, OpenVINO, torch."""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from secondread.errors import ExtraMissing
from secondread.reading.session import open_session

Run = Callable[[np.ndarray], dict[str, np.ndarray]]
TODAY = "as served"
_SMALL = 1024  # values: a smaller tensor is no weight worth halving


@dataclass(frozen=True)
class Way:
    """One way: pixels uint8 (1, size, size, channels) to the outputs by name.

    n_bytes: of the file it was opened from; seconds: that opening it took, of all cores together.
    """

    name: str
    run: Run
    n_bytes: int
    seconds: float


def ways(model: bytes, pixels: np.ndarray, *, compiled: bool) -> Iterator[Way]:
    """All that can be had here, today's first. pixels: uint8 (n, size, size, channels), to find the ranges of int8."""
    level = ort.GraphOptimizationLevel
    yield _way(TODAY, model, lambda data: _of_session(open_session(data, side=pixels.shape[1], bounded=True)))
    yield _way("ONNX Runtime's own defaults", model, lambda data: _of_session(_plain(data)))
    for name, chosen in (
        ("no optimisation", level.ORT_DISABLE_ALL),
        ("optimisation: basic", level.ORT_ENABLE_BASIC),
        ("optimisation: extended", level.ORT_ENABLE_EXTENDED),
        ("optimisation: all", level.ORT_ENABLE_ALL),
    ):
        yield _way(f"{name}, 1 thread", model, partial(_on_one, level=chosen))
    yield _way("2 threads", model, lambda data: _of_session(open_session(data, threads=2)))
    saved = optimised(model, level.ORT_ENABLE_ALL)
    yield _way("saved optimised graph, 1 thread", saved, partial(_on_one, level=level.ORT_DISABLE_ALL))
    folded = optimised(model, level.ORT_ENABLE_BASIC)
    yield _way("float16 weights, 1 thread", with_half_weights(folded), _on_one)
    yield _way("int8, 1 thread", quantised(folded, pixels), _on_one)
    with suppress(ExtraMissing):
        yield _way(
            "OpenVINO, 1 thread", model, lambda data: _of_session(open_session(data, threads=1, runtime="openvino"))
        )
    yield from _torch(folded, pixels[:1], compiled=compiled)


def _way(name: str, model: bytes, opened: Callable[[bytes], Run]) -> Way:
    started = time.process_time()
    run = opened(model)
    return Way(name, run, len(model), time.process_time() - started)


def _on_one(model: bytes, *, level: "ort.GraphOptimizationLevel | None" = None) -> Run:
    return _of_session(_plain(model, threads=1, level=level))


def _plain(
    model: bytes, *, threads: int = 0, level: "ort.GraphOptimizationLevel | None" = None, save_to: str = ""
) -> "ort.InferenceSession":
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    if level is not None:
        options.graph_optimization_level = level
    if save_to:
        options.optimized_model_filepath = save_to
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _of_session(session: Any) -> Run:
    names = [one.name for one in session.get_outputs()]
    return lambda pixels: dict(zip(names, session.run(names, {"image": pixels}), strict=True))


def optimised(model: bytes, level: "ort.GraphOptimizationLevel") -> bytes:
    """The file as ONNX Runtime would run it: weights unpacked and folded; at the highest level for this machine."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "optimised.onnx"
        _plain(model, threads=1, level=level, save_to=str(path))
        return path.read_bytes()


def with_half_weights(model: bytes) -> bytes:
    """Weights kept in 16 bits and made 32 when the session opens; what is computed stays in 32."""
    import onnx
    from onnx import helper, numpy_helper

    found = onnx.load_from_string(model)
    graph = found.graph
    for tensor in list(graph.initializer):
        values = numpy_helper.to_array(tensor)
        if values.dtype == np.float32 and values.size >= _SMALL:
            half = numpy_helper.from_array(values.astype(np.float16), f"{tensor.name}.half")
            graph.initializer.remove(tensor)
            graph.initializer.append(half)
            graph.node.insert(0, helper.make_node("Cast", [half.name], [tensor.name], to=onnx.TensorProto.FLOAT))
    return bytes(found.SerializeToString())


def quantised(model: bytes, pixels: np.ndarray) -> bytes:
    """Static int8 of convolutions and what stands between them, a scale a channel; ranges as found on these pixels."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Pictures(CalibrationDataReader):
        def __init__(self) -> None:
            self._left = iter(pixels)

        def get_next(self) -> "dict[str, np.ndarray] | None":
            one = next(self._left, None)
            return None if one is None else {"image": one[None]}

    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "model.onnx", Path(folder) / "int8.onnx"
        source.write_bytes(model)
        quantize_static(
            source,
            target,
            Pictures(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "Add", "Clip"],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        return target.read_bytes()


def _torch(folded: bytes, one: np.ndarray, *, compiled: bool) -> Iterator[Way]:
    import onnx
    import torch

    from benchmarks._onnx_torch import Steps

    torch.set_num_threads(1)
    names = [one.name for one in onnx.load_from_string(folded).graph.output]

    def of(steps: Callable[..., Any]) -> Run:
        def run(pixels: np.ndarray) -> dict[str, np.ndarray]:
            with torch.inference_mode():
                found = steps(torch.from_numpy(pixels))
            return {name: one.numpy() for name, one in zip(names, found, strict=True)}

        return run

    def eager(data: bytes) -> Steps:
        return Steps(onnx.load_from_string(data)).eval()

    def by_compiler(data: bytes) -> Run:
        torch._dynamo.reset()
        run = of(torch.compile(eager(data), fullgraph=True))
        run(one)  # it compiles at the first answer
        return run

    yield _way("torch, eager, 1 thread", folded, lambda data: of(eager(data)))
    if compiled:
        yield _way("torch, compiled, 1 thread", folded, by_compiler)
