"""From bytes to model input: the only place where pixels are decoded."""

from secondread.images.decode import decode, decode_frames, open_frames, sniff, whole_range
from secondread.images.deidentify import Deidentified, deidentify, pseudonym, stand_in_uid
from secondread.images.frames import Frames
from secondread.images.image import Depth, Image, Limits
from secondread.images.jpeg import quantisation
from secondread.images.prepare import Halves, Prepared, PrepareSpec, place_map, prepare
from secondread.images.raster import Picture, is_picture, open_picture
from secondread.images.show import blend, encode_depth, encode_png, perceptual_hash, to_display

__all__ = [
    "Deidentified",
    "Depth",
    "Frames",
    "Halves",
    "Image",
    "Limits",
    "Picture",
    "PrepareSpec",
    "Prepared",
    "blend",
    "decode",
    "decode_frames",
    "deidentify",
    "encode_depth",
    "encode_png",
    "is_picture",
    "open_frames",
    "open_picture",
    "perceptual_hash",
    "place_map",
    "prepare",
    "pseudonym",
    "quantisation",
    "sniff",
    "stand_in_uid",
    "to_display",
    "whole_range",
]
