"""Files of several frames in the store: read whole or at one frame, found again, their pictures kept and erased."""

import gzip
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import update

from secondread.errors import NotThere
from secondread.images import Limits, decode
from secondread.reading import Reader, load
from secondread.service import Readers, ReadingDesk, ReadingRequest, Service, StoredReading
from secondread.service.tables import ImageRow, ReadingRow, now
from tests.cli.test_cli import call
from tests.service.conftest import ANNA
from tests.several import BLANK, BRAIN, bright_reader, dicom_of, raster_of, slices_with_a_tumour, stack

FRAMES = stack()
DATA = dicom_of(FRAMES)
ASKED = ReadingRequest("tuberculosis", "paper", source="ward 1")


@pytest.fixture(scope="module")
def reader() -> Reader:
    return bright_reader()


@pytest.fixture
def desk(service: Service, reader: Reader) -> Iterator[ReadingDesk]:
    return service.desk(lambda *_: reader)


def _kept(desk: ReadingDesk, asked: ReadingRequest = ASKED, data: bytes = DATA) -> StoredReading:
    found = desk.answer(data, asked, name="head.dcm", actor=ANNA).stored
    assert found is not None
    return found


@pytest.mark.parametrize("data", [DATA, raster_of(FRAMES, "TIFF"), raster_of(FRAMES, "PNG")])
def test_the_worst_frame_answers_at_once_and_through_the_queue_and_every_frame_is_kept(
    service: Service, desk: ReadingDesk, reader: Reader, data: bytes
) -> None:
    kept = _kept(desk, data=data)
    assert (kept.decision, kept.frame, kept.worst_frame, len(kept.frames)) == ("positive", 8, 9, 12)
    row = kept.to_dict()
    assert row["frames"] == reader.read(data).to_dict(path="")["frames"]
    batch = service.intake.take([("again.dcm", data)], ASKED, actor=ANNA)
    service.worker(lambda *_: reader).run_until_empty()
    (item,) = service.queue.items(batch)
    assert (item.state, item.reading_id) == ("done", kept.id)  # found in the store
    service.readings.delete([kept.id], actor=ANNA)
    batch = service.intake.take([("third.dcm", data)], ASKED, actor=ANNA)
    service.worker(lambda *_: reader).run_until_empty()
    queued = service.readings.get(service.queue.items(batch)[0].reading_id, actor=ANNA)
    assert queued.frames == kept.frames


def test_one_frame_through_the_queue_is_that_frame(service: Service, desk: ReadingDesk, reader: Reader) -> None:
    asked = replace(ASKED, frame=8)
    batch = service.intake.take([("head.dcm", DATA)], asked, actor=ANNA)
    assert service.queue.batch(batch).asked == asked
    service.worker(lambda *_: reader).run_until_empty()
    queued = service.readings.get(service.queue.items(batch)[0].reading_id, actor=ANNA)
    assert (queued.frame, queued.frames, queued.worst_frame, queued.decision) == (7, (), None, "positive")
    assert _kept(desk, asked).id == queued.id


def test_a_frame_that_was_read_alone_never_answers_for_the_file(desk: ReadingDesk) -> None:
    """As every file of several frames was read before: its first one alone, perhaps negative."""
    second = _kept(desk, replace(ASKED, frame=2))
    assert second.decision == "negative"
    whole = desk.answer(DATA, ASKED, actor=ANNA)
    assert whole.stored is not None
    assert (whole.from_store, whole.stored.decision, whole.stored.worst_frame) == (False, "positive", 9)
    again = [desk.answer(DATA, asked, actor=ANNA) for asked in (ASKED, replace(ASKED, frame=2))]
    assert [(one.from_store, one.stored) for one in again] == [(True, whole.stored), (True, second)]
    assert again[0].image is not None
    assert again[0].image.frame == 8
    ninth = _kept(desk, replace(ASKED, frame=9))  # the very frame that answers for the file
    assert (ninth.id != whole.stored.id, ninth.frames) == (True, ())


def test_a_sites_own_threshold_decides_for_each_frame(service: Service, desk: ReadingDesk, reader: Reader) -> None:
    seventh = next(one.probability for one in reader.read(DATA).frames if one.frame == 7)
    assert seventh is not None
    own = replace(reader.operating_point, threshold=seventh)
    strict = service.desk(lambda *_: reader)
    strict._point = lambda *_: own  # type: ignore[method-assign]
    kept = _kept(strict)
    assert [one["frame"] for one in kept.frames if one["decision"] == "positive"] == [8, 9]
    assert kept.frames[6]["score"] < kept.frames[7]["score"]


def test_a_file_without_a_frame_to_read_is_a_refusal_that_is_looked_at_again(desk: ReadingDesk) -> None:
    data = dicom_of(np.stack([BLANK] * 3))
    kept = _kept(desk, data=data)
    assert (kept.refusal_code, kept.worst_frame) == ("blank", None)
    assert [one["refusal"] for one in kept.to_dict()["frames"]] == ["blank"] * 3
    again = desk.answer(data, ASKED, actor=ANNA)
    assert (again.from_store, again.stored is not None and again.stored.id) == (False, kept.id)


def test_pictures_are_of_their_frame_and_retention_erases_all(service: Service, desk: ReadingDesk) -> None:
    whole, second = _kept(desk), _kept(desk, replace(ASKED, frame=2))
    small = service.readings.thumbnails([whole.id, second.id], actor=ANNA)
    shown = {reading_id: decode(png).pixels for reading_id, png in small.items()}
    assert shown[whole.id].mean() == pytest.approx(FRAMES[8].mean(), abs=2)
    assert shown[second.id].mean() == pytest.approx(FRAMES[1].mean(), abs=2)
    assert whole.heat_map != second.heat_map
    with service.database.begin() as session:
        session.execute(update(ImageRow).values(received_at=now() - timedelta(days=31)))
    assert service.retention.apply(30, actor=ANNA).readings == 2
    left = [path for kind in ("images", "pictures") for path in (service.folder / kind).glob("*/*")]
    assert left == []
    assert service.readings.get(whole.id, actor=ANNA).frames == whole.frames  # what was measured stays


def test_the_heat_map_of_any_frame_that_was_read_can_be_had(desk: ReadingDesk, reader: Reader) -> None:
    whole = _kept(desk)
    found, alone = desk.map_of(whole, 4, actor=ANNA), reader.read(DATA, frame=4).heatmap
    assert alone is not None
    np.testing.assert_array_equal(found.values, alone.values)
    with pytest.raises(NotThere, match="frame 1 was not read"):
        desk.map_of(whole, 0, actor=ANNA)
    with pytest.raises(NotThere, match="not installed any more"):
        desk.map_of(replace(whole, bundle_sha256="0" * 64), 4, actor=ANNA)


def test_another_bundle_reads_what_the_first_one_read(service: Service, desk: ReadingDesk) -> None:
    other = replace(ASKED, operating_point="screening")
    whole, second = _kept(desk), _kept(desk, replace(ASKED, frame=2))
    assert len(desk.read_again(whole, other, actor=ANNA).frames) == 12
    again = desk.read_again(second, other, actor=ANNA)
    assert (again.frame, again.frames) == (1, ())


def test_readings_of_before_have_no_frames(service: Service, desk: ReadingDesk) -> None:
    kept = _kept(desk, replace(ASKED, frame=1), raster_of(FRAMES[3:4], "TIFF"))
    with service.database.begin() as session:
        session.execute(update(ReadingRow).values(frames=[]))
    assert "frames" not in service.readings.get(kept.id, actor=ANNA).to_dict()
    assert _kept(desk, ASKED, raster_of(FRAMES[3:4], "TIFF")).id == kept.id  # of a file of one it stands for the file


def test_a_finding_on_a_whole_file_is_no_label_of_one_picture(
    service: Service, desk: ReadingDesk, tmp_path: Path
) -> None:
    first = raster_of(FRAMES[[8, 1, 2]], "TIFF")  # the worst is the first, which training would take
    film = raster_of(FRAMES[3:4], "TIFF")
    for kept in (_kept(desk, data=first), _kept(desk, data=film)):
        service.reviews.add(kept.id, verdict="agree", actor=ANNA, role="reviewer")
    assert service.exports.manifest(tmp_path / "out", task="tuberculosis", actor=ANNA) == 1
    scores = service.exports.scores(bundle=kept.bundle, actor=ANNA).splitlines()
    assert len(scores) == 2
    assert scores[1].startswith(kept.image_sha256)


@pytest.mark.data
def test_a_tumour_in_the_middle_of_a_file_is_found_on_every_way(
    service: Service, data_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, asked = dicom_of(slices_with_a_tumour(data_folder), **BRAIN), ReadingRequest("auto")
    by_python = load("auto").read(data).to_dict(path="head.dcm")
    assert (by_python["decision"], by_python["worst_frame"] in (7, 8, 9)) == ("positive", True)
    readers = Readers(limits=Limits(), parallel=1)
    at_once = service.desk(readers.get).answer(data, asked, name="head.dcm", actor=ANNA).stored
    assert at_once is not None
    service.readings.delete([at_once.id], actor=ANNA)
    batch = service.intake.take([("head.dcm", data)], asked, actor=ANNA)
    service.worker(readers.get).run_until_empty()
    queued = service.readings.get(service.queue.items(batch)[0].reading_id, actor=ANNA)
    (tmp_path / "head.dcm").write_bytes(data)
    _, out, _ = call(capsys, "read", "--json", tmp_path / "head.dcm")
    told = json.loads(out) | {"path": "head.dcm"}
    by_command = {name: told[name] for name in by_python}
    ways = [one.contract(path="head.dcm", heatmap=None) for one in (at_once, queued)]
    assert [by_command, *ways] == [by_python] * 3


def test_a_nifti_volume_is_read_as_a_series_and_kept_without_what_its_header_says(service: Service) -> None:
    nib = pytest.importorskip("nibabel", reason="nibabel is not installed: the extra 'dicom' brings it")
    reader = bright_reader("brain-tumour/best")
    assert reader.bundle.series is not None
    voxels = np.stack([one[::-1, ::-1].T for one in stack(10, (6, 7), blank=(), brain=True)], axis=2).astype(np.int16)
    image = nib.Nifti1Image(voxels, np.diag([1.0, 1.0, 4.0, 1.0]))
    image.header["descrip"] = b"Okonkwo"
    desk = service.desk(lambda *_: reader)
    kept = _kept(desk, ReadingRequest("brain-tumour"), gzip.compress(bytes(image.to_bytes())))
    assert (kept.operating_point, len(kept.frames), kept.facts["format"]) == ("series", 10, "NIfTI")
    assert kept.probability == reader.bundle.series.combine([one["probability"] for one in kept.frames])
    data = service.images.image(kept.image_sha256)
    assert b"Okonkwo" not in data
    again = desk.answer(data, ReadingRequest("brain-tumour"), name="again", actor=ANNA)
    assert (again.from_store, again.stored) == (True, kept)
    named = _kept(desk, ReadingRequest("brain-tumour", operating_point="paper"), data)
    assert (named.operating_point, named.probability) == ("paper", max(one["probability"] for one in named.frames))
    drawn = {service.pictures.shown(kept.image_sha256, at, longest_side=512) for at in range(10)}
    assert len(drawn) == 10
