"""Memory for decoding is one bound for all processes of a server: what one has in use no other can take."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from secondread.errors import Busy
from secondread.images.budget import Budget
from secondread.web.serving.shared import SharedBytes, SharedConnections

_TAKES_AND_GIVES_BACK = """
import sys
from pathlib import Path
from secondread.images.budget import Budget
from secondread.web.serving.shared import SharedBytes
others = SharedBytes(Path(sys.argv[1]), 3, int(sys.argv[2]))
budget = Budget(100, patience=60.0, others=others)
most = 0
for n in range(300):
    with budget.reserve(30 + n % 40):
        with others.locked() as elsewhere:
            most = max(most, budget.used + elsewhere)
print(most)
"""


@pytest.fixture
def budget_of(tmp_path: Path) -> Callable[[int], Budget]:
    """That of a process of three, by its place."""
    return lambda at: Budget(100, patience=0.0, others=SharedBytes(tmp_path / "decoding", 3, at))


def test_an_idle_process_leaves_all_to_another_and_the_bound_holds_for_both(budget_of: Callable[[int], Budget]) -> None:
    one, other = budget_of(0), budget_of(1)
    with one.reserve(100), pytest.raises(Busy), other.reserve(1):
        pass
    with other.reserve(60):
        with pytest.raises(Busy), one.reserve(41):
            pass
        with one.reserve(40):
            assert (one.used, other.used) == (40, 60)
    with one.reserve(100):
        assert other.used == 0


def test_what_a_killed_process_had_in_use_is_cleared(tmp_path: Path, budget_of: Callable[[int], Budget]) -> None:
    killed, other, parent = budget_of(1), budget_of(2), SharedBytes(tmp_path / "decoding", 3, 0)
    in_use = killed.reserve(90)
    in_use.__enter__()
    killed.others.tell_waiting(5.0)
    assert parent.eldest() == pytest.approx(5.0)
    with pytest.raises(Busy), other.reserve(50):
        pass
    parent.clear(1)
    assert parent.eldest() == float("inf")
    with other.reserve(100):
        assert other.used == 100
    parent.close()


def test_nobody_begins_before_who_has_waited_long_in_another_process(budget_of: Callable[[int], Budget]) -> None:
    one, other = budget_of(0), budget_of(1)
    other.others.tell_waiting(1.0)  # second of the machine's clock: long ago
    with pytest.raises(Busy), one.reserve(10, share=0.5):
        pass
    with one.reserve(10, share=0.5, inside=True), one.reserve(10):
        assert one.used == 20
    other.others.tell_waiting(0.0)
    with one.reserve(10, share=0.5):
        assert one.used == 10


def test_processes_that_take_at_once_never_pass_the_bound(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _TAKES_AND_GIVES_BACK, str(tmp_path / "decoding")]
    running = [subprocess.Popen([*command, str(at)], stdout=subprocess.PIPE, text=True) for at in range(3)]
    most = [int(process.communicate(timeout=120)[0]) for process in running]
    assert [process.returncode for process in running] == [0, 0, 0]
    assert max(most) <= 100
    left = SharedBytes(tmp_path / "decoding", 3, 0)
    with left.locked() as elsewhere:
        assert elsewhere == 0
    left.close()


def test_a_connection_is_taken_by_who_has_the_fewest(tmp_path: Path) -> None:
    places = [SharedConnections(tmp_path / "connections", 3, at) for at in range(3)]
    n_open = [0, 0, 0]
    for _ in range(16):
        may = [at for at in range(3) if places[at].may_take(n_open[at], 100.0)]
        assert may, "somebody always takes it"
        n_open[may[-1]] += 1
        for at, place in enumerate(places):
            place.tell(n_open[at], 100.0)
    assert sorted(n_open) == [5, 5, 6]
    n_open = [9, 2, 2]
    for at, place in enumerate(places):
        place.tell(n_open[at], 100.0)
    assert [places[at].may_take(n_open[at], 100.0) for at in range(3)] == [False, True, True]
    assert places[0].may_take(9, 103.0), "nobody waits for loops that do not turn any more"
    places[1].clear(2)
    places[1].tell(9, 100.0)
    assert places[0].may_take(9, 100.0), "nor for one that is gone"
    for place in places:
        place.close()
