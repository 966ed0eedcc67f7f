"""What is answered of an image: at once, as a page shows it, and out of the store."""

from apiflask import Schema
from apiflask.fields import Boolean, Dict, Float, Integer, List, Nested, String

from secondread.reading import Finding, Refusal
from secondread.service import REVIEW_STATES, Belongs, Local
from secondread.tasks import ACTIONS, NextStep
from secondread.web.shapes import one_of, said, shape_of

_BOXES = (
    "boxes that reach an operating point of the bundle, or the one that decides; the image is positive exactly where "
    "one of them reaches the latter. null for a bundle without boxes, and where the image was not read"
)


@shape_of(Refusal, "code message")
class RefusalOut(Schema):
    """Why an image was not read."""

    code = said("for programs: not_an_image, unsupported, truncated, too_large, …")
    message = said("for people: what is wrong and what to do")


@shape_of(Finding, "box score label")
class FindingOut(Schema):
    """A box around what looks diseased; not the border of a lesion."""

    box = said("x, y, width, height in pixels of the image as decoded")
    score = said("calibrated, on the scale of `probability`: the greatest of them is the image's")
    label = said("the task's positive class")


class FrameOut(Schema):
    """What came out for one frame of a file."""

    frame = Integer(required=True, metadata=said("from 1"))
    score = Integer(required=True, allow_none=True, metadata=said("0 to 100; null where it was not read"))
    decision = String(required=True, allow_none=True, metadata=one_of(["positive", "negative", "uncertain", None]))
    refusal = String(required=True, allow_none=True, metadata=said("code of why it was not read, or null"))
    findings = List(Nested(FindingOut), required=True, allow_none=True, metadata=said(_BOXES))


class LikelihoodRow(Schema):
    """What a likelihood ratio rests on."""

    low = Float(required=True, allow_none=True, metadata=said("95 % interval"))
    high = Float(required=True, allow_none=True, metadata=said("null: no upper end can be told"))
    split = String(required=True, metadata=said("of the bundle's evidence"))
    n_positive = Integer(required=True, metadata=said("diseased images in it"))
    n_negative = Integer(required=True)


@shape_of(Local, "prevalence probability")
class LocalRow(Schema):
    """How likely disease is after an answer, where it is as common as this site has said."""

    prevalence = said("share of the diseased among those examined here, as the site has set it for the task")
    probability = said("converted from the share of the diseased that the bundle was calibrated to")


@shape_of(NextStep, "code action message")
class NextStepRow(Schema):
    """What to do now, for whoever stands beside the patient."""

    code = said("for programs and translators: the task and decision, the code of a refusal, or a state of an upload")
    action = said("what a page offers a button for") | one_of(ACTIONS)
    message = said("one or two sentences, in the language of Accept-Language where it is there")


class ContractOut(Schema):
    """One image's answer: the shape of `secondread read --json`."""

    path = String(required=True, allow_none=True, metadata=said("the file's name as the client gave it"))
    task = String(required=True, allow_none=True)
    bundle = String(required=True, allow_none=True, metadata=said("task/name@first digits of its hash"))
    probability = Float(required=True, allow_none=True, metadata=said("of the positive class, calibrated"))
    score = Integer(required=True, allow_none=True, metadata=said("0 to 100"))
    decision = String(required=True, allow_none=True, metadata=one_of(["positive", "negative", "uncertain", None]))
    operating_point = String(required=True, allow_none=True)
    warnings = List(String(), required=True, allow_none=True)
    heatmap = String(
        required=True, allow_none=True, metadata=said("a PNG to lay over the image: a data: URI, or its address")
    )
    refusal = Nested(RefusalOut, required=True, allow_none=True, metadata=said("set where the image was not read"))
    next_step = Nested(
        NextStepRow, required=True, allow_none=True, metadata=said("what to do now; null where the answer is withheld")
    )
    likelihood_ratio = Float(
        required=True,
        allow_none=True,
        metadata=said(
            "how many times likelier this decision at this operating point is with disease than without, on the whole "
            "test split of the bundle's evidence; at another hospital it may be nearer to 1. null: not measured, or no "
            "healthy image of the split got this answer"
        ),
    )
    likelihood_ratio_measured = Nested(
        LikelihoodRow, required=True, allow_none=True, metadata=said("what it rests on; null: not measured")
    )
    local = Nested(
        LocalRow,
        required=True,
        allow_none=True,
        metadata=said("null where this site has not set how common disease is, see `/prevalences`"),
    )
    findings = List(Nested(FindingOut), required=True, allow_none=True, metadata=said(_BOXES))
    frames = List(Nested(FrameOut), metadata=said("of a file of several frames that was read whole; else not there"))
    worst_frame = Integer(
        allow_none=True, metadata=said("which of them answers, from 1; null where none was read; there with `frames`")
    )


class DisplayOut(Schema):
    """What a page needs to show a reading."""

    image = String(
        required=True,
        allow_none=True,
        metadata=said("preview: a data: URI, or its address; null where nothing was decoded"),
    )
    width = Integer(required=True, allow_none=True, metadata=said("of the image, pixels"))
    height = Integer(required=True, allow_none=True, metadata=said("of the image, pixels"))
    format = String(required=True, allow_none=True)
    bit_depth = Integer(required=True, allow_none=True, metadata=said("as stored"))
    modality = String(required=True, allow_none=True, metadata=said("DICOM (0008,0060)"))
    body_part = String(required=True, allow_none=True, metadata=said("DICOM (0018,0015)"))
    frame = Integer(required=True, allow_none=True, metadata=said("the frame that was read, from 1"))
    n_frames = Integer(required=True, allow_none=True)
    notes = List(String(), required=True, metadata=said("what was done to the pixels that a reader should know"))
    elapsed_ms = Float(required=True, metadata=said("from bytes to answer"))
    task_title = String(required=True, allow_none=True)
    decision_text = String(required=True, allow_none=True, metadata=said("the decision in the task's words"))
    outlook = String(
        required=True,
        allow_none=True,
        metadata=said("how many are missed at this operating point, or are false alarms, at the worst measured place"),
    )
    threshold = Float(required=True, allow_none=True, metadata=said("of the operating point"))
    band = List(
        Float(), required=True, allow_none=True, metadata=said("probabilities between these two bounds are uncertain")
    )


class AnswerOut(ContractOut):
    """One image's answer, what a page shows of it, and where it is kept."""

    display = Nested(DisplayOut, required=True)
    id = Integer(required=True, allow_none=True, metadata=said("of the stored reading; null where it is not kept"))
    stored = Boolean(required=True, metadata=said("whether it is kept here"))
    from_store = Boolean(required=True, metadata=said("whether it was answered from the store, without reading again"))


class ReadingsOut(Schema):
    """The answers in the order of the files sent."""

    readings = List(Nested(AnswerOut), required=True)


@shape_of(Belongs, "patient accession study series n_views study_uid")
class BelongsRow(Schema):
    """To which patient, study and series a reading belongs, as far as the setting `worklist_patient` tells it."""

    patient = said("a short pseudonym, or the name where the setting says so; empty where it is not known")
    accession = said("accession number, where names are told")
    study = said("last digits of the study's pseudonym, for people; empty where a file names no study")
    series = said("modality, number and words of its description; empty of what was uploaded")
    n_views = said("images of this study that were read, however they came in")
    study_uid = said("pseudonym of the study: the same for all its readings, uploaded or received")


class StoredRow(ContractOut):
    """A reading out of the store: the shape of `secondread read --json`, then what the store adds."""

    path = String(required=True, metadata=said("the file's name; empty where retention has erased it"))
    heatmap = String(required=True, allow_none=True, metadata=said("name of the stored heat map; see …/heatmap"))
    id = Integer(required=True)
    image = String(required=True, metadata=said("SHA-256 of the image as it is kept"))
    frame = Integer(required=True, metadata=said("that was read, from 0"))
    source = String(required=True)
    asked_task = String(required=True, allow_none=True)
    threshold = Float(required=True, allow_none=True)
    band = List(Float(), required=True, allow_none=True)
    facts = Dict(required=True, metadata=said("width, height, format, modality and the like"))
    elapsed_ms = Float(required=True)
    created_at = String(required=True, metadata={"format": "date-time"})
    created_by = String(required=True)
    review_state = String(required=True, metadata=one_of(REVIEW_STATES))
    finding = Integer(required=True, allow_none=True, metadata=said("what reviewers concluded: 1 disease, 0 none"))
    n_reviews = Integer(required=True)
    reason = String(required=True, metadata=said("why it stands where it does in triage order"))
    hidden = Boolean(
        required=True,
        metadata=said(
            "true: the answer is withheld until whoever asks has given an opinion; all that tells it is null"
        ),
    )
    deleted = Boolean(required=True)
    erased = Boolean(required=True, metadata=said("image, name and notes were deleted by retention"))
    belongs = Nested(
        BelongsRow,
        allow_none=True,
        metadata=said("patient, study and series; null where nothing is known or told. Not in exports"),
    )


class StoredOut(StoredRow):
    """A reading out of the store."""
