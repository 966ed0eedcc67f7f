"""Pictures of a result as DICOM objects: a Secondary Capture, and outlines that a viewer lays over the original."""

from datetime import tzinfo

import numpy as np
from highdicom import PhotometricInterpretationValues
from highdicom.pr import (
    AnnotationUnitsValues,
    GraphicAnnotation,
    GraphicLayer,
    GraphicObject,
    GrayscaleSoftcopyPresentationState,
    TextObject,
)
from highdicom.sc import SCImage
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from secondread.dicom.results.common import CAVEAT, answer_in_words, numbering, say_side, sign
from secondread.dicom.results.findings import boxes_of
from secondread.dicom.results.source import CAPTURE, GSPS, Source
from secondread.reading import HeatMap, regions_of

_MAP_SIDE = 512


def secondary_capture(source: Source, pixels: np.ndarray, *, zone: tzinfo | None = None) -> Dataset:
    """A colour picture of the study (PS3.3 A.8.1). pixels: uint8 (rows, columns, 3) RGB."""
    capture = SCImage.from_ref_dataset(
        ref_dataset=source.evidence[0],
        pixel_array=pixels,
        photometric_interpretation=PhotometricInterpretationValues.RGB,
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "P"),  # asked for; which way the original lies is not known here, see below
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **numbering(source, CAPTURE),
    )
    capture.PatientOrientation = []
    say_side(capture, source)
    capture.ConversionType = "WSD"  # workstation
    capture.ImageComments = CAVEAT
    capture.DerivationDescription = f"{answer_in_words(source)}. {CAVEAT}"[:1024]
    capture.SourceImageSequence = [_referenced(source)]
    sign(capture, source, zone)
    capture.DateOfSecondaryCapture, capture.TimeOfSecondaryCapture = capture.ContentDate, capture.ContentTime
    return capture


def presentation_state(
    source: Source, heatmap: HeatMap | None, *, maps_lesions: bool = False, zone: tzinfo | None = None
) -> Dataset | None:
    """Boxes, or the outlines of a lesion map, over the original (PS3.3 A.33.1).

    None where there is nothing to lay over it, and for a colour image, which a greyscale state cannot refer to.
    """
    outlines = [box.corners for box in boxes_of(source.reading)]
    if not outlines and heatmap is not None and maps_lesions:
        levels = heatmap.levels(longest_side=_MAP_SIDE)
        found = regions_of(levels, width=heatmap.width, height=heatmap.height, cell=heatmap.cell)
        outlines = [[*one.outline, one.outline[0]] for one in found]
    if not outlines or source.reading.facts.get("photometric", "").startswith(("RGB", "YBR", "PALETTE")):
        return None
    evidence = source.evidence[0]
    evidence.SamplesPerPixel = 1
    layer = GraphicLayer("SECONDREAD", order=1, description="secondread, not for diagnosis")
    pixels = AnnotationUnitsValues.PIXEL
    annotation = GraphicAnnotation(
        referenced_images=[evidence],
        graphic_layer=layer,
        referenced_frame_number=source.frame,
        graphic_objects=[
            GraphicObject("POLYLINE", _inside(outline, source) + 0.5, units=pixels, is_filled=False)
            for outline in outlines
        ],
        text_objects=[
            TextObject(
                f"{answer_in_words(source)}\r\n{CAVEAT}"[:1024],
                units=AnnotationUnitsValues.DISPLAY,
                bounding_box=(0.01, 0.01, 0.99, 0.12),
                text_justification="LEFT",
            )
        ],
    )
    state = GrayscaleSoftcopyPresentationState(
        referenced_images=[evidence],
        graphic_annotations=[annotation],
        graphic_layers=[layer],
        content_label="SECONDREAD",
        content_description="Not for diagnosis",
        **numbering(source, GSPS),
    )
    say_side(state, source)
    sign(state, source, zone)
    state.PresentationCreationDate, state.PresentationCreationTime = state.ContentDate, state.ContentTime
    for name in ("ContentDate", "ContentTime"):
        delattr(state, name)
    return state


def _inside(outline: list[tuple[float, float]], source: Source) -> np.ndarray:
    """float (n, 2): corners, column and row from 0, none beyond the last pixel."""
    last = np.array([max(source.shown.columns, 1) - 1, max(source.shown.rows, 1) - 1], dtype=np.float64)
    return np.clip(np.array(outline, dtype=np.float64), 0, last)


def _referenced(source: Source) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = source.shown.sop_class_uid
    item.ReferencedSOPInstanceUID = source.shown.sop_instance_uid
    if source.frame is not None:
        item.ReferencedFrameNumber = source.frame
    return item
