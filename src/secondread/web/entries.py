"""A reading as the API shows it: the fixed contract, and beside it what a page needs."""

from collections.abc import Mapping
from typing import Any

from flask import Response, current_app

from secondread.images import Image, encode_png, to_display
from secondread.pages import data_uri
from secondread.reading import HeatMap, OperatingPoint, overlay_of
from secondread.service import Answered, AnswerFacts, Outcome, StoredReading
from secondread.tasks import Task, modality_said, part_said
from secondread.web.context import service

_OF_IMAGE = ("width", "height", "format", "bit_depth", "modality", "body_part", "frame", "n_frames")


def entry(found: Answered, *, path: str | None, facts: AnswerFacts) -> dict[str, Any]:
    """One element of `readings`. path: what the client named the file; facts: of the answer."""
    outcome, stored = found.outcome, found.stored
    shown = _of_answer(outcome, found.task, facts)
    kept = {"id": stored.id if stored else None, "stored": stored is not None, "from_store": found.from_store}
    display = {"display": _picture(found.image) | shown}
    contract = outcome.contract(path=path, heatmap=_overlay(found.heatmap)) | facts.meaning.to_dict()
    return contract | display | kept


def kept_entry(reading: StoredReading, *, facts: AnswerFacts) -> dict[str, Any]:
    """The same for a reading out of the store, without its pictures."""
    of_image = {name: reading.facts.get(name) or None for name in _OF_IMAGE}
    display = {"image": None, **of_image, "frame": reading.frame + 1, "notes": list(reading.facts.get("notes", ()))}
    kept = {"id": reading.id, "stored": True, "from_store": True}
    shown = {"display": display | _of_answer(reading, facts.task, facts)}
    return reading.contract(path=reading.name, heatmap=None) | facts.meaning.to_dict() | shown | kept


def stored_row(reading: StoredReading, *, counting: Mapping[str, float] | None = None) -> dict[str, Any]:
    """A reading as lists and exports have it. counting: the prevalences that count here, for many rows."""
    return reading.to_dict() | service().prevalences.meaning_of(reading, counting=counting).to_dict()


def without_pictures(answer: Response) -> Response:
    """The same without what was drawn for it: no image of a patient is kept but in the store."""
    body = answer.get_json()
    for one in body["readings"]:
        one["heatmap"] = one["display"]["image"] = None
    return current_app.response_class(current_app.json.dumps(body), status=answer.status_code, mimetype=answer.mimetype)


def band_of(point: OperatingPoint) -> list[float] | None:
    """The bounds between which a probability is uncertain, where the point has them."""
    return None if point.low is None or point.high is None else [point.low, point.high]


def status_of(entries: list[dict[str, Any]]) -> int:
    """200 if anything was read; else what fits every refusal: 413 too large, 415 no image we read, 422 the rest."""
    codes = {entry["refusal"]["code"] if entry["refusal"] else "" for entry in entries}
    if "" in codes:
        return 200
    if codes == {"too_large"}:
        return 413
    return 415 if codes <= {"not_an_image", "unsupported"} else 422


def _of_answer(outcome: Outcome, task: Task | None, facts: AnswerFacts) -> dict[str, Any]:
    return {
        "elapsed_ms": round(1000 * outcome.elapsed, 1),
        "task_title": task.title if task else None,
        "decision_text": outcome.decision_text or None,
        "outlook": facts.outlook.of(outcome.decision, facts.task) if outcome.decision else None,
        "threshold": outcome.threshold,
        "band": outcome.band,
    }


def _overlay(heatmap: HeatMap | Image | None) -> str | None:
    longest_side = current_app.config["HEATMAP_PIXELS"]
    if heatmap is None:
        return None
    if isinstance(heatmap, HeatMap):
        return data_uri(heatmap.overlay_png(longest_side=longest_side))
    return data_uri(overlay_of(to_display(heatmap, longest_side=longest_side)))


def _picture(image: Image | None) -> dict[str, Any]:
    if image is None:
        return dict.fromkeys(("image", *_OF_IMAGE)) | {"notes": []}
    preview = encode_png(to_display(image, longest_side=current_app.config["PREVIEW_PIXELS"]))
    facts = {name: getattr(image, name) or None for name in _OF_IMAGE}
    facts |= {"modality": modality_said(image.modality) or None, "body_part": part_said(image.body_part) or None}
    return {"image": data_uri(preview)} | facts | {"frame": image.frame + 1, "notes": list(image.notes)}
