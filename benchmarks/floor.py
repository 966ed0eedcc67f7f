"""A whole warm reading against the least that it can cost: the fastest decoder alone, the gate and the network alone.

    python -m benchmarks.floor [--rounds 5] [--sides 512 2048 3072] [--cores]

--cores: processor time of all cores in place of the clock's, where other work cannot be kept off the machine; without
that of GDCM's own process, so lossless JPEG is left out.

A decoder counts where it gives the very pixels that ours gives: of DICOM the values as its window shows them, looked up
in a table that is there already. GDCM, which pydicom asks first for JPEG 2000, works on all cores; ours on one.

JPEG, PNG of 8 and 16 bits, and DICOM uncompressed, as JPEG 2000 and as lossless JPEG. `plain` is what a script does
with OpenCV or pydicom and the same ONNX file, without a gate, a check or a map. Files lie on the disk, in its cache.
Results in benchmarks/results/floor.json; docs/explanation/speed.md shows them.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime as ort
import pydicom
import simplejpeg
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless

from benchmarks._common import save
from benchmarks.decode_memory import by_gdcm, dicom, picture
from secondread.images import Image, decode, prepare
from secondread.images.values import looked_up
from secondread.reading import Gate, Reader, Refusal
from secondread.reading.gate import Verdict
from secondread.tasks import Task

BUNDLES = ("tuberculosis/paper", "brain-tumour/best", "tuberculosis/best", "fracture/best")
OF_ALL_KINDS = BUNDLES[:2]  # the others are read from JPEG alone: beside their networks no decoder weighs much
SMALL = 400  # pixels a side of the JPEG that `warm_read` reads too
ASKED = 1.25  # times the floor, at most
_SECONDS = 0.5  # of one measurement in a round, at most, where one call takes less
Work = Callable[[], Any]


class OpenGate(Gate):
    """The shipped gate with all its work, and none of its refusals: the films here show no chest."""

    def refusal(self, verdict: Verdict, task: Task) -> Refusal | None:
        """None, whatever the gate found."""
        super().refusal(verdict, task)
        return None


def main() -> None:
    """Every file with every bundle, small ones first."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cores", action="store_true", help="Processor time, not the clock's.")
    parser.add_argument("--sides", type=int, nargs="*", default=[512, 2048, 3072])
    options = parser.parse_args()
    readers = {name: _reader(name) for name in BUNDLES}
    timer = time.process_time if options.cores else time.perf_counter
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for path, kind, side in _files(Path(folder), options.sides):
            some = {name: readers[name] for name in (BUNDLES if kind == "JPEG" else OF_ALL_KINDS)}
            if not (options.cores and kind == "DICOM, lossless JPEG"):
                rows += _measured(path, kind, side, some, options.rounds, timer)
    save(
        "floor",
        {
            "command": " ".join(["python -m benchmarks.floor", *sys.argv[1:]]),
            "what": "milliseconds, the quickest of rounds in turn; floor: fastest decoder + gate's network + network",
            "counted": "of all cores together" if options.cores else "of the clock",
            "rounds": options.rounds,
            "asked": f"at most {ASKED} times the floor",
            "load_before": os.getloadavg()[0],
            "cv2_threads": cv2.getNumThreads(),
            "rows": rows,
        },
    )


def _reader(name: str) -> Reader:
    reader = Reader.load(name)
    assert reader.gate is not None, "a shipped bundle was measured with the gate"
    reader.gate = OpenGate(reader.gate.record, reader.gate.session)
    return reader


def _files(folder: Path, sides: list[int]) -> Iterator[tuple[Path, str, int]]:
    """(path, kind, side) of a film of each kind and side; noise over soft shapes, as hard to pack as real ones."""
    yield _written(folder, "JPEG", SMALL, _jpeg(_film(SMALL)))
    for side in sides:
        grey = _film(side)
        deep = (grey.astype(np.uint16) << 4) + np.random.default_rng(1).integers(0, 16, grey.shape, dtype=np.uint16)
        window = {"WindowCenter": 2048, "WindowWidth": 4096}
        header = {"bits": 12, "Modality": "OT", "BodyPartExamined": "", **window}  # that every task reads
        yield _written(folder, "JPEG", side, _jpeg(grey))
        yield _written(folder, "PNG, 8 bits", side, picture(grey, "PNG", compress_level=3))
        yield _written(folder, "PNG, 16 bits", side, picture(deep << 4, "PNG", compress_level=3))
        raw = dicom(deep, syntax=ExplicitVRLittleEndian, **header)
        yield _written(folder, "DICOM, uncompressed", side, raw)
        yield _written(folder, "DICOM, JPEG 2000", side, dicom(deep, syntax=JPEG2000Lossless, **header))
        yield _written(folder, "DICOM, lossless JPEG", side, by_gdcm(raw, "JPEGLosslessProcess14_1"))


def _film(side: int) -> np.ndarray:
    """uint8 (side, side)."""
    rng = np.random.default_rng(0)
    soft = cv2.resize(rng.random((12, 10)).astype(np.float32), (side, side), interpolation=cv2.INTER_CUBIC)
    return np.clip(soft * 200 + rng.normal(0, 4, soft.shape) + 20, 0, 255).astype(np.uint8)


def _jpeg(film: np.ndarray) -> bytes:
    return bytes(cv2.imencode(".jpg", film, [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes())


def _written(folder: Path, kind: str, side: int, data: bytes) -> tuple[Path, str, int]:
    path = folder / f"{kind}-{side}"
    path.write_bytes(data)
    return path, kind, side


def _measured(
    path: Path, kind: str, side: int, readers: dict[str, Reader], rounds: int, timer: Callable[[], float]
) -> Iterator[dict[str, Any]]:
    """One row a bundle; all that is measured of a file is measured in the same rounds."""
    data = path.read_bytes()
    image = decode(data)
    decoders = _decoders(path, data, image)
    works: dict[str, Work] = {f"decode, {name}": work for name, work in decoders.items()}
    gate = next(iter(readers.values())).gate
    assert gate is not None, "as above"
    works["gate"] = _network(gate.session, ["logits", "distances"], prepare(image, gate.spec).pixels)
    for name, reader in readers.items():
        works[f"network {name}"] = _network(reader._session, ["logit", "cam"], _pixels(image, reader))
        works[f"ours {name}"] = lambda reader=reader: _read(reader, path)
        works[f"plain {name}"] = _plain(path, kind, reader)
    found = _quickest(works, rounds, timer)
    fastest = min(decoders, key=lambda name: found[f"decode, {name}"])
    for name in readers:
        network, ours, plain = (found[f"{what} {name}"] for what in ("network", "ours", "plain"))
        floor = found[f"decode, {fastest}"] + found["gate"] + network
        yield {
            "file": kind,
            "side": side,
            "kilobytes": round(len(data) / 1000),
            "bundle": name,
            "decode": round(found["decode, ours"], 3),
            "fastest_decoder": fastest,
            "fastest_decode": round(found[f"decode, {fastest}"], 3),
            "gate": round(found["gate"], 3),
            "network": round(network, 3),
            "floor": round(floor, 3),
            "ours": round(ours, 3),
            "plain": round(plain, 3),
            "over_floor": round(ours / floor, 2),
            "times_plain": round(plain / ours, 2),
        }


def _read(reader: Reader, path: Path) -> None:
    assert reader.read(path).refusal is None, "every film is read"


def _pixels(image: Image, reader: Reader) -> np.ndarray:
    return prepare(image, reader.bundle.prepare_spec).pixels


def _network(session: Any, names: list[str], pixels: np.ndarray) -> Work:
    return lambda: session.run(names, {"image": pixels[None]})


def _decoders(path: Path, data: bytes, image: Image) -> dict[str, Work]:
    """Ours, and whatever else turns these bytes into all their pixels, the same ones."""
    found: dict[str, Work] = {"ours": lambda: decode(data).pixels}
    if data[128:132] == b"DICM":
        table = np.zeros(1 << 16, np.uint16)
        table[pydicom.dcmread(path).pixel_array] = image.pixels
        found["pydicom"] = lambda: looked_up(pydicom.dcmread(path).pixel_array, table)
    else:
        array = np.frombuffer(data, np.uint8)
        found["OpenCV"] = lambda: cv2.imdecode(array, cv2.IMREAD_UNCHANGED)
    if data[:2] == b"\xff\xd8":
        found["simplejpeg"] = lambda: simplejpeg.decode_jpeg(data, "GRAY")[:, :, 0]
    for name, work in found.items():
        if not np.array_equal(work(), image.pixels):
            raise ValueError(f"{name} gives other pixels of {path.name}: its time is no floor")
    return found


def _plain(path: Path, kind: str, reader: Reader) -> Work:
    """What a script does: the picture at the network's size, as 8 bits, into a session as ONNX Runtime opens it."""
    spec = reader.bundle.prepare_spec
    session = ort.InferenceSession(reader.bundle.model_path, providers=["CPUExecutionProvider"])

    def read() -> float:
        if kind.startswith("DICOM"):
            values = pydicom.dcmread(path).pixel_array
        else:
            values = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if values.dtype != np.uint8:
            values = cv2.normalize(values, None, 0, 255, cv2.NORM_MINMAX, dtype=cv2.CV_8U)
        small = cv2.resize(values, (spec.size, spec.size), interpolation=cv2.INTER_AREA)
        logit = session.run(["logit"], {"image": np.repeat(small[None, :, :, None], spec.channels, axis=3)})[0]
        return float(1 / (1 + np.exp(-logit[0])))

    return read


def _quickest(works: dict[str, Work], rounds: int, timer: Callable[[], float]) -> dict[str, float]:
    """Milliseconds of each, the quickest call of rounds in turn: other work on the machine only ever adds to it."""
    times = {}
    for name, work in works.items():
        work()
        started = time.perf_counter()
        work()
        times[name] = max(1, min(20, int(_SECONDS / rounds / (time.perf_counter() - started))))
    best = dict.fromkeys(works, float("inf"))
    for _ in range(rounds):
        for name, work in works.items():
            for _ in range(times[name]):
                started = timer()
                work()
                best[name] = min(best[name], timer() - started)
    return {name: 1000 * value for name, value in best.items()}


if __name__ == "__main__":
    main()
