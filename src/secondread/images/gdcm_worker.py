"""Run as a script by gdcm_process.py: one compressed frame on standard input, its pixels on standard output.

With `--fork HANDLE` it waits for frames, each a line of facts and so many bytes, and forks a process for each: that one
answers with a length and the pixels, and when it has ended well, a byte is written to the handle. It goes when nothing
comes for a while, and with a status when a frame has ended its process.
"""

import json
import os
import select
import sys

import gdcm

_WAITS = 30.0  # seconds without a frame


def main() -> None:
    if sys.argv[1] == "--fork":
        return _fork_for_each(int(sys.argv[2]))
    facts = json.loads(sys.argv[1])
    _limit(facts)
    sys.stdout.buffer.write(_pixels(sys.stdin.buffer.read(), facts))


def _fork_for_each(told: int) -> None:
    while select.select([sys.stdin], [], [], _WAITS)[0]:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                os.close(told)
                _answer_one()
                status = 0
            finally:
                os._exit(status)
        if os.waitpid(child, 0)[1]:
            sys.exit(1)
        os.write(told, b".")


def _answer_one() -> None:
    facts = json.loads(sys.stdin.buffer.readline())
    _limit(facts)
    pixels = _pixels(sys.stdin.buffer.read(facts["n_bytes"]), facts)
    sys.stdout.buffer.write(len(pixels).to_bytes(8, "big"))
    sys.stdout.buffer.write(pixels)
    sys.stdout.buffer.flush()


def _pixels(stream: bytes, facts: dict) -> bytes:
    return _image(stream, facts).GetBuffer().encode("utf-8", "surrogateescape")  # GDCM hands bytes out as text


def _limit(facts: dict) -> None:
    """Bounds on memory and on processor time, where the system knows them; of this process, which has one frame."""
    try:
        import resource
    except ImportError:  # not on Windows
        return
    size = facts["columns"] * facts["rows"] * facts["samples"] * facts["bits_allocated"] // 8
    limit = 10 * size + 1_000_000_000
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CPU, (facts["seconds"], facts["seconds"]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _image(stream: bytes, facts: dict) -> "gdcm.Image":
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((facts["columns"], facts["rows"], 1))
    image.SetDataElement(_pixel_data(stream))
    kind = gdcm.PhotometricInterpretation.GetPIType(facts["photometric"])
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(kind))
    if facts["planar"] is not None:
        image.SetPlanarConfiguration(facts["planar"])
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(facts["syntax"])))
    bits = facts["bits_stored"]
    image.SetPixelFormat(gdcm.PixelFormat(facts["samples"], facts["bits_allocated"], bits, bits - 1, facts["signed"]))
    return image


def _pixel_data(stream: bytes) -> "gdcm.DataElement":
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(stream)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    return element


if __name__ == "__main__":
    main()
