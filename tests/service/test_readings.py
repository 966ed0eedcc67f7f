"""Every reading is kept once and found again; what is deleted comes back."""

import threading

import numpy as np
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from secondread.errors import NotThere
from secondread.images import decode
from secondread.service import Service
from secondread.service.retention import erase_image
from secondread.service.tables import ImageRow
from tests.service.conftest import ANNA
from tests.service.stubs import BUNDLE_SHA, MAP, draft, image_bytes, stage


def _add(service: Service, image: str, probability: float = 0.8, **more):
    return service.readings.add(draft(probability, **more), image_sha256=image, name="a.png", actor=ANNA)


def test_the_same_image_by_the_same_bundle_and_point_is_one_reading(service: Service, image: str) -> None:
    first, new = _add(service, image)
    again, new_again = _add(service, image)
    other, _ = _add(service, image, threshold=0.6)
    assert (new, new_again) == (True, False)
    assert first.id == again.id != other.id
    found = service.readings.find(image, bundle_sha256=BUNDLE_SHA, point_keys=["screening@0.5"])
    assert found is not None
    assert found.id == first.id
    assert service.readings.find(image, bundle_sha256="c" * 64, point_keys=["screening@0.5"]) is None


def test_refusals_are_kept_once_too(service: Service, image: str) -> None:
    made = [service.readings.add(draft(refusal="blank"), image_sha256=image, name="a", actor=ANNA) for _ in range(2)]
    assert [new for _, new in made] == [True, False]
    assert made[0][0].to_dict()["refusal"] == {"code": "blank", "message": "it cannot be read"}


def test_of_many_that_store_the_same_at_once_one_inserts_and_all_get_it(service: Service, image: str) -> None:
    found = []
    start = threading.Barrier(6)

    def work() -> None:
        start.wait()
        found.append(_add(service, image))

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({reading.id for reading, _ in found}) == 1
    assert sorted(new for _, new in found) == [False] * 5 + [True]


def test_a_deleted_reading_is_out_of_sight_until_it_is_brought_back_or_sent_again(service: Service, image: str) -> None:
    reading, _ = _add(service, image)
    assert service.readings.delete([reading.id, 999], actor=ANNA) == [reading.id]
    with pytest.raises(NotThere):
        service.readings.get(reading.id, actor=ANNA)
    assert service.worklist.count() == 0
    assert service.readings.undelete([reading.id], actor=ANNA) == [reading.id]
    assert service.readings.get(reading.id, actor=ANNA).id == reading.id
    service.readings.delete([reading.id], actor=ANNA)
    _add(service, image)
    assert service.readings.get(reading.id, actor=ANNA).deleted_at is None


def test_pictures_are_found_by_reading_and_every_look_is_in_the_trail(service: Service, image: str) -> None:
    reading, _ = _add(service, image)
    assert service.readings.image(reading.id, actor=ANNA) == service.images.image(image)
    grey = decode(service.readings.heat_map(reading.id, actor=ANNA)).pixels
    np.testing.assert_array_equal(grey, MAP.levels(longest_side=512))
    small = service.readings.thumbnails([reading.id, 12345], actor=ANNA)
    assert list(small) == [reading.id]
    np.testing.assert_array_equal(decode(small[reading.id]).pixels, decode(image_bytes(0)).pixels)
    seen = [line["action"] for line in service.trail.lines()]
    assert seen == ["image.received", "reading.made", "image.seen", "heat_map.seen", "thumbnails.seen"]


def test_a_damaged_or_missing_file_is_an_error_of_ours_and_a_name_is_never_a_path(service: Service, image: str) -> None:
    path = service.folder / "images" / image[:2] / image
    path.write_bytes(b"else")
    with pytest.raises(Exception, match="damaged"):
        service.images.image(image)
    for name in ("../../etc/passwd", "", "x" * 64, f"{image}/.."):
        with pytest.raises(NotThere):
            service.images.image(name)


def test_the_key_of_a_site_is_made_once(service: Service) -> None:
    assert service.images.secret("one") == service.images.secret("one") != service.images.secret("two")
    assert (service.folder / "site.key").stat().st_mode & 0o077 == 0


def test_names_lose_what_cannot_be_shown(service: Service) -> None:
    sha = stage(service, image_bytes(5))
    reading, _ = service.readings.add(draft(), image_sha256=sha, name="a\0b\nc\u202e.png", actor=ANNA)
    assert reading.name == "abc.png"


def test_what_is_erased_just_before_it_is_answered_from_the_store_is_read_anew(service: Service, image: str) -> None:
    kept, _ = service.readings.add(draft(), image_sha256=image, name="a.png", actor=ANNA)

    def erased(session: Session) -> None:
        """PostgreSQL lets an erasure in until the image's row is ours."""
        row = session.get_one(ImageRow, image)
        erase_image(session, service.images, row, "in between", ANNA)

    assert not service.readings.tell_from_store(kept, actor=ANNA, before=erased)
    assert list(service.trail.lines(action="reading.answered_from_store")) == []
    assert service.readings.tell_from_store(kept, actor=ANNA)


def test_what_a_lookup_finds_is_of_the_types_of_its_columns(service: Service, image: str) -> None:
    """It goes past the mapping, with the driver alone: moments have their zone, JSON is read, yes and no are bool."""
    from secondread.service import statements
    from secondread.service.tables import ReadingRow

    service.readings.add(draft(), image_sha256=image, name="film.png", actor=ANNA)
    with service.database.reading() as session:
        row = session.scalars(select(ReadingRow)).one()
        wanted = {"image_sha256": image, "bundle_sha256": row.bundle_sha256, "key0": "no such", "key1": row.point_key}
        [found] = statements.find(2).rows(session.connection(), **wanted)
    assert found.created_at.tzinfo is not None
    assert vars(found) == {name: getattr(row, name) for name in vars(found)}
    assert {type(value) for value in vars(found).values()} >= {bool, list, dict}
