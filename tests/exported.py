"""An architecture is traced for ONNX once in a process; the next network of it has its weights laid into that graph.

torch takes a second or two for each, which tests of training would spend on the same graph again and again. What comes
of it goes through the parity check of `export_onnx` as ever.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import nn

_traced: dict[Any, bytes] = {}  # before constants are folded: the weights are still as the network names them


class Program:
    """What `torch.onnx.export` gives, as far as it is used."""

    def __init__(self, model: onnx.ModelProto):
        self._model = model

    def save(self, target: io.BytesIO) -> None:
        """As bytes."""
        target.write(self._model.SerializeToString())


@contextmanager
def traced_once() -> Iterator[None]:
    """What `torch.onnx.export` does meanwhile."""
    from onnxscript.optimizer import optimize

    def export(served: nn.Module, args: tuple[torch.Tensor, ...], **how: Any) -> Program:
        weights = served.state_dict()
        shapes = [(name, tuple(value.shape)) for name, value in weights.items()]
        key = (repr(served), getattr(served, "mirrored", None), tuple(args[0].shape), str(how), str(shapes))
        if key not in _traced:
            target = io.BytesIO()
            really(served, args, **how | {"optimize": False}).save(target)
            _traced[key] = target.getvalue()
        model = onnx.load_from_string(_traced[key])
        for tensor in model.graph.initializer:
            if tensor.name in weights:
                tensor.CopyFrom(numpy_helper.from_array(weights[tensor.name].detach().numpy(), tensor.name))
        return Program(optimize(model))

    really = torch.onnx.export
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.onnx, "export", export)
        yield
