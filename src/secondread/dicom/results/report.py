"""The structured report of a reading: TID 1500 of PS3.16, as a Comprehensive SR document (PS3.3 A.35.3)."""

from collections.abc import Sequence
from datetime import tzinfo
from typing import Any

import numpy as np
from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    ComprehensiveSR,
    DeviceObserverIdentifyingAttributes,
    ImageRegion,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    RelationshipTypeValues,
    SourceImageForMeasurementGroup,
    SourceImageForRegion,
    TextContentItem,
    TrackingIdentifier,
)
from pydicom.dataset import Dataset

from secondread import __version__
from secondread.dicom.results import codes
from secondread.dicom.results.common import CAVEAT, answer_in_words, numbering, request_of, sign
from secondread.dicom.results.findings import boxes_of
from secondread.dicom.results.source import MAKER, SR, Source, made_uid

_LONGEST_TEXT = 1024  # characters of a comment


def structured_report(source: Source, *, zone: tzinfo | None = None) -> Dataset:
    """What came out, for machines and people: the answer, or why there is none, and each box as a region of the image.

    zone: whose time stands in it; None: the machine's.
    """
    groups: list[Any] = [_refusal(source)] if source.reading.refusal_code else [_answer(source), *_regions(source)]
    evidence = source.evidence
    document = ComprehensiveSR(
        evidence=evidence,
        content=MeasurementReport(
            observation_context=_observer(source),
            procedure_reported=codes.PROCEDURES.get(source.shown.modality, codes.ANY_PROCEDURE),
            imaging_measurements=groups,
            title=codes.REPORT,
        ),
        is_complete=True,
        is_final=False,  # nobody has looked at it yet
        coding_schemes=codes.SCHEMES,
        requested_procedures=[requested] if (requested := request_of(source)) is not None else None,
        **numbering(source, SR),
    )
    return sign(document, source, zone)


def _observer(source: Source) -> ObservationContext:
    model = source.reading.bundle or "secondread"
    device = DeviceObserverIdentifyingAttributes(
        uid=made_uid("device", source.reading.bundle_sha256),
        name="secondread",
        manufacturer_name=MAKER,
        model_name=model,
    )
    return ObservationContext(observer_device_context=ObserverContext(codes.DEVICE, device))


def _answer(source: Source) -> MeasurementsAndQualitativeEvaluations:
    """The answer of the whole image or series (TID 1501)."""
    reading = source.reading
    assert reading.probability is not None
    measurements = [Measurement(codes.PROBABILITY, reading.probability, codes.NO_UNITS)]
    if reading.threshold is not None:
        measurements.append(Measurement(codes.THRESHOLD, reading.threshold, codes.NO_UNITS))
    evaluations = [
        QualitativeEvaluation(codes.DECISION, codes.DECISIONS[reading.decision]),
        QualitativeEvaluation(codes.POINT, codes.own(reading.operating_point, reading.operating_point)),
    ]
    group = _group(source, codes.finding_of(source.task), measurements, evaluations)
    told = (answer_in_words(source), reading.decision_text, *reading.warnings, CAVEAT)
    return _with_comments(group, told)


def _refusal(source: Source) -> MeasurementsAndQualitativeEvaluations:
    """That it was not read is a result too: whoever waits for one must not wait for ever."""
    evaluations = [QualitativeEvaluation(codes.OUTCOME, codes.refusal_of(source.reading))]
    group = _group(source, None, [], evaluations)
    return _with_comments(group, (answer_in_words(source), source.reading.refusal_message, CAVEAT))


def _group(
    source: Source,
    finding: CodedConcept | None,
    measurements: Sequence[Measurement],
    evaluations: Sequence[QualitativeEvaluation],
) -> MeasurementsAndQualitativeEvaluations:
    shown = source.shown
    frames = None if source.frame is None else [source.frame]
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(made_uid("answer", source.uid(SR)), "answer"),
        finding_type=finding,
        algorithm_id=_algorithm(source),
        measurements=measurements or None,
        qualitative_evaluations=evaluations,
        source_images=[SourceImageForMeasurementGroup(shown.sop_class_uid, shown.sop_instance_uid, frames)],
    )


def _regions(source: Source) -> list[PlanarROIMeasurementsAndQualitativeEvaluations]:
    """One for each box (TID 1410): a closed line on the image in columns and rows of its pixels."""
    shown = source.shown
    frames = None if source.frame is None else [source.frame]
    image = SourceImageForRegion(shown.sop_class_uid, shown.sop_instance_uid, frames)
    return [
        PlanarROIMeasurementsAndQualitativeEvaluations(
            tracking_identifier=TrackingIdentifier(made_uid("box", number, source.uid(SR)), f"box {number}"),
            # Columns and rows, 0 being the outer edge of the first pixel (PS3.3 C.18.6.1.1).
            referenced_region=ImageRegion("POLYLINE", np.array(box.corners, dtype=np.float32), image),
            finding_type=codes.finding_of(source.task),
            algorithm_id=_algorithm(source),
            measurements=[Measurement(codes.PROBABILITY, box.score, codes.NO_UNITS)],
        )
        for number, box in enumerate(boxes_of(source.reading), start=1)
    ]


def _algorithm(source: Source) -> AlgorithmIdentification:
    """TID 4019: which bundle of which version, at which operating point."""
    reading = source.reading
    if not reading.bundle:
        return AlgorithmIdentification(name="secondread", version=__version__, manufacturer=MAKER)
    said = [
        f"bundle_sha256={reading.bundle_sha256}",
        f"operating_point={reading.operating_point}",
        f"threshold={reading.threshold!r}",
        f"secondread={__version__}",
    ]
    name, _, version = reading.bundle.partition("@")
    parameters = [text[:_LONGEST_TEXT] for text in said if not text.endswith(("=", "=None"))]
    return AlgorithmIdentification(name=name, version=version, parameters=parameters, manufacturer=MAKER)


def _with_comments(
    group: MeasurementsAndQualitativeEvaluations, sentences: Sequence[str]
) -> MeasurementsAndQualitativeEvaluations:
    """What is for people alone, as text items at the end of the group: TID 1501 may be extended."""
    for text in filter(None, sentences):
        group[0].ContentSequence.append(
            TextContentItem(codes.COMMENT, text[:_LONGEST_TEXT], RelationshipTypeValues.CONTAINS)
        )
    return group
