"""From bytes to model input: the only place where pixels are decoded."""

from secondread.images._decode import decode, decode_frames, sniff
from secondread.images._deidentify import Deidentified, deidentify, pseudonym
from secondread.images._depth import Depth, encode_depth, whole_range
from secondread.images._facts import quantisation
from secondread.images._hash import perceptual_hash
from secondread.images._image import Image, Limits
from secondread.images._prepare import Prepared, PrepareSpec, place_map, prepare
from secondread.images._show import blend, encode_png, to_display

__all__ = [
    "Deidentified",
    "Depth",
    "Image",
    "Limits",
    "PrepareSpec",
    "Prepared",
    "blend",
    "decode",
    "decode_frames",
    "deidentify",
    "encode_depth",
    "encode_png",
    "perceptual_hash",
    "place_map",
    "prepare",
    "pseudonym",
    "quantisation",
    "sniff",
    "to_display",
    "whole_range",
]
