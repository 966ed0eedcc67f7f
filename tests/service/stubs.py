"""Small images, drafts of readings, and a reader that answers without a network."""

import hashlib
from collections.abc import Callable

import numpy as np

from secondread.reading import HeatMap
from secondread.service import Actor, Draft, Service, Worker
from secondread.service.map_cells import pack
from secondread.testing.phantoms import encode

BUNDLE_SHA = "b" * 64
MAP = HeatMap(np.float32([[0, 1], [2, -1]]), (0, 0, 16, 16), 16, 16)


def image_bytes(number: int) -> bytes:
    """A tiny PNG, another one for each number."""
    rng = np.random.default_rng(number)
    return encode(rng.integers(0, 255, (16, 16), dtype=np.uint8), "PNG")


def stage(service: Service, data: bytes) -> str:
    """Put an image into the store; its hash."""
    return service.intake.stage(data, actor=Actor("anna", "test")).sha256


def draft(probability: float | None = 0.8, *, low: float | None = None, refusal: str = "", **more: object) -> Draft:
    """A reading at threshold 0.5, or a refusal."""
    if refusal:
        return Draft(
            task="tuberculosis", bundle="tuberculosis/stub@bbbbbbbb", bundle_sha256=BUNDLE_SHA,
            refusal_code=refusal, refusal_message="it cannot be read", has_thumbnail=True,
        )  # fmt: skip
    assert probability is not None
    decision = "positive" if probability > 0.5 else "negative"
    if low is not None and low < probability <= 0.5:
        decision = "uncertain"
    values: dict[str, object] = {
        "task": "tuberculosis",
        "bundle": "tuberculosis/stub@bbbbbbbb",
        "bundle_sha256": BUNDLE_SHA,
        "operating_point": "screening",
        "threshold": 0.5,
        "low": low,
        "high": None if low is None else 0.5,
        "probability": probability,
        "decision": decision,
        "has_thumbnail": True,
        "map_cells": pack(MAP),
        "facts": {"width": 16, "height": 16, "format": "PNG"},
    }
    return Draft(**(values | more))  # type: ignore[arg-type]


def read(data: bytes) -> Draft:
    """A stand-in for a reader: the probability follows from the bytes."""
    return draft(int(hashlib.sha256(data).hexdigest()[:4], 16) / 65536)


def worker_of(service: Service, answer: Callable[[bytes], Draft] = read, *, poll_seconds: float = 0.01) -> Worker:
    """A worker of the queue that asks no reader."""
    return Worker(service.queue, lambda sha256, asked: answer(service.images.image(sha256)), poll_seconds=poll_seconds)
