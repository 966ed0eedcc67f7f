"""What earlier versions kept as pictures becomes cells beside the readings: the same to look at, whatever kills it."""

import logging
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select, update

from secondread.errors import NotThere
from secondread.files import write_bytes
from secondread.images import decode, encode_png
from secondread.reading import HeatMap
from secondread.service import Service, back_up, old_pictures, restore
from secondread.service.outcomes import CELLS, heat_map_name
from secondread.service.tables import ReadingRow
from tests.service.conftest import ANNA
from tests.service.stubs import BUNDLE_SHA, draft, image_bytes, stage

N = 5
FACTS = {"width": 160, "height": 120, "format": "PNG", "map_cell": [16.0, 12.0]}


def as_before(service: Service, number: int) -> tuple[int, bytes]:
    """A reading as an earlier version kept it; its number, and the PNG of its map."""
    sha256 = stage(service, image_bytes(number))
    values = np.random.default_rng(number).normal(0, 1, (10, 10)).astype(np.float32)
    png = encode_png(HeatMap(values, (0, 0, 160, 120), 160, 120).levels(longest_side=512))
    name = heat_map_name(sha256, BUNDLE_SHA)
    write_bytes(service.folder / "heatmaps" / name[:2] / f"{name}.png", png, private=True)
    write_bytes(service.folder / "thumbnails" / name[:2] / f"{sha256}.png", b"small", private=True)
    kept, _ = service.readings.add(
        draft(0.9, map_cells=None, facts=FACTS), image_sha256=sha256, name="a.png", actor=ANNA
    )
    with service.database.begin() as session:
        session.execute(update(ReadingRow).where(ReadingRow.id == kept.id).values(heat_map=name))
    return kept.id, png


@pytest.fixture
def before(service: Service) -> dict[int, bytes]:
    return dict(as_before(service, number) for number in range(N))


def left(folder: Path) -> list[Path]:
    return [path for kind in ("heatmaps", "thumbnails") for path in (folder / kind).rglob("*.png")]


def shown(service: Service, before: dict[int, bytes]) -> None:
    for reading, png in before.items():
        found = decode(service.readings.heat_map(reading, actor=ANNA)).pixels
        np.testing.assert_array_equal(found, decode(png).pixels)
        assert service.readings.get(reading, actor=ANNA).to_dict()["heatmap"]


def test_heat_maps_are_drawn_as_they_were_and_the_files_go(service: Service, before: dict[int, bytes]) -> None:
    names = {one: service.readings.get(one, actor=ANNA).heat_map for one in before}
    service.upgrade()
    shown(service, before)
    assert {one: service.readings.get(one, actor=ANNA).heat_map for one in before} == names
    assert left(service.folder) == []
    assert not (service.folder / "heatmaps").exists()
    assert [line["action"] for line in service.trail.lines(action="heat_maps.taken_over")] == ["heat_maps.taken_over"]
    assert old_pictures.take_over(service.database, service.images) == 0
    assert [one for one in service.repair.check(actor=ANNA) if one.n] == []


def test_a_kill_after_some_loses_nothing_and_the_next_start_goes_on(
    service: Service, before: dict[int, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(old_pictures, "_CHUNK", 2)
    some = old_pictures._take_over_some
    calls: list[int] = []

    def killed(*args: object) -> object:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return some(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(old_pictures, "_take_over_some", killed)
    with pytest.raises(KeyboardInterrupt):
        old_pictures.take_over(service.database, service.images)
    monkeypatch.setattr(old_pictures, "_take_over_some", some)
    with service.database.reading() as session:
        states = session.scalars(select(ReadingRow.heat_map).order_by(ReadingRow.id)).all()
    assert states[:4] == [CELLS] * 4
    assert states[4] != CELLS
    assert len(left(service.folder)) == 2 * N  # all of them: some rows need theirs
    assert old_pictures.take_over(service.database, service.images) == 1
    shown(service, before)
    assert left(service.folder) == []


def test_a_file_that_is_gone_or_damaged_is_no_map_and_the_others_are(
    service: Service, before: dict[int, bytes], caplog: pytest.LogCaptureFixture
) -> None:
    gone, damaged, *_ = sorted((service.folder / "heatmaps").rglob("*.png"))
    gone.unlink()
    damaged.write_bytes(b"no picture")
    lost = {
        one
        for one in before
        if service.readings.get(one, actor=ANNA).image_sha256 in (gone.name[:64], damaged.name[:64])
    }
    with caplog.at_level(logging.WARNING, "secondread.service"):
        service.upgrade()
    assert "2 heat maps of an earlier version are missing or damaged" in caplog.text
    shown(service, {one: png for one, png in before.items() if one not in lost})
    for one in lost:
        with pytest.raises(NotThere, match="no heat map"):
            service.readings.heat_map(one, actor=ANNA)


def test_a_backup_that_was_made_before_comes_back_with_its_maps(
    service: Service, before: dict[int, bytes], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    back_up(service.database, service.images, tmp_path / "old.tar.gz", actor=ANNA)
    url = "" if service.database.is_sqlite else request.getfixturevalue("empty_postgresql")
    restore(tmp_path / "old.tar.gz", tmp_path / "again", url=url)
    again = Service.open({"DATA_FOLDER": str(tmp_path / "again"), "DATABASE": url})
    try:
        shown(again, before)
        assert left(again.folder) == []
    finally:
        again.close()


def test_erasing_a_person_takes_the_old_pictures_too(service: Service, before: dict[int, bytes]) -> None:
    first = next(iter(before))
    sha256 = service.readings.get(first, actor=ANNA).image_sha256
    service.erasure.erase(reading=first, actor=ANNA)
    assert not [path for path in left(service.folder) if path.name.startswith(sha256)]
    service.upgrade()
    shown(service, {one: png for one, png in before.items() if one != first})
