"""The benchmarks that need no data still run to their end, on a few images."""

import click
import pytest
from benchmarks import cold_read, drift_power, release, soak, warm_read

from secondread.cli.main import secondread
from secondread.tasks import list_tasks


@pytest.fixture
def kept(monkeypatch):
    """What a benchmark would write into `results`."""
    tables = {}
    for module in (cold_read, warm_read):
        monkeypatch.setattr(module, "save", tables.__setitem__)
        monkeypatch.setattr(module, "ROUNDS", 1)
    return tables


def test_cold_read_measures_a_reading(kept):
    cold_read.main()
    assert kept["cold_read"]["ratio"] > 0
    assert kept["cold_read"]["difference_of_probability"] < 0.1


def test_warm_read_measures_readings_with_maps(kept, monkeypatch):
    monkeypatch.setattr(warm_read, "SETS", {"small": {"n": 20, "height": 200, "width": 200, "distinct": 4}})
    warm_read.main()
    assert kept["warm_read"]["small"]["images_a_second"]["secondread"] > 0


@pytest.mark.parametrize("step", ["evidence", "leaderboard", "choices", "paper"])
def test_every_command_of_a_release_is_one_that_the_program_knows(monkeypatch, tmp_path, step):
    given = []
    monkeypatch.setenv("SECONDREAD_DATA", str(tmp_path))
    monkeypatch.setattr(release, "RESULTS", tmp_path)
    monkeypatch.setattr(release.shutil, "copy", lambda *_: None)
    monkeypatch.setattr(release, "call", lambda *args: given.append([str(arg) for arg in args]))
    release.STEPS[step](list_tasks())
    for args in given:
        group, name = secondread, args.pop(0)
        while isinstance(command := group.get_command(None, name), click.Group):
            group, name = command, args.pop(0)
        assert command.make_context(name, args), name
    assert given


def test_the_power_table_sees_a_large_fall_and_does_not_cry(monkeypatch):
    monkeypatch.setattr(drift_power, "EVIDENCE", (100,))
    monkeypatch.setattr(drift_power, "WEEKLY", (5, 400))
    monkeypatch.setattr(drift_power, "FALLS", (0.5,))
    few, many = drift_power.power_table(years=20)
    assert (few["false_alarm_a_year"], many["false_alarm_a_year"]) == (0, 0)
    assert (few["one_week_sees_below"], few["falls"][0]["within_1"]) == (None, 0)
    assert many["falls"][0]["within_1"] > 0.9


@pytest.mark.parametrize(
    ("mb", "descriptors", "flat"),
    [
        (lambda n: 600 + n % 3, 30, True),
        (lambda n: 600 + 2 * n / 1000, 30, False),  # 2 MB in 1,000 requests
        (lambda n: 600 + n % 3 + 300 * (n > 4000), 30, True),  # taken once, while it warms
        (lambda n: 600 + n % 3, lambda n: 30 + n // 1000, False),
    ],
)
def test_a_soak_tells_what_grows_from_what_warms(mb, descriptors, flat):
    count = descriptors if callable(descriptors) else lambda n: descriptors
    held = [soak.Held(n, mb(n), count(n), 20) for n in range(250, 20_001, 250)]
    found = soak.verdict(held, 20_000)
    assert found["flat"] is flat
    slope = found["mb_in_1000_requests"]
    assert slope["low"] <= slope["value"] <= slope["high"]


def test_what_a_request_takes_for_a_moment_is_no_growth():
    """A look in ten falls on such a moment, later ones on larger ones; a point that was always there would show."""
    looks = [soak.Held(n, 600 + n % 3 + (n / 50 if n % 100 == 0 else 0), 30, 20) for n in range(10, 20_001, 10)]
    held = soak.points(looks)
    assert [one.requests for one in held] == list(range(250, 20_001, 250))
    assert max(one.mb for one in held) <= 602
    assert soak.verdict(held, 20_000)["flat"]
    leak = [soak.Held(one.requests, one.mb + one.requests / 900, 30, 20) for one in looks]
    assert not soak.verdict(soak.points(leak), 20_000)["flat"]
