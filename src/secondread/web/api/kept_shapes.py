"""The shapes of what is kept: readings out of the store, uploads, opinions.

A `…Row` is what lists hold; the document names it apart from the same shape as an answer of its own.
"""

from apiflask import Schema
from apiflask.fields import Boolean, Dict, Float, Integer, List, Nested, String

from secondread.service import REVIEW_STATES, STATES, VERDICTS
from secondread.web.schemas import RefusalOut, said


class StoredRow(Schema):
    """A reading out of the store: the shape of `secondread read --json`, then what the store adds."""

    path = String(required=True, metadata=said("the file's name; empty where retention has erased it"))
    task = String(required=True, allow_none=True)
    bundle = String(required=True, allow_none=True, metadata=said("task/name@first digits of its hash"))
    probability = Float(required=True, allow_none=True)
    score = Integer(required=True, allow_none=True, metadata=said("0 to 100"))
    decision = String(required=True, allow_none=True, metadata={"enum": ["positive", "negative", "uncertain", None]})
    operating_point = String(required=True, allow_none=True)
    warnings = List(String(), required=True, allow_none=True)
    heatmap = String(required=True, allow_none=True, metadata=said("name of the stored heat map; see …/heatmap"))
    refusal = Nested(RefusalOut, required=True, allow_none=True)
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
    review_state = String(required=True, metadata={"enum": list(REVIEW_STATES)})
    finding = Integer(required=True, allow_none=True, metadata=said("what reviewers concluded: 1 disease, 0 none"))
    n_reviews = Integer(required=True)
    reason = String(required=True, metadata=said("why it stands where it does in triage order"))
    deleted = Boolean(required=True)
    erased = Boolean(required=True, metadata=said("image, name and notes were deleted by retention"))


class StoredOut(StoredRow):
    """A reading out of the store."""


class ListOut(Schema):
    """Readings."""

    readings = List(Nested(StoredRow), required=True)


class PageOut(ListOut):
    """A page of readings."""

    next = String(
        required=True, allow_none=True, metadata=said("give it as `after` for the next page; null at the end")
    )


class CountsOut(Schema):
    """How many images of an upload are in each state."""

    queued = Integer(required=True)
    running = Integer(required=True)
    done = Integer(required=True)
    refused = Integer(required=True)
    failed = Integer(required=True)
    cancelled = Integer(required=True)


class BatchRow(Schema):
    """Where an upload stands."""

    id = Integer(required=True)
    task = String(required=True)
    bundle = String(required=True)
    operating_point = String(required=True)
    source = String(required=True)
    created_at = String(required=True, metadata={"format": "date-time"})
    created_by = String(required=True)
    cancelled_at = String(required=True, allow_none=True, metadata={"format": "date-time"})
    n = Integer(required=True, metadata=said("images in all"))
    counts = Nested(CountsOut, required=True)
    finished = Boolean(required=True)


class BatchOut(BatchRow):
    """Where an upload stands."""


class BatchesOut(Schema):
    """Uploads, the newest first."""

    batches = List(Nested(BatchRow), required=True)


class ItemOut(Schema):
    """Where one image of an upload stands."""

    id = Integer(required=True)
    name = String(required=True)
    state = String(required=True, metadata={"enum": list(STATES)})
    reading_id = Integer(required=True, allow_none=True)
    code = String(required=True, metadata=said("why it was not read; empty where it was"))
    message = String(required=True)
    attempts = Integer(required=True)


class BatchWithItemsOut(BatchRow):
    """Where an upload stands, and some of its images."""

    items = List(Nested(ItemOut), required=True)
    next = Integer(required=True, allow_none=True, metadata=said("give it as `after` for more; null at the end"))


class ReviewRow(Schema):
    """One opinion, as it was given."""

    id = Integer(required=True)
    reading_id = Integer(required=True)
    reviewer = String(required=True)
    kind = String(required=True, metadata={"enum": ["review", "adjudication"]})
    verdict = String(required=True, metadata={"enum": list(VERDICTS)})
    finding = Integer(required=True, allow_none=True, metadata=said("1 disease, 0 none"))
    note = String(required=True)
    saw_answer = Boolean(required=True)
    decision_then = String(required=True)
    probability_then = Float(required=True, allow_none=True)
    supersedes = Integer(required=True, allow_none=True)
    made_at = String(required=True, metadata={"format": "date-time"})
    current = Boolean(required=True, metadata=said("false where the same person gave a later one"))


class ReviewOut(ReviewRow):
    """One opinion, as it was given."""


class ReviewsOut(Schema):
    """Every opinion on a reading, the oldest first, and where its review stands."""

    reviews = List(Nested(ReviewRow), required=True)
    needed = Integer(required=True, metadata=said("people who must review a reading"))
    review_state = String(required=True, metadata={"enum": list(REVIEW_STATES)})
    finding = Integer(required=True, allow_none=True)
