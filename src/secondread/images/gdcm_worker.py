"""Run as a script by codecs.py: one compressed frame on standard input, its pixels on standard output.

With `--many`, one frame after the other: each a line of facts and so many bytes, answered by a length and the pixels.
"""

import json
import sys

import gdcm


def main() -> None:
    if sys.argv[1] == "--many":
        return _many()
    facts = json.loads(sys.argv[1])
    _limit(facts)
    sys.stdout.buffer.write(_pixels(sys.stdin.buffer.read(), facts))


def _many() -> None:
    while line := sys.stdin.buffer.readline():
        facts = json.loads(line)
        _limit(facts)
        pixels = _pixels(sys.stdin.buffer.read(facts["n_bytes"]), facts)
        sys.stdout.buffer.write(len(pixels).to_bytes(8, "big") + pixels)
        sys.stdout.buffer.flush()


def _pixels(stream: bytes, facts: dict) -> bytes:
    return _image(stream, facts).GetBuffer().encode("utf-8", "surrogateescape")  # GDCM hands bytes out as text


def _limit(facts: dict) -> None:
    """Bounds on memory and on the processor time of this frame, where the system knows them."""
    try:
        import resource
    except ImportError:  # not on Windows
        return
    size = facts["columns"] * facts["rows"] * facts["samples"] * facts["bits_allocated"] // 8
    limit = 10 * size + 1_000_000_000
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(used.ru_utime + used.ru_stime) + 1 + facts["seconds"]
    # The soft bounds alone, which end the process as well and can be set anew for the next frame.
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, resource.getrlimit(resource.RLIMIT_CPU)[1]))
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
