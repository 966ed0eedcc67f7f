"""A reading as the API shows it: the fixed contract, and beside it what a page needs."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from flask import Response, current_app, request, url_for

from secondread.images import Image, encode_png, to_display
from secondread.pages import data_uri
from secondread.reading import HeatMap, OperatingPoint
from secondread.service import Answered, AnswerFacts, Outcome, StoredReading
from secondread.tasks import Task, modality_said, part_said
from secondread.web.auth import current_actor
from secondread.web.context import service
from secondread.web.language import in_text, said, step_in_words
from secondread.web.shapes import LARGEST_ID

INLINE, LINKS = "inline", "links"  # how an answer has its pictures
_OF_IMAGE = ("width", "height", "format", "bit_depth", "modality", "body_part", "frame", "n_frames")


def entry(found: Answered, *, path: str | None, facts: AnswerFacts, pictures: str = INLINE) -> dict[str, Any]:
    """One element of `readings`. path: what the client named the file; facts: of the answer; pictures: as asked for."""
    outcome, stored = found.outcome, found.stored
    kept = {"id": stored.id if stored else None, "stored": stored is not None, "from_store": found.from_store}
    if pictures == LINKS:
        drawn = _addresses(stored)
    else:
        drawn = {"image": _preview(found.image), "heatmap": _overlay(found.heatmap)}
    display = {"image": drawn["image"]} | _of_image(found.image) | _of_answer(outcome, found.task, facts)
    contract = outcome.contract(path=path, heatmap=drawn["heatmap"]) | facts.meaning.to_dict()
    return _told(contract, outcome) | {"display": display} | kept


def kept_entry(reading: StoredReading, *, facts: AnswerFacts) -> dict[str, Any]:
    """The same for a reading out of the store, with the addresses of its pictures."""
    of_image = {name: reading.facts.get(name) or None for name in _OF_IMAGE}
    of_image |= {"frame": reading.frame + 1, "notes": list(reading.facts.get("notes", ()))}
    kept = {"id": reading.id, "stored": True, "from_store": True}
    drawn = _addresses(reading)
    display = {"image": drawn["image"]} | of_image | _of_answer(reading, facts.task, facts)
    contract = reading.contract(path=reading.name, heatmap=drawn["heatmap"]) | facts.meaning.to_dict()
    return _told(contract, reading) | {"display": display} | kept


def stored_row(reading: StoredReading, *, counting: Mapping[str, float] | None = None) -> dict[str, Any]:
    """A reading as lists and exports have it. counting: the prevalences that count here, for many rows."""
    meaning = service().prevalences.meaning_of(reading, counting=counting)
    return _told(reading.to_dict() | meaning.to_dict(), reading)


def placed_rows(
    readings: Sequence[StoredReading], *, counting: Mapping[str, float] | None = None
) -> list[dict[str, Any]]:
    """The same, each with the patient, study and series that it belongs to: in three statements, however many."""
    belongs = service().studies.of([one.id for one in readings], actor=current_actor())
    rows = [stored_row(one, counting=counting) for one in readings]
    for row in rows:
        found = belongs.get(row["id"])
        row["belongs"] = None if found is None else vars(found)
    return rows


def with_links(answer: Response) -> Response:
    """The same with addresses in place of what was drawn for it: no image of a patient is kept but in the store."""
    body = answer.get_json()
    for one in body["readings"]:
        if one["stored"]:
            drawn = _addresses_of(one["id"], heatmap=one["heatmap"] is not None)
            one["heatmap"], one["display"]["image"] = drawn["heatmap"], one["display"]["image"] and drawn["image"]
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
    return 415 if codes <= {"not_an_image", "unsupported", "archive"} else 422


def _told(contract: dict[str, Any], outcome: Outcome) -> dict[str, Any]:
    """With what to do now, and its sentences in the language of whoever asks."""
    refusal, warnings = contract["refusal"], contract["warnings"]
    return contract | {
        "warnings": warnings and [said(text) for text in warnings],
        "refusal": refusal and refusal | {"message": in_text(refusal["message"], refusal["code"])},
        "next_step": step_in_words(outcome.next_step),
    }


def _of_answer(outcome: Outcome, task: Task | None, facts: AnswerFacts) -> dict[str, Any]:
    return {
        "elapsed_ms": round(1000 * outcome.elapsed, 1),
        "task_title": said(task.title) if task else None,
        "decision_text": said(outcome.decision_text) or None,
        "outlook": facts.outlook.of(outcome.decision, facts.task, said) if outcome.decision else None,
        "threshold": outcome.threshold,
        "band": outcome.band,
    }


def _addresses(reading: StoredReading | None) -> dict[str, str | None]:
    """Of the pictures that can be drawn: of what was decoded and is kept still."""
    if reading is None or reading.erased_at is not None or not reading.facts.get("width"):
        return {"image": None, "heatmap": None}
    return _addresses_of(reading.id, heatmap=bool(reading.heat_map))


def _addresses_of(reading_id: int, *, heatmap: bool) -> dict[str, str | None]:
    image, overlay = _address_forms(request.root_path, current_app.config["PREVIEW_PIXELS"])
    return {"image": image.format(reading_id), "heatmap": overlay.format(reading_id) if heatmap else None}


@lru_cache(maxsize=8)
def _address_forms(_root: str, preview_pixels: int) -> tuple[str, str]:
    """Of image and heat map, with {} for the number of the reading. _root: where the application is mounted."""
    image = url_for("pictures.image", reading_id=LARGEST_ID, longest_side=preview_pixels)
    overlay = url_for("pictures.heatmap", reading_id=LARGEST_ID, colours="inferno")
    return image.replace(str(LARGEST_ID), "{}"), overlay.replace(str(LARGEST_ID), "{}")


def _overlay(heatmap: HeatMap | None) -> str | None:
    longest_side = current_app.config["HEATMAP_PIXELS"]
    return None if heatmap is None else data_uri(heatmap.overlay_png(longest_side=longest_side))


def _preview(image: Image | None) -> str | None:
    if image is None:
        return None
    return data_uri(encode_png(to_display(image, longest_side=current_app.config["PREVIEW_PIXELS"])))


def _of_image(image: Image | None) -> dict[str, Any]:
    if image is None:
        return dict.fromkeys(_OF_IMAGE) | {"notes": []}
    facts = {name: getattr(image, name) or None for name in _OF_IMAGE}
    facts |= {"modality": modality_said(image.modality) or None, "body_part": part_said(image.body_part) or None}
    return facts | {"frame": image.frame + 1, "notes": list(image.notes)}
