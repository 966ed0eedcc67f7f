"""OpenVINO in ONNX Runtime's place, where somebody asks for it: the same file by another library (extra `openvino`).

Opened through `session.open_session`. OpenVINO sets no bound on the memory of a network, and reckons in another order:
its probabilities agree with ONNX Runtime's to a thousandth, which a test holds, and not to the last digit.
"""

import threading
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from secondread.errors import ExtraMissing


class Output(NamedTuple):
    """What a network answers with, as ONNX Runtime describes it; a side that is not fixed is None."""

    name: str
    shape: list[int | None]


class OpenVinoSession:
    """A network that answers as ONNX Runtime's InferenceSession does. Safe to share between threads."""

    def __init__(self, model: bytes, *, threads: int):
        """threads: of one answer. Raises ExtraMissing, or RuntimeError for what OpenVINO cannot run."""
        try:
            import openvino
        except ImportError as error:
            raise ExtraMissing.of("reading with OpenVINO", "openvino") from error
        core = openvino.Core()
        facts = {
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",  # processors that know bfloat16 would round to it
        }
        self._compiled = core.compile_model(core.read_model(model=model), "CPU", facts)
        self._outputs = {one.any_name: one for one in self._compiled.outputs}
        self._mine = threading.local()

    def get_outputs(self) -> list[Output]:
        """What it answers with, by name and shape."""
        return [
            Output(name, [None if side.is_dynamic else int(side.get_length()) for side in one.partial_shape])
            for name, one in self._outputs.items()
        ]

    def run(self, names: Sequence[str], feed: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """The outputs of these names, for inputs by name; a thread that asks has a request of its own."""
        request: Any = getattr(self._mine, "request", None)
        if request is None:
            request = self._mine.request = self._compiled.create_infer_request()
        found = request.infer(dict(feed), share_inputs=True)
        return [np.array(found[self._outputs[name]]) for name in names]  # a copy: the next answer takes its place
