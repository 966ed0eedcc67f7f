"""From an object that was received to its reading: once, by whoever is there, and handed on."""

from functools import partial
from typing import Any

import numpy as np
import pytest
from pydicom.uid import JPEG2000Lossless, RLELossless

from secondread.dicom import worker as worker_module
from secondread.dicom.node import Node
from secondread.dicom.worker import NodeWorker
from secondread.images import Limits
from secondread.reading import load_named
from secondread.service import NODE, Readers, Service, Worker
from tests.dicom.conftest import StartNode
from tests.dicom.scu import radiograph, send

TO = ("PACS@127.0.0.1:104",)


@pytest.fixture(scope="module")
def readers() -> Readers:
    """The shipped bundles, which read even phantoms."""
    return Readers(limits=Limits(), parallel=1, load=partial(load_named, gate=False))


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, list[str]]]:
    """What is handed to the outbox."""
    found: list[tuple[int, list[str]]] = []
    monkeypatch.setattr(worker_module, "enqueue", lambda service, reading, places, **_: found.append((reading, places)))
    return found


def read_all(service: Service, readers: Readers) -> None:
    """Read all that is due, and hand it on, in this thread."""
    Worker(service.dicom, service.desk(readers.get).look).run_until_empty()
    NodeWorker(service, readers.get).tell()


def test_an_object_is_read_once_and_its_result_handed_on_once(
    start_node: StartNode, service: Service, readers: Readers, told: list[Any]
) -> None:
    send(start_node(destinations=TO), radiograph())
    for _ in range(2):
        read_all(service, readers)
    [row] = service.dicom.latest()
    assert row.state == "read"
    reading = service.readings.get(row.reading_id or 0, actor=NODE)
    assert told == [(row.reading_id, list(TO))]
    assert (reading.task, reading.source, reading.name) == ("tuberculosis", "MODALITY", "CR series 1 image 1")


def test_a_result_that_nobody_takes_is_not_handed_on(
    node: Node, service: Service, readers: Readers, told: list[Any]
) -> None:
    send(node, radiograph())
    read_all(service, readers)
    assert told == []
    assert service.dicom.untold() == {}


def test_killed_before_the_outbox_knows_it_is_handed_on_again(
    start_node: StartNode, service: Service, readers: Readers, told: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    send(start_node(destinations=TO), radiograph())
    with monkeypatch.context() as killed:
        killed.setattr(service.dicom, "told", lambda reading: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            read_all(service, readers)
    read_all(service, readers)
    assert len(told) == 2
    assert len(set(map(str, told))) == 1


def test_a_refusal_of_the_reader_is_a_result_too(start_node: StartNode, service: Service, told: list[Any]) -> None:
    strict = Readers(limits=Limits(), parallel=1)
    send(start_node(destinations=TO), radiograph(BodyPartExamined="KNEE", ViewPosition=""))
    read_all(service, strict)
    [row] = service.dicom.latest()
    assert row.state == "refused"
    assert row.reason
    assert [one[0] for one in told] == [row.reading_id]


def test_two_workers_do_not_read_the_same_object(node: Node, service: Service) -> None:
    send(node, radiograph(0), radiograph(1))
    first, second = service.dicom.claim(), service.dicom.claim()
    assert first is not None
    assert second is not None
    assert first.id != second.id
    assert service.dicom.claim() is None


def test_one_whose_worker_died_is_read_by_another_and_the_dead_ones_answer_is_not_taken(
    node: Node, service: Service, readers: Readers
) -> None:
    send(node, radiograph())
    dead = service.dicom.claim()
    assert dead is not None
    service.dicom.lease *= 0
    service.dicom.give_back(dead)
    again = service.dicom.claim()
    assert again is not None
    desk = service.desk(readers.get)
    found = desk.look(again.image_sha256, again.asked)
    assert service.dicom.finish(again, found) is not None
    assert service.dicom.finish(dead, found) is None


def test_one_that_ends_its_worker_every_time_is_given_up(node: Node, service: Service) -> None:
    send(node, radiograph())
    service.dicom.lease *= 0
    while service.dicom.claim() is not None:
        pass
    [row] = service.dicom.latest()
    assert row.state == "failed"
    assert "worker" in row.reason


@pytest.mark.parametrize("syntax", [None, RLELossless, JPEG2000Lossless])
def test_inverted_and_compressed_versions_of_an_image_have_one_reading(
    node: Node, service: Service, readers: Readers, syntax: Any
) -> None:
    plain, inverted = radiograph(0), radiograph(0, SOPInstanceUID="1.2.826.0.1.3680043.10.999.7")
    pixels = np.frombuffer(plain.PixelData, np.uint8).reshape(plain.Rows, plain.Columns)
    inverted.PhotometricInterpretation = "MONOCHROME1"
    inverted.PixelData = (255 - pixels).tobytes()
    if syntax is not None:
        inverted.compress(syntax, generate_instance_uid=False)
    assert [one.status for one in send(node, plain, inverted)] == [0, 0]
    read_all(service, readers)
    rows = service.dicom.latest()
    assert [row.state for row in rows] == ["read", "read"]
    first, second = (service.readings.get(row.reading_id or 0, actor=NODE) for row in rows)
    assert first.id != second.id
    assert first.probability == pytest.approx(second.probability, abs=1e-6)
