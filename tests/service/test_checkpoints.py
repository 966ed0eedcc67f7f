"""Checkpoints of the trail: written as it grows, by any number of processes, and what they let `verify` see."""

import stat
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from secondread.errors import CannotWrite, TrailBroken
from secondread.service import Service, checkpoints
from secondread.service.checkpoints import Checkpoint, CheckpointFile, CheckpointKeeper, Kept
from secondread.service.tables import now
from secondread.service.trail_guard import install
from tests.service.conftest import ANNA


def _fill(service: Service, n: int) -> None:
    for number in range(n):
        service.trail.record(ANNA, "write", f"thing:{number}")


def _cut(service: Service, statement: str) -> None:
    """As somebody who may do everything in the database."""
    with service.database.begin() as session:
        session.execute(text("DROP TRIGGER trail_no_delete"))
        session.execute(text(statement))
        install(session.connection())


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A file outside the data folder."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    return folder / "checkpoints"


@pytest.fixture
def kept(tmp_path: Path, sqlite_file: Path, elsewhere: Path) -> Iterator[Service]:
    """A service on SQLite whose checkpoints lie elsewhere."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "secondread.sqlite").write_bytes(sqlite_file.read_bytes())
    opened = Service.open({"DATA_FOLDER": str(tmp_path / "data"), "TRAIL_CHECKPOINTS": str(elsewhere)}, upgrade=False)
    opened.images.prepare()
    yield opened
    opened.close()


def _lines(path: Path) -> list[Kept | int]:
    return list(CheckpointFile(path, elsewhere=True).lines())


def test_one_is_written_at_the_start_every_thousand_lines_every_hour_and_at_the_end(
    kept: Service, elsewhere: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(checkpoints, "_EVERY_LINES", 10)
    _fill(kept, 9)
    kept.checkpoints.start()
    assert [line.point.seq for line in _lines(elsewhere)] == [9]  # type: ignore[union-attr]
    _fill(kept, 9)
    assert len(_lines(elsewhere)) == 1
    _fill(kept, 1)
    assert [line.point.seq for line in _lines(elsewhere)] == [9, 19]  # type: ignore[union-attr]
    _fill(kept, 1)
    an_hour = checkpoints.time.monotonic() + 3601
    later = now() + timedelta(seconds=3601)
    monkeypatch.setattr(checkpoints.time, "monotonic", lambda: an_hour)
    monkeypatch.setattr(checkpoints, "now", lambda: later)
    _fill(kept, 1)
    assert [line.point.seq for line in _lines(elsewhere)] == [9, 19, 21]  # type: ignore[union-attr]
    _fill(kept, 1)
    kept.close()
    assert [line.point.seq for line in _lines(elsewhere)] == [9, 19, 21, 22]  # type: ignore[union-attr]
    told = [record.getMessage() for record in caplog.records if record.name == "secondread.trail"]
    assert len(told) == 4
    assert str(kept.trail.checkpoint()) in told[-1]
    assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o600


def test_what_was_written_before_a_quiet_night_is_kept_within_the_hour(kept: Service, elsewhere: Path) -> None:
    _fill(kept, 3)
    timer = kept.checkpoints._timer
    assert isinstance(timer, threading.Timer)
    assert 3500 < timer.interval <= 3600
    timer.cancel()
    checkpoints._EVERY_SECONDS, before = 0.0, checkpoints._EVERY_SECONDS
    try:
        timer.function()
    finally:
        checkpoints._EVERY_SECONDS = before
    assert [line.point.seq for line in _lines(elsewhere)] == [3]  # type: ignore[union-attr]


def test_several_writers_keep_one_file_of_whole_lines(elsewhere: Path) -> None:
    """Each opens the file itself, as processes do: what one reads and adds, no other comes between."""

    def write(_: int) -> None:
        file = CheckpointFile(elsewhere, elsewhere=True)
        for _ in range(25):
            file.add(lambda last: Checkpoint(last.point.seq + 1 if last else 1, "a" * 64))

    with ThreadPoolExecutor(4) as writers:
        list(writers.map(write, range(4)))
    assert [line.point.seq for line in _lines(elsewhere)] == list(range(1, 101))  # type: ignore[union-attr]


def test_what_another_process_wrote_is_not_written_again(
    kept: Service, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "_EVERY_LINES", 10)
    file = CheckpointFile(elsewhere, elsewhere=True)
    other = CheckpointKeeper(file, end=kept.trail.checkpoint, holds=kept.trail.holds)
    _fill(kept, 12)
    for seq in range(10, 13):
        other.noted(seq)
    assert [line.point.seq for line in _lines(elsewhere)] == [10]  # type: ignore[union-attr]


@pytest.mark.parametrize("statement", ["DELETE FROM trail WHERE seq > 4", "DELETE FROM trail"])
def test_a_trail_that_was_cut_or_emptied_is_found_by_the_file_alone(
    kept: Service, caplog: pytest.LogCaptureFixture, statement: str
) -> None:
    _fill(kept, 6)
    kept.checkpoints.start()
    _cut(kept, statement)
    with pytest.raises(TrailBroken, match="it was cut"):
        kept.trail.verify()
    _fill(kept, 8)
    with pytest.raises(TrailBroken, match=r"line 6 .* it was rewritten"):
        kept.trail.verify()
    kept.checkpoints.start()  # as the next start does: the log says so by itself
    assert "does not hold line 6" in caplog.text
    with pytest.raises(TrailBroken, match=r"line 6 .* it was rewritten"):  # and newer checkpoints do not heal it
        kept.trail.verify()


def test_verify_says_what_it_could_not_know(kept: Service, service: Service, elsewhere: Path) -> None:
    _fill(kept, 2)
    assert [gap.code for gap in kept.trail.verify().gaps] == ["none_kept"]
    kept.checkpoints.start()
    (gap,) = kept.trail.verify().gaps
    (line,) = _lines(elsewhere)
    assert isinstance(line, Kept)
    assert (gap.code, gap.line, gap.at) == ("since", 2, line.at)
    assert "line 2" in str(gap)
    _fill(kept, 1)
    found = kept.trail.verify(kept.trail.checkpoint())
    assert [gap.code for gap in found.gaps] == ["since_given"]
    assert found.compared == 2


def test_checkpoints_in_the_data_folder_are_no_proof_against_who_can_write_there(service: Service) -> None:
    _fill(service, 2)
    service.checkpoints.start()
    assert [gap.code for gap in service.trail.verify().gaps] == ["beside", "since"]
    given = service.trail.verify(service.trail.checkpoint())
    assert [gap.code for gap in given.gaps] == ["since_given"]


def test_a_line_that_a_crash_cut_short_spoils_itself_alone(kept: Service, elsewhere: Path) -> None:
    _fill(kept, 1)
    kept.checkpoints.start()
    with elsewhere.open("a", encoding="utf-8") as file:
        file.write("2026-11-26T10:00:0")
    _fill(kept, 1)
    kept.checkpoints.start()
    first, broken, second = _lines(elsewhere)
    assert isinstance(first, Kept)
    assert isinstance(second, Kept)
    assert (first.point.seq, broken, second.point.seq) == (1, 2, 2)
    assert [gap.code for gap in kept.trail.verify().gaps] == ["since", "unreadable"]


def test_a_clock_that_was_set_back_does_not_keep_checkpoints_from_being_written(
    kept: Service, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fill(kept, 1)
    kept.checkpoints.start()
    yesterday = now() - timedelta(days=1)
    monkeypatch.setattr(checkpoints, "now", lambda: yesterday)
    keeper = CheckpointKeeper(
        CheckpointFile(elsewhere, elsewhere=True), end=kept.trail.checkpoint, holds=kept.trail.holds
    )
    _fill(kept, 1)
    keeper._try()
    assert [line.point.seq for line in _lines(elsewhere)] == [1, 2]  # type: ignore[union-attr]


def test_a_file_that_cannot_be_written_stops_the_start_and_never_a_request(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"DATA_FOLDER": str(tmp_path / "data"), "TRAIL_CHECKPOINTS": str(tmp_path / "none" / "file")}
    service = Service.open({"DATA_FOLDER": str(tmp_path / "data")})
    _fill(service, 1)
    service.close()
    with pytest.raises(CannotWrite, match="trail_checkpoints"):
        Service.open(settings)
    service = Service.open(settings, upgrade=False)
    monkeypatch.setattr(checkpoints, "_EVERY_LINES", 2)
    _fill(service, 2)
    assert caplog.text.count("no checkpoint of the audit trail could be written") == 1
    assert service.trail.count() == 3
    service.close()
