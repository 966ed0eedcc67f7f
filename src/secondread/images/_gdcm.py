"""GDCM as a decoder for pydicom, run in a process of its own, since damaged frames can end the process it runs in."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pydicom import uid
from pydicom.pixels.decoders.base import DecodeRunner

from secondread.errors import TruncatedImage, UnsupportedImage

_SYNTAXES = (uid.JPEGLossless, uid.JPEGLosslessSV1, uid.JPEGLSLossless, uid.JPEGLSNearLossless)
DECODER_DEPENDENCIES = dict.fromkeys(_SYNTAXES, ("python-gdcm>=3.0.24",))  # asked for by pydicom
_WORKER = Path(__file__).with_name("_gdcm_worker.py")
_PIXELS_IN_A_SECOND = 2_000_000  # of processor time, beside one second for the start; GDCM is ten times faster
_PATIENCE = 60  # seconds on the clock, since a busy machine may let a process wait


def is_available(syntax: str) -> bool:
    """Whether GDCM is installed and used for this transfer syntax."""
    return find_spec("gdcm") is not None and syntax in _SYNTAXES


def decode_frame(stream: bytes, runner: DecodeRunner) -> bytes:
    """The decoded bytes of one frame. Raises TruncatedImage where GDCM fails, dies or takes too long."""
    bits_stored = runner.bits_stored
    if runner.transfer_syntax in uid.JPEGLSTransferSyntaxes:
        bits_stored = runner.get_option("jls_precision", bits_stored)
        if bits_stored in (6, 7):
            raise UnsupportedImage("GDCM does not support JPEG-LS of 6 or 7 bits")
        runner.set_option("planar_configuration", 0)  # GDCM gives JPEG-LS by pixel
        runner.set_option("bits_allocated", 8 if bits_stored <= 8 else 16)
    facts: dict[str, Any] = {
        "syntax": str.__str__(runner.transfer_syntax),
        "photometric": str(runner.photometric_interpretation),
        "planar": runner.planar_configuration if runner.samples_per_pixel > 1 else None,
        "columns": runner.columns,
        "rows": runner.rows,
        "samples": runner.samples_per_pixel,
        "bits_allocated": runner.bits_allocated,
        "bits_stored": bits_stored,
        "signed": runner.pixel_representation,
        "seconds": 1 + runner.rows * runner.columns // _PIXELS_IN_A_SECOND,
    }
    return _ask(stream, facts)


def _ask(stream: bytes, facts: dict[str, Any]) -> bytes:
    try:
        answer = subprocess.run(
            [sys.executable, "-P", str(_WORKER), json.dumps(facts)],
            input=stream,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_PATIENCE,
            check=True,
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        raise TruncatedImage("a compressed DICOM frame is damaged; send the file again") from error
    return answer.stdout
