"""The heat map of a result as numbers: a Parametric Map (PS3.3 A.75) on the pixels of the image that it belongs to."""

from collections.abc import Iterator
from datetime import tzinfo
from typing import Any

import numpy as np
from highdicom import (
    PixelMeasuresSequence,
    PlaneOrientationSequence,
    PlanePositionSequence,
    VOILUTTransformation,
)
from highdicom.pm import DerivedPixelContrastValues, ImageFlavorValues, ParametricMap, RealWorldValueMapping
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from secondread.dicom.results import codes
from secondread.dicom.results.common import CAVEAT, answer_in_words, numbering, say_side, sign
from secondread.dicom.results.source import MAP, Source, made_uid
from secondread.reading import HeatMap

_TOP = 65535  # what stands for a strength of 1
_PLAIN = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)  # rows to the right, columns down
_EXPLANATION = "What the model used, not where disease is"


def parametric_map(
    source: Source, heatmap: HeatMap, geometry: Dataset | None = None, *, zone: tzinfo | None = None
) -> Dataset:
    """Strength from 0 to 1 for every pixel of the image, as 16 bits with the mapping to real values beside.

    geometry: of the image that answered, where its header says how it lies in the patient (PixelSpacing,
    ImageOrientationPatient, ImagePositionPatient); without it the map lies in a space of its own, pixel on pixel.
    """
    strength = heatmap.strength()
    pixels = np.round(strength * _TOP).astype(np.uint16)
    evidence = source.evidence[0]
    evidence.Rows, evidence.Columns = pixels.shape
    evidence.pop("NumberOfFrames", None)  # it is of one frame, which is named below
    made = ParametricMap(
        source_images=[evidence],
        pixel_array=pixels,
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[
            RealWorldValueMapping(
                lut_label="STRENGTH",
                lut_explanation=_EXPLANATION,
                unit=codes.NO_UNITS,
                value_range=(0, _TOP),
                slope=1 / _TOP,
                intercept=0.0,
                quantity_definition=codes.STRENGTH,
            )
        ],
        voi_lut_transformations=[VOILUTTransformation(window_center=_TOP / 2, window_width=_TOP)],
        transfer_syntax_uid=ExplicitVRLittleEndian,
        content_label="HEATMAP",
        content_description="Not for diagnosis",
        content_creator_name="secondread^",
        image_flavor=ImageFlavorValues.VOLUME,
        derived_pixel_contrast=DerivedPixelContrastValues.QUANTITY,
        **_placed(evidence, source, geometry),
        **numbering(source, MAP),
    )
    for item in _sources_in(made) if source.frame is not None else ():
        item.ReferencedFrameNumber = source.frame
    for item in (*made.DimensionOrganizationSequence, *made.DimensionIndexSequence):
        item.DimensionOrganizationUID = made_uid("dimensions", source.uid(MAP))  # made again it is the same
    say_side(made, source)
    made.ImageComments = f"{answer_in_words(source)}. {CAVEAT}"[:1024]
    return sign(made, source, zone)


def _sources_in(made: Dataset) -> Iterator[Dataset]:
    for group in (*made.SharedFunctionalGroupsSequence, *made.PerFrameFunctionalGroupsSequence):
        for derivation in group.get("DerivationImageSequence", ()):
            yield from derivation.get("SourceImageSequence", ())


def _placed(evidence: Dataset, source: Source, geometry: Dataset | None) -> dict[str, Any]:
    """How it lies in the patient, as the image does; where that is not known, in a space of its own."""
    if geometry is not None and source.shown.frame_of_reference_uid:
        orientation, position = geometry.ImageOrientationPatient, geometry.ImagePositionPatient
        spacing, thickness = geometry.PixelSpacing, float(geometry.get("SliceThickness") or 0.0)
        evidence.FrameOfReferenceUID = source.shown.frame_of_reference_uid
    else:
        orientation, position, spacing, thickness = _PLAIN, (0.0, 0.0, 0.0), (1.0, 1.0), 0.0
        evidence.FrameOfReferenceUID = made_uid("space", source.shown.sop_instance_uid)
    evidence.PositionReferenceIndicator = None
    evidence.ImageOrientationPatient, evidence.ImagePositionPatient = list(orientation), list(position)
    evidence.PixelSpacing, evidence.SliceThickness = list(spacing), thickness or 1.0
    return {
        "pixel_measures": PixelMeasuresSequence(spacing, thickness or 1.0),
        "plane_orientation": PlaneOrientationSequence("PATIENT", orientation),
        "plane_positions": [PlanePositionSequence("PATIENT", position)],
    }
