"""Opens ONNX files, with ONNX Runtime or what somebody asks for in its place: the only place that imports it."""

import os
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any, Literal, Protocol, get_args

import numpy as np

from secondread.errors import BundleDamaged, ExtraMissing, UnknownName

Runtime = Literal["onnxruntime", "openvino"]
RUNTIME_VARIABLE = "SECONDREAD_RUNTIME"
THREADS_VARIABLE = "SECONDREAD_SESSION_THREADS"
_LARGE = 1_000_000  # bytes of a network that two threads answer a third sooner; a small one loses by waiting for them
# Of a smaller input, pixels a side, a second thread takes a third more of the processor, and answers no sooner
# (docs/explanation/speed.md: brain-tumour/best, of 192 pixels).
_WIDE = 200
# Bytes that all networks which answer may hold at once, beside each other; one answer takes 20 to 60 MB of them.
MOST_MEMORY = 1_500_000_000
_lock = Lock()


class Session(Protocol):
    """A network that answers: ONNX Runtime's InferenceSession, or what stands in its place."""

    def run(self, names: list[str], feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        """The outputs of these names, for inputs by name. Safe to call from several threads at once."""
        ...

    def get_outputs(self) -> list[Any]:
        """What it answers with: each with its name and shape."""
        ...


def runtime_asked_for(*, shipped: bool) -> Runtime:
    """What SECONDREAD_RUNTIME names: 'onnxruntime', as by default, or 'openvino'. Raises UnknownName.

    shipped: whether the network comes with the package. One that does not stays with ONNX Runtime, which alone bounds
    the memory that a network takes.
    """
    named = os.environ.get(RUNTIME_VARIABLE, "") or "onnxruntime"
    for known in get_args(Runtime):
        if named == known:
            return known if shipped else "onnxruntime"
    raise UnknownName.of(f"runtime in {RUNTIME_VARIABLE}", named, get_args(Runtime))


def open_session(
    model: Path | bytes,
    *,
    threads: int | None = None,
    side: int | None = None,
    bounded: bool = False,
    runtime: Runtime = "onnxruntime",
) -> Session:
    """A session of a file or its bytes. Raises BundleDamaged for what cannot be run, ExtraMissing.

    bounded: what asks for more than MOST_MEMORY fails before it gets any; for networks that anybody may have made.
    OpenVINO knows no such bound.
    threads: of one answer; by default what SECONDREAD_SESSION_THREADS says, or as many as its size gains by, and no
    more than two: images that come together run side by side. side: of its input, pixels, where known.
    """
    try:
        data = model if isinstance(model, bytes) else model.read_bytes()
        large = len(data) > _LARGE and (side or _WIDE) >= _WIDE and (os.cpu_count() or 1) > 1
        threads = threads or _threads_asked_for() or (2 if large else 1)
        if runtime == "openvino":
            from secondread.reading.openvino import OpenVinoSession

            return OpenVinoSession(data, threads=threads)
        return _of_onnxruntime(data, threads=threads, bounded=bounded)
    except ExtraMissing:
        raise
    except Exception as error:  # both libraries raise bare RuntimeErrors of their own
        what = "the network" if isinstance(model, bytes) else model
        raise BundleDamaged(f"{what} cannot be run: {error}") from error


def _threads_asked_for() -> int | None:
    """For a process that has one core of several, as a worker of a cluster: others have the rest."""
    named = os.environ.get(THREADS_VARIABLE, "")
    return int(named) if named.isdigit() and int(named) else None


def _of_onnxruntime(data: bytes, *, threads: int, bounded: bool) -> Session:
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
    options.intra_op_num_threads = threads
    session: Session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return session


@cache
def _set_bound() -> None:
    """Once in a process: a store of memory that its bounded sessions share."""
    import onnxruntime as ort

    kind, device = ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, ort.OrtMemType.DEFAULT
    as_asked = 1  # memory is taken as it is asked for, not doubled each time
    bound = ort.OrtArenaCfg({"max_mem": MOST_MEMORY, "arena_extend_strategy": as_asked})
    ort.create_and_register_allocator(ort.OrtMemoryInfo("Cpu", kind, 0, device), bound)


def give_memory_back(session: Session, *, size: int, channels: int) -> None:
    """By one more answer, to an empty picture, after which ONNX Runtime gives back what answers took until then.

    For a session that is about to be closed: its share of the common store would stay in it.
    """
    import onnxruntime

    if not isinstance(session, onnxruntime.InferenceSession):
        return
    options = onnxruntime.RunOptions()
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    session.run(["logit"], {"image": np.zeros((1, size, size, channels), np.uint8)}, options)


def try_once(session: Session, *, size: int, channels: int, boxes: bool = False) -> None:
    """One answer to an empty picture. Raises BundleDamaged where it is none: of another shape, or not finite.

    boxes: whether it is to find boxes too.
    """
    pixels = np.zeros((1, size, size, channels), np.uint8)
    try:
        logit, cam, *sides = session.run(["logit", "cam", "box"][: 2 + boxes], {"image": pixels})
    except Exception as error:  # as above
        raise BundleDamaged(
            "the network cannot be run: it asks for too much memory, or for what is not there"
        ) from error
    if logit.shape != (1,) or cam.ndim != 3 or not 0 < cam.shape[1] * cam.shape[2] <= size * size:
        raise BundleDamaged("the network answers in another shape than a probability and a map")
    if any(box.shape != (1, 4, *cam.shape[1:]) for box in sides):
        raise BundleDamaged("the network has boxes of another shape than four sides for every cell of its map")
    if sides and logit[0] != cam.max():
        raise BundleDamaged("the network has boxes, and its answer is not the score of the strongest one")
    if not all(np.isfinite(one).all() for one in (logit, cam, *sides)):
        raise BundleDamaged("the network answers with what is no number")
