"""Second opinions: given, listed, settled, exported for `train` and `recalibrate`."""

import io
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from apiflask import APIBlueprint, Schema
from apiflask.fields import Boolean, Integer, List, Nested, String
from apiflask.validators import Length, OneOf
from flask import Response

from secondread.service import REVIEW_STATES, VERDICTS, Review, check_shown
from secondread.tasks import list_tasks, task_named
from secondread.web.auth import current_actor, current_role, require
from secondread.web.context import service
from secondread.web.document import other
from secondread.web.filters import FilterQuery, filter_of
from secondread.web.idempotency import once
from secondread.web.shapes import Text, one_of, said, shape_of

reviews = APIBlueprint("reviews", __name__, url_prefix="/api/v1", tag="reviews")


class ReviewIn(Schema):
    """An opinion."""

    verdict = Text(required=True, validate=OneOf(VERDICTS))
    finding = Integer(
        load_default=None,
        allow_none=True,
        strict=True,
        validate=OneOf([0, 1]),
        metadata=said("1 disease, 0 none; needed where there is no answer to agree with"),
    )
    note = Text(load_default="", validate=Length(max=4000))
    saw_answer = Boolean(
        load_default=True,
        metadata=said(
            "false: written down before the answer was shown; 409 where it was shown to this account already. Where "
            "answers are withheld until an opinion is given, it is false whatever is sent"
        ),
    )


class AdjudicationIn(Schema):
    """What settles a dispute."""

    finding = Integer(required=True, strict=True, validate=OneOf([0, 1]), metadata=said("1 disease, 0 none"))
    note = Text(load_default="", validate=Length(max=4000))


class ManifestQuery(FilterQuery):
    """Which reviewed images, of one task."""

    task = Text(required=True, validate=OneOf(list_tasks(), error="unknown task '{input:.80}'; known: {choices}"))
    split = Text(load_default="", validate=OneOf(["", "train", "val", "test"]))


class ScoresQuery(FilterQuery):
    """Which reviewed images, of one bundle."""

    bundle = Text(required=True, metadata=said("task/name@hash, as readings name it"))


@shape_of(
    Review,
    "id reading_id reviewer kind verdict finding note saw_answer decision_then probability_then supersedes made_at "
    "current",
)
class ReviewOut(Schema):
    """One opinion, as it was given."""

    kind = one_of(["review", "adjudication"])
    verdict = one_of(VERDICTS)
    finding = said("1 disease, 0 none")
    current = said("false where the same person gave a later one")


class ReviewsOut(Schema):
    """Every opinion on a reading, the oldest first, and where its review stands."""

    reviews = List(Nested(ReviewOut), required=True)
    needed = Integer(required=True, metadata=said("people who must review a reading"))
    review_state = String(required=True, metadata=one_of(REVIEW_STATES))
    finding = Integer(required=True, allow_none=True)


@reviews.post("/readings/<int:reading_id>/reviews")
@require("review")
@reviews.input(ReviewIn)
@reviews.doc(operation_id="addReview", summary="Give an opinion on a reading")
@once(reviews)
@reviews.output(ReviewOut, status_code=201)
def add_review(reading_id: int, json_data: dict[str, Any]) -> Any:
    """Note an opinion. An earlier one of the same person stays and counts no more."""
    made = service().reviews.add(reading_id, **json_data, actor=current_actor(), role=current_role())
    return made, 201, {"Location": f"/api/v1/readings/{reading_id}/reviews"}


@reviews.get("/readings/<int:reading_id>/reviews")
@require("read")
@reviews.output(ReviewsOut)
@reviews.doc(operation_id="listReviews", summary="List the opinions on a reading")
def list_reviews(reading_id: int) -> Any:
    """Answer with every opinion, the oldest first, and where the review stands."""
    reading = service().readings.get(reading_id, actor=current_actor())
    check_shown(reading)
    return {
        "reviews": service().reviews.of(reading_id),
        "needed": service().reviews.needed,
        "review_state": reading.review_state,
        "finding": reading.finding,
    }


@reviews.post("/readings/<int:reading_id>/adjudication")
@require("review")
@reviews.input(AdjudicationIn)
@reviews.doc(operation_id="adjudicate", summary="Settle a disputed reading")
@once(reviews)
@reviews.output(ReviewOut, status_code=201)
def adjudicate(reading_id: int, json_data: dict[str, Any]) -> Any:
    """Settle a reading on which reviewers differ or are unsure, by someone who did not review it."""
    made = service().reviews.adjudicate(reading_id, **json_data, actor=current_actor(), role=current_role())
    return made, 201, {"Location": f"/api/v1/readings/{reading_id}/reviews"}


@reviews.get("/reviews/manifest.zip")
@require("review")
@reviews.input(ManifestQuery, location="query")
@reviews.doc(
    operation_id="exportReviewed",
    summary="Export reviewed images for training",
    responses=other("application/zip", "An archive of manifest.csv and the images"),
)
def export_manifest(query_data: dict[str, Any]) -> Response:
    """Answer with the images reviewers agreed on and what they found, as `secondread train --data` takes them."""
    split = query_data.pop("split")
    only = filter_of(query_data)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        task = task_named(query_data["task"]).name
        service().exports.manifest(folder, task=task, only=only, split=split, actor=current_actor())
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:  # images are compressed already
            for path in sorted(path for path in folder.rglob("*") if path.is_file()):
                archive.write(path, path.relative_to(folder))
    headers = {"Content-Disposition": 'attachment; filename="reviewed.zip"'}
    return Response(packed.getvalue(), content_type="application/zip", headers=headers)


@reviews.get("/reviews/scores.csv")
@require("review")
@reviews.input(ScoresQuery, location="query")
@reviews.doc(
    operation_id="exportScores",
    summary="Export reviewed scores for recalibration",
    responses=other("text/csv", "One line an image: path, probability, outcome, patient, bundle"),
)
def export_scores(query_data: dict[str, Any]) -> Response:
    """Answer with the table that `secondread recalibrate --scores` takes."""
    only = filter_of(query_data)
    text = service().exports.scores(bundle=query_data["bundle"], only=only, actor=current_actor())
    headers = {"Content-Disposition": 'attachment; filename="scores.csv"'}
    return Response(text, content_type="text/csv; charset=utf-8", headers=headers)
