"""The shapes of requests and answers, as the OpenAPI document shows them."""

from typing import Any

from apiflask import Schema
from apiflask.fields import Boolean, Dict, File, Float, Integer, List, Nested, String
from marshmallow import ValidationError


class Text(String):
    """Text that can be stored: what is no Unicode (half a surrogate pair) is refused."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        found = super()._deserialize(value, attr, data, **kwargs)
        try:
            str(found).encode()
        except UnicodeEncodeError as error:
            raise ValidationError("this is no text") from error
        return str(found).replace("\0", "")


def said(text: str) -> dict[str, str]:
    """What the document says of a field."""
    return {"description": text}


class ReadingForm(Schema):
    """What a client sends: images, and how they are to be read."""

    image = List(
        File(error_messages={"invalid": "send a file, not text"}),
        required=True,
        error_messages={"required": "send one or many files in this form field"},
        metadata=said("one or many files: PNG, JPEG, TIFF, WebP, BMP or DICOM"),
    )
    task = Text(load_default="auto", metadata=said("a task's name, or auto: told from the facts in a DICOM file"))
    bundle = Text(load_default="", metadata=said("a bundle of that task; empty: the task's own choice"))
    operating_point = Text(
        load_default="", metadata=said("an operating point of the bundle; empty: the bundle's own choice")
    )
    source = Text(load_default="", metadata=said("where the images come from, for filters and statistics"))


class RefusalOut(Schema):
    """Why an image was not read."""

    code = String(required=True, metadata=said("for programs: not_an_image, unsupported, truncated, too_large, …"))
    message = String(required=True, metadata=said("for people: what is wrong and what to do"))


class DisplayOut(Schema):
    """What a page needs to show a reading."""

    image = String(
        required=True, allow_none=True, metadata=said("preview as a data: URI; null where nothing was decoded")
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
    threshold = Float(required=True, allow_none=True, metadata=said("of the operating point"))
    band = List(
        Float(), required=True, allow_none=True, metadata=said("probabilities between these two bounds are uncertain")
    )


class ReadingOut(Schema):
    """One image's answer: the shape of `secondread read --json`, and what a page shows."""

    path = String(required=True, allow_none=True, metadata=said("the file's name as the client gave it"))
    task = String(required=True, allow_none=True)
    bundle = String(required=True, allow_none=True, metadata=said("task/name@first digits of its hash"))
    probability = Float(required=True, allow_none=True, metadata=said("of the positive class, calibrated"))
    score = Integer(required=True, allow_none=True, metadata=said("0 to 100"))
    decision = String(required=True, allow_none=True, metadata={"enum": ["positive", "negative", "uncertain", None]})
    operating_point = String(required=True, allow_none=True)
    warnings = List(String(), required=True, allow_none=True)
    heatmap = String(required=True, allow_none=True, metadata=said("a PNG to lay over the image, as a data: URI"))
    refusal = Nested(RefusalOut, required=True, allow_none=True, metadata=said("set where the image was not read"))
    display = Nested(DisplayOut, required=True)


class AnswerOut(ReadingOut):
    """One image's answer, and where it is kept."""

    id = Integer(required=True, allow_none=True, metadata=said("of the stored reading; null where it is not kept"))
    stored = Boolean(required=True, metadata=said("whether it is kept here"))
    from_store = Boolean(required=True, metadata=said("whether it was answered from the store, without reading again"))


class ReadingsOut(Schema):
    """The answers in the order of the files sent."""

    readings = List(Nested(AnswerOut), required=True)


class TaskOut(Schema):
    """One question about one kind of image."""

    name = String(required=True)
    title = String(required=True)
    question = String(required=True)
    modality = String(required=True)
    body_part = String(required=True)
    view = String(required=True)
    classes = List(String(), required=True, metadata=said("negative, positive"))
    positive_class = String(required=True)
    target_sensitivity = Float(required=True)
    target_specificity = Float(required=True)
    intended_use = String(required=True)
    limits = List(String(), required=True)


class TasksOut(Schema):
    """The tasks known here."""

    tasks = List(Nested(TaskOut), required=True)


class OperatingPointOut(Schema):
    """A threshold with its bounds of uncertainty, and what is promised of it."""

    name = String(required=True)
    threshold = Float(required=True)
    band = List(Float(), required=True, allow_none=True)
    chosen_by = String(required=True, metadata=said("how the threshold was found and what is proven of it, in words"))
    guaranteed = Boolean(
        required=True, allow_none=True, metadata=said("whether the promise is proven; null where nothing is promised")
    )
    chosen = Boolean(required=True, metadata=said("used where none is asked for"))


class EvidenceOut(Schema):
    """What was measured at one operating point on one set of images."""

    operating_point = String(required=True)
    split = String(required=True, metadata=said("the set of images: val, test, external, …"))
    measure = String(required=True)
    value = Float(required=True)
    low = Float(required=True, allow_none=True, metadata=said("of the interval"))
    high = Float(required=True, allow_none=True)
    n = Integer(required=True, allow_none=True, metadata=said("images the value rests on"))


class BundleOut(Schema):
    """A trained model that can be asked for."""

    name = String(required=True)
    task = String(required=True)
    id = String(required=True, metadata=said("as readings name it"))
    operating_points = List(Nested(OperatingPointOut), required=True)
    measured = List(Nested(EvidenceOut), required=True)
    card = String(required=True, metadata=said("the model card, Markdown"))
    evidence = Dict(required=True, allow_none=True, metadata=said("all that was measured, as kept in the bundle"))


class BundlesOut(Schema):
    """The bundles installed here."""

    bundles = List(Nested(BundleOut), required=True)


class SettingRow(Schema):
    """A setting and the value that holds."""

    name = String(required=True)
    value = String(required=True)
    default = String(required=True)
    variable = String(required=True, metadata=said("of the environment"))
    help = String(required=True)


class SettingsOut(Schema):
    """Every setting."""

    settings = List(Nested(SettingRow), required=True)


class HealthOut(Schema):
    """The server answers."""

    status = String(required=True, metadata={"enum": ["ok"]})
    version = String(required=True)


class ProblemOut(Schema):
    """What is wrong with a request (RFC 9457)."""

    type = String(required=True)
    title = String(required=True)
    status = Integer(required=True)
    detail = String(required=True, metadata=said("what is wrong and what to do"))
    code = String(required=True, metadata=said("for programs"))
