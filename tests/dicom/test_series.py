"""Series as scanners send them: out of order, twice, with other pictures beside; one reading, in the body's order."""

import io
import random
import zipfile
from datetime import timedelta

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from sqlalchemy import select, update

from secondread.dicom.series import read_next, stack_of
from secondread.reading import Reader
from secondread.service import Actor, DicomObject, ReadingDesk, ReadingRequest, Service, Slice, StoredReading
from secondread.service.dicom_series import note_released
from secondread.service.dicom_tables import DicomObjectRow, DicomSeriesRow
from secondread.service.tables import ImageRow, ReadingRow, now
from secondread.web import create_app
from tests.dicom.slices import AXIAL, SAGITTAL, beside, mr_slice, shuffled, take
from tests.service.conftest import ANNA
from tests.several import bright_reader

NODE = Actor("node", "dicom", scopes=frozenset({"read", "write", "identify"}))
ILL = (7, 8, 9)


@pytest.fixture(scope="module")
def reader() -> Reader:
    return bright_reader("brain-tumour/best")


@pytest.fixture
def desk(service: Service, reader: Reader) -> ReadingDesk:
    return service.desk(lambda *_: reader)


def head(n: int = 12) -> list[Dataset]:
    return [mr_slice(number, suspicious=number in ILL) for number in range(1, n + 1)]


def make_due(service: Service) -> None:
    """As if the last object had come long ago."""
    with service.database.begin() as session:
        session.execute(update(DicomSeriesRow).values(due_at=now() - timedelta(seconds=1)))


def state_of(service: Service) -> str:
    with service.database.reading() as session:
        return session.scalars(select(DicomSeriesRow.state)).one()


def readings(service: Service) -> list[StoredReading]:
    with service.database.reading() as session:
        return [StoredReading.of(row) for row in session.scalars(select(ReadingRow).order_by(ReadingRow.id))]


def order_of(service: Service, reading: StoredReading) -> list[int]:
    """The instance numbers of the slices as they were read."""
    by_image = {one.image_sha256: one.instance_number or 0 for one in service.dicom.latest(1000)}
    return [by_image[one.sha256] for one in service.dicom_series.slices(reading.image_sha256)]


@pytest.mark.parametrize("random_state", [0, 1])
def test_a_shuffled_series_sent_twice_is_one_reading_in_the_order_of_the_body(
    service: Service, desk: ReadingDesk, random_state: int
) -> None:
    objects = shuffled([*head(), *beside(), *head()], random_state=random_state)
    take(service, objects)
    assert read_next(service, desk, actor=NODE) is None  # more may come
    make_due(service)
    number = read_next(service, desk, actor=NODE)
    assert read_next(service, desk, actor=NODE) is None
    [reading] = readings(service)
    assert reading.id == number
    assert order_of(service, reading) == list(range(1, 13))
    chances = [one["probability"] for one in reading.frames]
    assert reading.worst_frame == chances.index(max(chances)) + 1
    assert {at for at, _ in sorted(enumerate(chances, 1), key=lambda pair: -pair[1])[:3]} == set(ILL)
    states = {one.instance_number: (one.state, one.reading_id) for one in service.dicom.latest(100)}
    assert {states[at] for at in range(1, 13)} == {("read", number)}
    assert {states[at] for at in range(900, 905)} == {("ignored", None)}
    reasons = {one.reason for one in service.dicom.latest(100) if one.state == "ignored"}
    assert reasons == {"a localiser", "a phase, real or imaginary image", "a field map"}
    assert state_of(service) == "read"


def test_a_series_answers_at_the_point_that_was_measured_on_series(
    service: Service, desk: ReadingDesk, reader: Reader
) -> None:
    take(service, head())
    make_due(service)
    read_next(service, desk, actor=NODE)
    [reading] = readings(service)
    point = reader.bundle.series
    assert point is not None
    assert (reading.operating_point, reading.threshold) == ("series", point.point.threshold)
    chances = [one["probability"] for one in reading.frames]
    assert reading.probability == point.combine(chances)
    assert reading.facts["frame_point"] == [reader.operating_point.threshold, None]
    assert any(
        "answer together, at an operating point that was measured on series" in text for text in reading.warnings
    )


def test_all_its_objects_make_a_series_due_at_once(service: Service, desk: ReadingDesk) -> None:
    objects = head(5)
    for ds in objects:
        ds.NumberOfSeriesRelatedInstances = 5
    take(service, objects[:4])
    assert service.dicom_series.claim() is None
    take(service, objects[4:])
    assert read_next(service, desk, actor=NODE) is not None


def test_the_end_of_an_association_makes_a_series_due_soon_but_not_later(service: Service) -> None:
    take(service, head(3))
    [uid] = {one.series_uid for one in service.dicom.latest()}
    with service.database.begin() as session:
        note_released(session, [uid], within=timedelta(0))
    assert service.dicom_series.claim() is not None


def test_a_slice_that_comes_late_makes_the_series_be_read_anew(service: Service, desk: ReadingDesk) -> None:
    objects = head()
    take(service, objects[:6])
    make_due(service)
    first = read_next(service, desk, actor=NODE)
    take(service, objects[6:])
    assert state_of(service) == "open"
    make_due(service)
    second = read_next(service, desk, actor=NODE)
    assert second not in (first, None)
    assert {one.reading_id for one in service.dicom.latest(100)} == {second}
    assert order_of(service, readings(service)[-1]) == list(range(1, 13))


def test_a_slice_that_comes_while_the_series_is_read_is_not_left_out(service: Service, desk: ReadingDesk) -> None:
    objects = head(4)
    take(service, objects[:3])
    make_due(service)
    claim = service.dicom_series.claim()
    assert claim is not None
    take(service, objects[3:])
    stack = stack_of(claim.objects)
    slices = [Slice(one.image_sha256 or "") for one in stack.slices]
    found = desk.look_at(service.dicom_series.stage(slices), ReadingRequest("auto"))
    done = service.dicom_series.finish(claim, slices, stack.slices, (), found, name="x", source="", actor=NODE)
    assert (done, readings(service)) == (None, [])
    make_due(service)
    assert read_next(service, desk, actor=NODE) is not None
    assert order_of(service, readings(service)[0]) == [1, 2, 3, 4]


def test_a_series_of_localisers_alone_is_not_read_and_says_why(service: Service, desk: ReadingDesk) -> None:
    take(service, beside()[:3])
    make_due(service)
    assert read_next(service, desk, actor=NODE) is None
    assert (state_of(service), readings(service)) == ("ignored", [])
    assert {(one.state, one.reason) for one in service.dicom.latest()} == {("ignored", "a localiser")}


def test_a_worker_that_was_killed_leaves_the_series_to_another(service: Service, desk: ReadingDesk) -> None:
    take(service, head(3))
    make_due(service)
    assert service.dicom_series.claim() is not None
    assert service.dicom_series.claim() is None
    make_due(service)
    assert read_next(service, desk, actor=NODE) is not None


def test_an_erased_slice_ends_the_reading_of_its_series_with_a_reason(service: Service, desk: ReadingDesk) -> None:
    take(service, head(3))
    make_due(service)
    sha256 = service.dicom.latest()[0].image_sha256
    assert sha256 is not None
    with service.database.begin() as session:
        session.execute(update(ImageRow).where(ImageRow.sha256 == sha256).values(erased_at=now()))
    service.images.forget(sha256)
    assert read_next(service, desk, actor=NODE) is None
    assert (state_of(service), readings(service)) == ("refused", [])


def test_erasing_the_person_takes_list_and_slices(service: Service, desk: ReadingDesk) -> None:
    take(service, head(3))
    make_due(service)
    number = read_next(service, desk, actor=NODE)
    found = service.erasure.erase(reading=number, actor=ANNA)
    assert len(found.images) == 4
    assert not any(service.images.exists(one) for one in found.images)


def test_erasing_a_series_of_nobody_known_takes_its_slices_too(service: Service, desk: ReadingDesk) -> None:
    take(service, head(3))
    make_due(service)
    number = read_next(service, desk, actor=NODE)
    with service.database.begin() as session:
        session.execute(update(ImageRow).values(patient=""))
    assert len(service.erasure.erase(reading=number, actor=ANNA).images) == 4


def test_the_file_of_a_series_is_an_archive_of_its_slices_and_each_has_its_picture(
    service: Service, desk: ReadingDesk
) -> None:
    take(service, shuffled(head(5), random_state=0))
    make_due(service)
    number = read_next(service, desk, actor=NODE)
    app = create_app({"DATA_FOLDER": str(service.folder), "DATABASE": service.database.url.render_as_string(False)})
    client = app.test_client()
    answer = client.get(f"/api/v1/readings/{number}/file")
    assert answer.content_type == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.data)) as archive:
        assert archive.testzip() is None
        found = [dcmread(io.BytesIO(archive.read(name))).InstanceNumber for name in archive.namelist()]
    assert found == [1, 2, 3, 4, 5]
    pictures = [client.get(f"/api/v1/readings/{number}/image?frame={at}").data for at in range(1, 6)]
    assert len(set(pictures)) == 5
    assert client.get(f"/api/v1/readings/{number}/image?frame=6").status_code == 404
    page = client.get(f"/readings/{number}").text
    assert "Slice 1 of 5" in page
    assert "-57.5 mm" in page


def objects_of(numbers: list[int], **facts: object) -> list[DicomObject]:
    rows = {
        "sop_class": "", "study_uid": "s", "series_uid": "s", "transfer_syntax": "", "received_at": now(),
        "calling_aet": "", "state": "waiting", "reason": "", "rule": "", "task": "auto", "operating_point": "",
        "destinations": (), "reading_id": None, "modality": "MR", "series_description": "", "series_number": 1,
        "orientation": AXIAL, "image_type": "", "rows": 64, "columns": 64, "n_frames": 1, "n_expected": None,
        "attempts": 0,
    }  # fmt: skip
    tag = f"{facts.get('tag', 'a')}"
    more = {name: value for name, value in facts.items() if name != "tag"}
    return [
        DicomObject(
            **{
                **rows, "id": at, "sop_instance_uid": f"{tag}{at}", "image_sha256": f"{tag}{at}",
                "instance_number": at, "position": (0.0, 0.0, 2.0 * at), **more,
            }  # type: ignore[arg-type]
        )
        for at in numbers
    ]  # fmt: skip


def numbers(objects: tuple[DicomObject, ...]) -> list[int | None]:
    return [one.instance_number for one in objects]


def test_the_order_in_which_objects_come_changes_nothing() -> None:
    every = [*objects_of(list(range(1, 40))), *objects_of([50, 51], orientation=SAGITTAL, tag="b")]
    told = stack_of(every)
    for seed in range(5):
        random.Random(seed).shuffle(every)
        assert stack_of(every).slices == told.slices
        assert set(stack_of(every).left) == set(told.left)
    assert numbers(told.slices) == list(range(1, 40))


def test_slices_follow_the_normal_whatever_their_numbers() -> None:
    backwards = [one for at in range(1, 20) for one in objects_of([at], position=(0.0, 0.0, -3.0 * at))]
    assert numbers(stack_of(backwards).slices) == list(range(19, 0, -1))
    tilted = [
        one
        for at in range(1, 20)
        for one in objects_of([at], orientation=(1, 0, 0, 0, 0.94, 0.342), position=(0.0, -0.342 * at, 0.94 * at))
    ]
    assert numbers(stack_of(tilted).slices) == list(range(1, 20))


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"image_type": "ORIGINAL\\PRIMARY\\LOCALIZER"}, "a localiser"),
        ({"series_description": "3D SCOUT"}, "a localiser"),
        ({"image_type": "ORIGINAL\\PRIMARY\\P"}, "a phase, real or imaginary image"),
        ({"series_description": "B0 MAP"}, "a field map"),
        ({"image_type": "DERIVED\\PRIMARY\\PROJECTION\\MIP"}, "a projection"),
        ({"image_type": "ORIGINAL\\PRIMARY\\M\\MOSAIC"}, "a mosaic"),
        ({"orientation": SAGITTAL}, "another plane or size"),
        ({"rows": 128}, "another plane or size"),
    ],
)
def test_what_is_no_slice_is_left_out_by_name(facts: dict[str, object], why: str) -> None:
    stack = stack_of([*objects_of([1, 2, 3, 4]), *objects_of([5, 6], tag="b", **facts)])
    assert numbers(stack.slices) == [1, 2, 3, 4]
    assert all(reason.startswith(why) for _, reason in stack.left)
    assert len(stack.left) == 2


def test_of_two_echoes_the_first_is_read() -> None:
    second = [one for at in (11, 12, 13) for one in objects_of([at], position=(0.0, 0.0, 2.0 * (at - 10)))]
    stack = stack_of([*second, *objects_of([1, 2, 3])])
    assert numbers(stack.slices) == [1, 2, 3]
    assert {why for _, why in stack.left} == {"another picture of the same place"}


def test_an_object_of_many_frames_is_a_stack_by_itself() -> None:
    stack = stack_of([*objects_of([1], n_frames=30), *objects_of([2, 3], tag="b")])
    assert numbers(stack.slices) == [1]


def test_rows_without_position_are_read_by_number() -> None:
    assert numbers(stack_of(objects_of([3, 1, 2], position=None)).slices) == [1, 2, 3]
    assert numbers(stack_of(objects_of([3, 1, 2], position=(float("nan"), 0.0, 0.0))).slices) == [1, 2, 3]


def test_nothing_is_a_stack_of_nothing() -> None:
    assert stack_of([]).slices == ()


def test_objects_row_speaks_of_a_series_once(service: Service) -> None:
    take(service, head(2))
    with service.database.reading() as session:
        assert {row.state for row in session.scalars(select(DicomObjectRow))} == {"waiting"}
