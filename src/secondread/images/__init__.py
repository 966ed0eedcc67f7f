"""From bytes to model input: the only place where pixels are decoded."""

from secondread.images.dataset import DataSet, dataset_bytes, is_dataset
from secondread.images.decode import decode, decode_frames, open_frames, sniff, whole_range
from secondread.images.deidentify import Deidentified, deidentify, pseudonym, stand_in_uid
from secondread.images.frames import Frames
from secondread.images.geometry import DETECTOR, KINDS, UNSAID, Geometry, Window, geometry_of, spacing_of_facts
from secondread.images.image import Depth, Image, Limits
from secondread.images.jpeg import quantisation
from secondread.images.prepare import Halves, Prepared, PrepareSpec, place_map, prepare
from secondread.images.raster import Picture, is_picture, open_picture
from secondread.images.show import blend, encode_depth, encode_jpeg, encode_png, perceptual_hash, to_display

__all__ = [
    "DETECTOR",
    "KINDS",
    "UNSAID",
    "DataSet",
    "Deidentified",
    "Depth",
    "Frames",
    "Geometry",
    "Halves",
    "Image",
    "Limits",
    "Picture",
    "PrepareSpec",
    "Prepared",
    "Window",
    "blend",
    "dataset_bytes",
    "decode",
    "decode_frames",
    "deidentify",
    "encode_depth",
    "encode_jpeg",
    "encode_png",
    "geometry_of",
    "is_dataset",
    "is_picture",
    "open_frames",
    "open_picture",
    "perceptual_hash",
    "place_map",
    "prepare",
    "pseudonym",
    "quantisation",
    "sniff",
    "spacing_of_facts",
    "stand_in_uid",
    "to_display",
    "whole_range",
]
