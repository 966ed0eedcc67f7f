"""Memory that 64-megapixel images take: decoded one by one, looked at four at a time, and sent twenty at a time."""

import http.client
import io
import json
import os
import re
import secrets
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import cv2
import numpy as np
from PIL import Image as PillowImage
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, RLELossless

from benchmarks._common import save

SIDE = 8000
RUN = 64  # columns of one value
SENT, LOOKS = 20, 4
ASKED = {"deep_film_bytes_a_pixel": 5, "server_mb": 2000}


def film(top: int) -> np.ndarray:
    """uint16 (SIDE, SIDE), soft shapes that change every 64 columns: it packs well and unpacks to 128 MB."""
    soft = cv2.resize(np.random.default_rng(0).random((12, SIDE // RUN)).astype(np.float32), (SIDE // RUN, SIDE))
    return np.repeat((soft * top).astype(np.uint16), RUN, axis=1)


def dicom(pixels: np.ndarray, *, syntax: str = ExplicitVRLittleEndian, bits: int = 16, **elements: object) -> bytes:
    """A chest film. elements: further attributes."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID, ds.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1.1", "1.2.3"
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.Rows, ds.Columns = pixels.shape[:2]
    ds.SamplesPerPixel, ds.BitsAllocated, ds.BitsStored, ds.HighBit = 1, 16, bits, bits - 1
    ds.PixelRepresentation = 0
    if pixels.ndim == 3:
        ds.PhotometricInterpretation, ds.SamplesPerPixel, ds.PlanarConfiguration = "RGB", 3, 0
        ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8, 8, 7
    for keyword, value in {"Modality": "DX", "BodyPartExamined": "CHEST", **elements}.items():
        setattr(ds, keyword, value)
    ds.PixelData = pixels.tobytes()
    ds["PixelData"].VR = "OW"
    if syntax == RLELossless:
        ds.PixelData, ds.file_meta.TransferSyntaxUID = encapsulate([run_lengths(pixels)]), syntax
        ds["PixelData"].VR = "OB"
    elif syntax != ExplicitVRLittleEndian:
        ds.compress(syntax, generate_instance_uid=False)
    target = io.BytesIO()
    ds.save_as(target, enforce_file_format=True)
    return target.getvalue()


def run_lengths(pixels: np.ndarray) -> bytes:
    """One frame after PS3.5 annex G: two segments, every run of 64 in two bytes."""
    runs = [plane.ravel()[::RUN].astype(np.uint8) for plane in (pixels >> 8, pixels & 255)]
    segments = [np.stack([np.full(one.size, 257 - RUN, np.uint8), one], axis=1).tobytes() for one in runs]
    return struct.pack("<16I", 2, 64, 64 + len(segments[0]), *[0] * 13) + b"".join(segments)


def picture(pixels: np.ndarray, kind: str, **options: object) -> bytes:
    """A raster file."""
    target = io.BytesIO()
    PillowImage.fromarray(pixels).save(target, format=kind, **options)
    return target.getvalue()


def files() -> dict[str, Callable[[], bytes]]:
    """What is decoded, by name."""
    deep = film(60_000)
    grey = (deep >> 8).astype(np.uint8)
    rgb = np.dstack([grey, 255 - grey, grey // 2])
    return {
        "DICOM, run lengths, 16 bits": lambda: dicom(deep, syntax=RLELossless),
        "DICOM, run lengths, values beyond the bits": lambda: dicom(deep, syntax=RLELossless, bits=12),
        "DICOM, uncompressed, 16 bits": lambda: dicom(deep),
        "DICOM, uncompressed, 12 bits, window": lambda: dicom(
            film(4000), bits=12, WindowCenter=2000, WindowWidth=3000, PixelPaddingValue=0
        ),
        "DICOM, JPEG 2000, 16 bits": lambda: dicom(deep, syntax=JPEG2000Lossless),
        "DICOM, JPEG-LS, 16 bits": lambda: by_gdcm(dicom(deep), "JPEGLSLossless"),
        "DICOM, RGB": lambda: dicom(rgb),
        "PNG, 8 bits": lambda: picture(grey, "PNG", compress_level=1),
        "PNG, 16 bits": lambda: picture(deep, "PNG", compress_level=1),
        "PNG, RGB": lambda: picture(rgb, "PNG", compress_level=1),
        "PNG, RGBA": lambda: picture(np.dstack([rgb, grey]), "PNG", compress_level=1),
        "JPEG, grey": lambda: picture(grey, "JPEG"),
        "JPEG, RGB, progressive": lambda: picture(rgb, "JPEG", progressive=True),
        "TIFF, float32": lambda: picture(deep.astype(np.float32) / 7 - 100, "TIFF", compression="tiff_adobe_deflate"),
        "TIFF, 16 bits": lambda: picture(deep, "TIFF", compression="tiff_adobe_deflate"),
        "WebP, RGB": lambda: picture(rgb, "WebP", quality=50, method=0),
        "BMP, RGB": lambda: picture(rgb, "BMP"),
    }


def by_gdcm(data: bytes, syntax: str) -> bytes:
    """The same DICOM file in a transfer syntax by GDCM's name, which pydicom cannot write: 'JPEGLSLossless'."""
    import gdcm

    with tempfile.TemporaryDirectory() as name:
        path, target = Path(name) / "plain.dcm", Path(name) / "packed.dcm"
        path.write_bytes(data)
        reader = gdcm.ImageReader()
        reader.SetFileName(str(path))
        reader.Read()
        change = gdcm.ImageChangeTransferSyntax()
        change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, syntax)))
        change.SetInput(reader.GetImage())
        change.Change()
        writer = gdcm.ImageWriter()
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        writer.SetFileName(str(target))
        writer.Write()
        return target.read_bytes()


def memory(process: int | str, row: str = "VmHWM") -> float:
    """MB of a process as Linux counts them: VmRSS now, VmHWM at the most."""
    found = re.search(rf"{row}:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    return int(found[1]) / 1000 if found else 0.0


def forget_peak(process: int | str) -> None:
    """Let the count of VmHWM begin anew."""
    Path(f"/proc/{process}/clear_refs").write_text("5")


def one(path: str, what: str) -> None:
    """In a process of its own: print the peak beside what was there before, and what was reserved for it."""
    import resource

    from secondread.images import budget, decode
    from secondread.reading import Reader

    reader = Reader.load("tuberculosis") if what == "read" else None
    small = encode_small()
    (reader.read if reader else decode)(small)  # what is loaded once
    data = Path(path).read_bytes()
    budget.limit(10**12)
    asked: list[int] = []
    take = budget.Budget._take
    budget.Budget._take = lambda self, n, share: (asked.append(n), take(self, n, share))[1]  # type: ignore[method-assign]
    forget_peak("self")
    before, started = memory("self", "VmRSS"), time.perf_counter()
    (reader.read if reader else decode)(data)
    peak = memory("self") - before
    child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1000
    row = {
        "file_mb": round(len(data) / 1e6, 1),
        "peak_mb": round(peak),
        "bytes_a_pixel": round(1e6 * peak / SIDE**2, 1),
    }
    row |= {"child_mb": round(child)} if child else {}
    row |= {"reserved_mb": round(max(asked) / 1e6), "seconds": round(time.perf_counter() - started, 1)}
    print(json.dumps(row))


def encode_small() -> bytes:
    """A picture that costs nothing."""
    return picture(np.random.default_rng(0).integers(0, 255, (300, 300)).astype(np.uint8), "PNG")


def alone(path: Path, what: str) -> dict[str, object]:
    """`one` in a process."""
    command = [sys.executable, "-m", "benchmarks.decode_memory", what, str(path)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


@contextmanager
def server(folder: Path) -> Iterator[tuple[str, int]]:
    """`secondread serve` with settings as they come, on an empty data folder: its host and port, and its process."""
    command = [sys.executable, "-m", "secondread.cli", "serve", "--port", "0", "--data-folder", str(folder)]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "SECONDREAD_GATE": "off"}  # it lets no drawing pass
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    assert process.stdout is not None
    try:
        said = ""
        while "http://" not in said:
            said = process.stdout.readline()
        threading.Thread(target=process.stdout.read, daemon=True).start()
        yield re.search(r"http://([^/]+)/", said)[1], process.pid  # type: ignore[index]
    finally:
        process.terminate()
        process.wait()


class Watch:
    """The most memory of a process and its children, looked at twenty times a second."""

    def __init__(self, process: int):
        self.most = 0.0
        self._process = process
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def _look(self) -> None:
        while not self._done.wait(0.05):
            self.most = max(self.most, sum(memory(one, "VmRSS") for one in family(self._process)))

    def __enter__(self) -> "Watch":
        forget_peak(self._process)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self.most = max(self.most, memory(self._process))


def family(process: int) -> list[int]:
    """A process and those that it started."""
    try:
        started = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except OSError:
        return []
    return [process, *(one for child in started for one in family(int(child)))]


def post(host: str, data: bytes) -> tuple[int, dict[str, str], bytes]:
    """One upload: status, headers and body."""
    mark = secrets.token_hex(8)
    fields = f'--{mark}\r\nContent-Disposition: form-data; name="task"\r\n\r\ntuberculosis\r\n'
    head = f'--{mark}\r\nContent-Disposition: form-data; name="image"; filename="film.dcm"\r\n\r\n'
    body = fields.encode() + head.encode() + data + f"\r\n--{mark}--\r\n".encode()
    return ask(host, "POST", "/api/v1/readings", body, {"Content-Type": f"multipart/form-data; boundary={mark}"})


def ask(
    host: str, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, dict[str, str], bytes]:
    """One request on a connection of its own; status 0 where the server hung up without an answer."""
    connection = http.client.HTTPConnection(host, timeout=300)
    try:
        with suppress(BrokenPipeError, ConnectionResetError):  # refused at the header: the answer is there all the same
            connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    except (ConnectionError, http.client.HTTPException):
        return 0, {}, b""
    finally:
        connection.close()


def served(data: Callable[[int], bytes]) -> dict[str, object]:
    """Twenty uploads at once, then four looks at one of them at once. data: the file of each."""
    with tempfile.TemporaryDirectory() as name, server(Path(name)) as (host, process):
        status, _, body = post(host, data(0))
        reading = json.loads(body)["readings"][0]["id"]
        idle = memory(process, "VmRSS")
        with Watch(process) as looked, ThreadPoolExecutor(LOOKS) as pool:
            address = f"/api/v1/readings/{reading}/image?longest_side="
            looks = [one[0] for one in pool.map(lambda at: ask(host, "GET", f"{address}{4096 - at}"), range(LOOKS))]
        with Watch(process) as same, ThreadPoolExecutor(LOOKS) as pool:
            again = [one[0] for one in pool.map(lambda _: ask(host, "GET", f"{address}4096"), range(LOOKS))]
        bodies = [data(number) for number in range(1, SENT + 1)]
        started = time.perf_counter()
        with Watch(process) as sent, ThreadPoolExecutor(SENT) as pool:
            answers = list(pool.map(lambda body: post(host, body), bodies))
        seconds = time.perf_counter() - started
    return {
        "file_mb": round(len(bodies[0]) / 1e6, 1),
        "first_upload": status,
        "idle_mb": round(idle),
        f"{LOOKS}_looks_at_once": {"peak_mb": round(looked.most), "answers": Counter(looks)},
        f"{LOOKS}_looks_at_once_from_the_kept_picture": {"peak_mb": round(same.most), "answers": Counter(again)},
        f"{SENT}_uploads_at_once": {
            "peak_mb": round(sent.most),
            "answers": Counter(status for status, _, _ in answers),
            "without_Retry-After": sum(
                status in (429, 503) and "Retry-After" not in headers for status, headers, _ in answers
            ),
            "seconds": round(seconds, 1),
        },
    }


def main() -> None:
    """Everything; with two arguments one file alone, for a process of its own."""
    if len(sys.argv) == 3:
        return one(sys.argv[2], sys.argv[1])
    decoded: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "file"
        for kind, make in files().items():
            path.write_bytes(make())
            decoded[kind] = alone(path, "decode")
            if kind.startswith("DICOM, run lengths, 16"):
                decoded[f"{kind}, read"] = alone(path, "read")
            print(kind, decoded[kind], file=sys.stderr)
    deep = film(60_000)
    uploads = {
        "run lengths": served(lambda number: dicom(deep + np.uint16(number), syntax=RLELossless)),
        "uncompressed": served(
            lambda number: dicom(deep, InstanceNumber=str(number), WindowCenter=number + 20_000, WindowWidth=9000)
        ),
    }
    save(
        "decode_memory",
        {
            "what": f"peak memory of images of {SIDE} × {SIDE} pixels, beside what the process held before",
            "asked": ASKED,
            "decoded": decoded,
            "server": uploads,
        },
    )


if __name__ == "__main__":
    main()
