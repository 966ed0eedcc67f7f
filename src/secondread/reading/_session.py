"""Opens ONNX files: the only place that imports onnxruntime."""

from pathlib import Path
from typing import TYPE_CHECKING

from secondread.errors import BundleDamaged

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


def open_session(path: Path) -> "InferenceSession":
    """A session on one thread. Raises BundleDamaged for a file that cannot be run."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # One thread a session: several images run side by side instead, and a small network gains nothing from more.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises bare RuntimeErrors of its own
        raise BundleDamaged(f"{path} cannot be run: {error}") from error
