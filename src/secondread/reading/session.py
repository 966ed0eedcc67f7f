"""Opens ONNX files: the only place that imports onnxruntime."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from secondread.errors import BundleDamaged

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

_LARGE = 1_000_000  # bytes of a network that two threads answer a third sooner; a small one loses by waiting for them


def open_session(model: Path | bytes, *, threads: int | None = None) -> "InferenceSession":
    """A session of a file or its bytes. Raises BundleDamaged for what cannot be run.

    threads: of one answer; by default as many as its size gains by, and no more than two: images that come together
    run side by side.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.inter_op_num_threads = 1
    # A thread that waits in a loop would take its core from another image.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        data = model if isinstance(model, bytes) else model.read_bytes()
        large = len(data) > _LARGE and (os.cpu_count() or 1) > 1
        options.intra_op_num_threads = threads or (2 if large else 1)
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises bare RuntimeErrors of its own
        what = "the network" if isinstance(model, bytes) else model
        raise BundleDamaged(f"{what} cannot be run: {error}") from error
