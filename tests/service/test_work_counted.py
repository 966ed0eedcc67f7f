"""The work behind an answer, in fixed numbers: what brings more of it back is seen here, not in a time."""

import numpy as np
import pytest
from benchmarks.stored import kept_bytes

from secondread.reading import Reader
from secondread.service import ReadingRequest, Service
from secondread.testing.phantoms import chest_phantom, dicom_bytes, encode
from tests.counted import Work, counted
from tests.service.conftest import ANNA

ASKED = ReadingRequest("tuberculosis", "paper")
DESCRIBED = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.1", "Modality": "DX"}
# Statements of one transaction that looks for an earlier reading: BEGIN (PostgreSQL: how long it may wait) and SELECT.
LOOKING = 2
# And of one that stores: BEGIN (how long it may wait), the image's row, the reading's, that the answer was shown to who
# may review, the last line of the trail, the new lines; PostgreSQL also takes the trail's lock.
STORING = {"sqlite": 6, "postgresql": 7}


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader.load("tuberculosis/paper", gate=False)


def film(number: int, kind: str = "PNG") -> bytes:
    pixels = chest_phantom((150, 128), random_state=number, lesion=True)
    return dicom_bytes(pixels, **DESCRIBED) if kind == "DICOM" else encode(pixels, kind)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "DICOM"])
def test_a_new_image_is_decoded_once_and_stored_in_one_transaction_without_a_picture(
    service: Service, reader: Reader, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    desk = service.desk(lambda *_: reader)
    desk.answer(film(0), ASKED, actor=ANNA)  # what is done once: the site's key, the point that decides here
    with counted(monkeypatch, service.database) as work:
        assert desk.answer(film(1, kind), ASKED, actor=ANNA).stored is not None
    assert (work.decodes, work.pngs, work.sessions, work.commits) == (1, 0, 0, 1)
    assert work.syncs <= 2  # the file, and the names in its folder; with a new folder all names in one call
    assert work.n_statements == LOOKING + STORING[service.database.url.get_backend_name()], work.statements


def test_an_image_that_was_read_before_waits_for_no_file_and_draws_nothing(
    service: Service, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = service.desk(lambda *_: reader)
    desk.answer(film(0), ASKED, actor=ANNA)
    with counted(monkeypatch, service.database) as work:
        assert desk.answer(film(0), ASKED, actor=ANNA).from_store
    # Decoded, since its header may not be what is read today; looked for twice: the reading, and its map.
    assert (work.decodes, work.pngs, work.commits, work.syncs) == (1, 0, 1, 0)
    assert work.n_statements == 2 * LOOKING + STORING[service.database.url.get_backend_name()], work.statements


def test_a_refusal_costs_no_more(service: Service, reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = service.desk(lambda *_: reader)
    desk.answer(film(0), ASKED, actor=ANNA)
    with counted(monkeypatch, service.database) as work:
        found = desk.answer(encode(np.zeros((64, 64), np.uint8), "PNG"), ASKED, actor=ANNA)
    assert found.outcome.refusal_code == "blank"
    assert (work.decodes, work.pngs, work.commits) == (1, 0, 1)
    with counted(monkeypatch, service.database) as work:
        assert desk.answer(b"no image", ASKED, actor=ANNA).stored is None
    assert work == Work(before_sync=work.before_sync)


def test_an_upload_of_many_is_one_transaction_and_each_of_its_images_two(
    service: Service, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.images.secret("deidentify")
    with counted(monkeypatch, service.database) as work:
        service.intake.take([(f"{number}.png", film(number)) for number in range(10)], ASKED, actor=ANNA)
    assert (work.decodes, work.pngs, work.commits) == (0, 0, 1)
    worker = service.worker(lambda *_: reader)
    with counted(monkeypatch, service.database) as work:
        assert worker.run_until_empty() == 10
    # For each: taken from the queue, then its reading stored and its item closed; and once that nothing waits any more.
    assert (work.decodes, work.pngs, work.sessions, work.commits, work.syncs) == (10, 0, 0, 2 * 10 + 1, 0)


def test_pictures_are_made_when_they_are_looked_at_and_once(
    service: Service, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = service.desk(lambda *_: reader)
    ids = [stored.id for number in range(3) if (stored := desk.answer(film(number), ASKED, actor=ANNA).stored)]
    with counted(monkeypatch, service.database) as work:
        service.readings.thumbnails(ids, actor=ANNA)
        for one in ids:
            service.readings.heat_map(one, actor=ANNA)
            service.readings.heat_map(one, actor=ANNA, colours="inferno")
    assert (work.decodes, work.pngs) == (3, 9)  # a map is drawn from its cells, and decodes nothing
    with counted(monkeypatch, service.database) as work:
        service.readings.thumbnails(ids, actor=ANNA)
        for one in ids:
            service.readings.heat_map(one, actor=ANNA)
    assert (work.decodes, work.pngs, work.syncs) == (0, 0, 0)


def test_beyond_its_image_a_reading_takes_no_more_than_three_kilobytes(reader: Reader) -> None:
    """Rows, indices, lines of the trail, and every file but the image."""
    assert kept_bytes(reader, n=160, first=40) <= 3000
