"""ONNX files of networks that read: what their layers see on the way to the answer, and what is grafted onto that.

Nothing of the network is changed or computed otherwise, so a merged file, its weights rounded to int8, is as good a
stock as any.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from secondread.errors import TrainingError, UsageError
from secondread.models.efficientnet_lite import LAST_AT_8
from secondread.models.finder import Finder
from secondread.training.compress import in_half
from secondread.training.export import TOLERANCE, difference, run_onnx, traced

if TYPE_CHECKING:
    from onnx import ModelProto

SEEN = ["fine", "middle", "last", "cells", "logit"]  # what `tapped` gives and a Finder takes
_DRAWN = ["cam", "box"]
_READERS = {  # features → the layer of LesionLite that reads them
    "fine": f"backbone.blocks.{LAST_AT_8 + 1}.0.layers.0.0.weight",
    "middle": "neck.middle.weight",
    "last": "neck.last.weight",
}


def tapped(model: bytes, *, without: Sequence[int] = ()) -> bytes:
    """The same network, which also gives the features of its LesionLites at strides 8, 16 and 32, (batch, channels,
    rows, columns): of several those of all, channel after channel; of one that also reads the mirror image, those of
    the image itself. Its map is called `cells`.

    without: members of a merged file whose features are left out, such as those that see another view of the image.
    Raises UsageError for a file without a LesionLite.
    """
    return bytes(_tapped(model, without).SerializeToString())


def grafted(model: bytes, finder: Finder, images: np.ndarray, *, without: Sequence[int] = ()) -> bytes:
    """The network with a finder beside it: its answer as it was, and map and boxes of the finder.

    without: as of `tapped`. images: uint8 (n, size, size, channels), on which the file must draw as torch does, before
    the finder's weights are rounded to float16. Raises TrainingError where it does not.
    """
    seen = [torch.from_numpy(values) for values in run_onnx(tapped(model, without=without), images, outputs=SEEN)]
    exact = traced(finder.eval(), dict(zip(SEEN, (values[:2] for values in seen), strict=True)), outputs=_DRAWN)
    with torch.inference_mode():
        own = [values.numpy() for values in finder(*seen)]
    theirs = run_onnx(_joined(model, exact, without), images, outputs=_DRAWN)
    away = max(difference(one, other) for one, other in zip(own, theirs, strict=True))
    if not away <= TOLERANCE:
        raise TrainingError(f"the exported boxes differ from torch's by {away:.2g}; the bundle was not written")
    return _joined(model, in_half(exact), without)


def _joined(model: bytes, finder: bytes, without: Sequence[int]) -> bytes:
    from onnx import compose, load_from_string

    beside = compose.add_prefix(load_from_string(finder), "finder.", rename_inputs=False, rename_outputs=False)
    together = compose.merge_models(
        _tapped(model, without), beside, io_map=[(name, name) for name in SEEN], outputs=["logit", *_DRAWN]
    )
    return bytes(together.SerializeToString())


def _tapped(model: bytes, without: Sequence[int]) -> "ModelProto":
    from onnx import TensorProto, helper, load_from_string

    whole = load_from_string(model)
    graph = whole.graph
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = ["cells" if name == "cam" else name for name in names]
    for name, weight in _READERS.items():
        graph.node.append(helper.make_node("Concat", _read_by(weight, whole, without), [name], axis=1))
    kept = {output.name: output for output in graph.output}
    kept["cam"].name = "cells"
    features = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in _READERS]
    outputs = [*features, kept["cam"], kept["logit"]]
    del graph.output[:]
    graph.output.extend(outputs)
    return whole


def _read_by(weight: str, network: "ModelProto", without: Sequence[int]) -> list[str]:
    """What the layers of that weight read, one tensor for each network: its first pass is that of the image itself."""
    found: dict[str, str] = {}
    left_out = tuple(f"member{number}." for number in without)
    for node in network.graph.node:
        for name in node.input[1:]:
            if name.endswith(f"model.{weight}") and not name.startswith(left_out):
                found.setdefault(name, node.input[0])
    if not found:
        raise UsageError("there is no lesion-lite0, 1 or 2 in this file, beside which drawing could be learnt")
    return list(found.values())
