"""Opens ONNX files: the only place that imports onnxruntime."""

import os
from functools import cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

from secondread.errors import BundleDamaged

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

_LARGE = 1_000_000  # bytes of a network that two threads answer a third sooner; a small one loses by waiting for them
# Bytes that all networks which answer may hold at once, beside each other; one answer takes 20 to 60 MB of them.
MOST_MEMORY = 1_500_000_000
_lock = Lock()


def open_session(model: Path | bytes, *, threads: int | None = None, bounded: bool = False) -> "InferenceSession":
    """A session of a file or its bytes. Raises BundleDamaged for what cannot be run.

    bounded: what asks for more than MOST_MEMORY fails before it gets any; for networks that anybody may have made.
    threads: of one answer; by default as many as its size gains by, and no more than two: images that come together
    run side by side.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.inter_op_num_threads = 1
    # A thread that waits in a loop would take its core from another image.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if bounded:
        with _lock:
            _set_bound()
        options.add_session_config_entry("session.use_env_allocators", "1")
    try:
        data = model if isinstance(model, bytes) else model.read_bytes()
        large = len(data) > _LARGE and (os.cpu_count() or 1) > 1
        options.intra_op_num_threads = threads or (2 if large else 1)
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises bare RuntimeErrors of its own
        what = "the network" if isinstance(model, bytes) else model
        raise BundleDamaged(f"{what} cannot be run: {error}") from error


@cache
def _set_bound() -> None:
    """Once in a process: a store of memory that its bounded sessions share."""
    import onnxruntime as ort

    kind, device = ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, ort.OrtMemType.DEFAULT
    as_asked = 1  # memory is taken as it is asked for, not doubled each time
    bound = ort.OrtArenaCfg({"max_mem": MOST_MEMORY, "arena_extend_strategy": as_asked})
    ort.create_and_register_allocator(ort.OrtMemoryInfo("Cpu", kind, 0, device), bound)


def try_once(session: "InferenceSession", *, size: int, channels: int) -> None:
    """One answer to an empty picture. Raises BundleDamaged where it is none: of another shape, or not finite."""
    pixels = np.zeros((1, size, size, channels), np.uint8)
    try:
        logit, cam = session.run(["logit", "cam"], {"image": pixels})
    except Exception as error:  # as above
        raise BundleDamaged(
            "the network cannot be run: it asks for too much memory, or for what is not there"
        ) from error
    if logit.shape != (1,) or cam.ndim != 3 or not 0 < cam.shape[1] * cam.shape[2] <= size * size:
        raise BundleDamaged("the network answers in another shape than a probability and a map")
    if not (np.isfinite(logit).all() and np.isfinite(cam).all()):
        raise BundleDamaged("the network answers with what is no number")
