"""What is remembered for a second is never believed longer, and not at all after a change of one's own."""

import threading
from collections.abc import Iterator

import pytest

from secondread.reading import load_bundle
from secondread.service import Service
from secondread.service.shortly import SECONDS, Shortly
from tests.counted import counted
from tests.service.conftest import ANNA

BUNDLE = load_bundle("tuberculosis/paper")


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_value_is_looked_up_once_in_its_time_and_again_after() -> None:
    clock, looks = Clock(), iter(range(10))
    remembered: Shortly[int] = Shortly(1.0, clock=clock)
    assert [remembered.get("a", lambda: next(looks)) for _ in range(3)] == [0, 0, 0]
    assert remembered.get("b", lambda: next(looks)) == 1
    clock.now += 0.99
    assert remembered.get("a", lambda: next(looks)) == 0
    clock.now += 0.01
    assert remembered.get("a", lambda: next(looks)) == 2
    remembered.forget()
    assert remembered.get("a", lambda: next(looks)) == 3


def test_none_is_a_value_and_an_error_is_none() -> None:
    found: Iterator[None] = iter([None])
    remembered: Shortly[None] = Shortly(clock=Clock())
    assert [remembered.get("a", lambda: next(found)) for _ in range(2)] == [None, None]
    with pytest.raises(StopIteration):
        remembered.get("b", lambda: next(found))


def test_what_was_looked_up_before_a_change_is_not_remembered_after_it() -> None:
    remembered: Shortly[str] = Shortly(clock=Clock())
    looking, changed = threading.Event(), threading.Event()

    def slowly() -> str:
        looking.set()
        changed.wait(30)
        return "before"

    thread = threading.Thread(target=lambda: remembered.get("a", slowly))
    thread.start()
    looking.wait(30)
    remembered.forget()
    changed.set()
    thread.join(30)
    assert remembered.get("a", lambda: "after") == "after"


def test_a_sites_point_is_looked_up_once_and_a_change_here_holds_at_once(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    with counted(monkeypatch, service.database) as work:
        assert [service.points.active_point(BUNDLE) for _ in range(20)] == [None] * 20
    assert sum("site_points" in one for one in work.statements) == 1
    service.points.choose(BUNDLE, threshold=0.4, actor=ANNA)
    point = service.points.active_point(BUNDLE)
    assert point is not None
    assert point.threshold == 0.4
    assert [one.threshold for one in service.points.history(BUNDLE)] == [0.4]
    service.points.revert(BUNDLE, actor=ANNA)
    assert service.points.active_point(BUNDLE) is None


def test_a_change_by_another_process_is_seen_within_the_second_that_is_told(service: Service) -> None:
    other = Service.open(
        {
            "DATA_FOLDER": str(service.folder),
            "DATABASE": ""
            if service.database.is_sqlite
            else service.database.url.render_as_string(hide_password=False),
        },
        upgrade=False,
    )
    clock = Clock()
    for remembered in (other.points._active, other.points._named, other.prevalences._counting):
        remembered._clock = clock
    try:
        assert other.points.active_point(BUNDLE) is None
        assert other.prevalences.counting() == {}
        service.points.choose(BUNDLE, threshold=0.4, actor=ANNA)
        service.prevalences.choose("tuberculosis", prevalence=0.1, actor=ANNA)
        clock.now += SECONDS
        found = other.points.active_point(BUNDLE)
        assert found is not None
        assert found.threshold == 0.4
        assert other.prevalences.counting() == {"tuberculosis": 0.1}
    finally:
        other.close()
