"""The way back from a bundle: a torch network with the weights of its ONNX file, for what goes on from them."""

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from secondread.errors import TrainingError
from secondread.training.export import WithScaling, run_onnx

_HALF, _FOLDED, _PREFIX = ".half", ".weight_bias", "model."
_NEAR = 1e-3  # of a logit: torch and ONNX Runtime, both with these weights


def take_weights(model: nn.Module, data: bytes, *, size: int, channels: int) -> None:
    """Give a network the weights of the file that was exported of its like, and compare the two on noise.

    Parts of `model` that the file does not have keep theirs. A normalisation that the export folded into the
    convolution before it becomes one that adds the folded bias and does nothing else; such a network reads, and its
    parts are not to be trained on. Raises TrainingError for a file of another network, or of several.
    """
    from onnx import load_from_string, numpy_helper

    held = {
        tensor.name.removeprefix(_PREFIX).removesuffix(_HALF): np.array(numpy_helper.to_array(tensor), dtype=np.float32)
        for tensor in load_from_string(data).graph.initializer
        if tensor.name.startswith(_PREFIX)
    }
    state = {name: torch.from_numpy(values) for name, values in held.items() if not name.endswith(_FOLDED)}
    for folder, module in list(model.named_modules()):
        if isinstance(module, nn.Sequential):
            for (before, one), (after, other) in pairwise(module.named_children()):
                bias = held.get(f"{folder}.{before}{_FOLDED}")
                if isinstance(one, nn.Conv2d) and isinstance(other, nn.BatchNorm2d) and bias is not None:
                    state |= _adding(f"{folder}.{after}", torch.from_numpy(bias), other)
    own = model.state_dict()
    if not held or any(name not in own or own[name].shape != values.shape for name, values in state.items()):
        raise TrainingError("the file holds another network than this one, or several; give the bundle of one network")
    model.load_state_dict(own | state)
    noise = np.random.default_rng(0).integers(0, 256, (2, size, size, channels), dtype=np.uint8)
    with torch.inference_mode():
        ours = WithScaling(model.eval())(torch.from_numpy(noise))[0].numpy()
    away = float(np.abs(ours - run_onnx(data, noise, outputs=["logit"])[0]).max())
    if not away <= _NEAR:
        raise TrainingError(f"with the file's weights the network answers {away:.2g} away from the file")


def _adding(name: str, bias: Tensor, norm: nn.BatchNorm2d) -> dict[str, Tensor]:
    ones = torch.ones_like(bias)
    return {
        f"{name}.weight": ones,
        f"{name}.bias": bias,
        f"{name}.running_mean": torch.zeros_like(bias),
        f"{name}.running_var": ones - norm.eps,
    }
