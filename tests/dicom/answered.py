"""An object that a node received and that was read: a phantom under a name of one's choice, and its reading."""

from pathlib import Path
from typing import Any

import numpy as np
from pydicom.uid import DigitalXRayImageStorageForPresentation

from secondread.dicom.arrivals import Arrivals, Sender
from secondread.dicom.rules import load_rules
from secondread.reading import HeatMap
from secondread.service import NODE, Draft, Service
from secondread.service.map_cells import pack
from secondread.testing.phantoms import chest_phantom, dicom_bytes
from tests.service.stubs import draft

WHO = {
    "PatientName": "Doe^Jane",
    "PatientID": "P-123",
    "PatientBirthDate": "19700101",
    "PatientSex": "F",
    "AccessionNumber": "ACC-1",
    "StudyInstanceUID": "1.2.826.0.1.3680043.8.498.1",
    "SeriesInstanceUID": "1.2.826.0.1.3680043.8.498.1.1",
    "SOPInstanceUID": "1.2.826.0.1.3680043.8.498.1.1.1",
    "SOPClassUID": DigitalXRayImageStorageForPresentation,
    "StudyID": "S1",
    "StudyDate": "20260102",
    "StudyTime": "101112",
    "ReferringPhysicianName": "House^G",
    "InstanceNumber": 1,
    "SeriesNumber": 2,
}


def sent(**elements: Any) -> bytes:
    """A chest film as a scanner sends it."""
    pixels = chest_phantom((300, 240), random_state=1, lesion=True)
    return dicom_bytes(pixels, **(WHO | elements))


BOXES = (  # as a bundle that has boxes finds them
    {"box": [60.0, 80.0, 70.0, 80.0], "score": 0.8, "label": "tuberculosis"},
    {"box": [20.0, 180.5, 50.0, 80.0], "score": 0.6, "label": "tuberculosis"},
)


def a_map(width: int = 240, height: int = 300) -> HeatMap:
    """One strong place in the upper left quarter."""
    cells = np.zeros((10, 8), np.float32)
    cells[3, 2], cells[3, 3], cells[4, 2] = 4.0, 2.5, 2.0
    return HeatMap(cells, (0, 0, width, height), width, height, 4.0)


def answer(probability: float | None = 0.87, *, refusal: str = "", **more: Any) -> Draft:
    """What a reader says of that film."""
    facts = {"width": 240, "height": 300, "format": "DICOM", "modality": "DX"}
    if refusal:
        return draft(refusal=refusal)
    values: dict[str, Any] = {"facts": facts, "decision_text": "signs of tuberculosis", "map_cells": pack(a_map())}
    return draft(probability, **(values | more))


def answered(service: Service, found: Draft, *, destinations: tuple[str, ...] = (), data: bytes = b"") -> int:
    """Receive an object, store what was said of it; the reading's number."""
    arrivals = Arrivals(service.dicom, service.intake, load_rules(destinations=destinations))
    arrivals.take(data or sent(), Sender("SCANNER", "SECONDREAD", "127.0.0.1"), actor=NODE)
    claim = service.dicom.claim()
    assert claim is not None
    stored = service.dicom.finish(claim, found)
    assert stored is not None
    return stored.id


def opened(folder: Path, **settings: Any) -> Service:
    """An empty service on SQLite."""
    return Service.open({"DATA_FOLDER": str(folder), **settings})
