"""Opens ONNX files: the only place that imports onnxruntime."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from secondread.errors import BundleDamaged

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

_LARGE = 1_000_000  # bytes of a network that two threads answer a third sooner; a small one loses by waiting for them


def open_session(path: Path) -> "InferenceSession":
    """A session, on two threads for a large network. Raises BundleDamaged for a file that cannot be run."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.inter_op_num_threads = 1
    # A thread that waits in a loop would take its core from another image.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        model = path.read_bytes()
        # No more than two: images that come together run side by side.
        options.intra_op_num_threads = 2 if len(model) > _LARGE and (os.cpu_count() or 1) > 1 else 1
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises bare RuntimeErrors of its own
        raise BundleDamaged(f"{path} cannot be run: {error}") from error
