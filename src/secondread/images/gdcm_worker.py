"""Run as a script by codecs.py: one compressed frame on standard input, its pixels on standard output."""

import json
import sys

import gdcm


def main() -> None:
    facts = json.loads(sys.argv[1])
    _limit(facts)
    image = _image(sys.stdin.buffer.read(), facts)
    pixels = image.GetBuffer().encode("utf-8", "surrogateescape")  # GDCM hands bytes out as text
    sys.stdout.buffer.write(pixels)


def _limit(facts: dict) -> None:
    """Bounds on memory and processor time, where the system knows them."""
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
