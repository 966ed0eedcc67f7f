"""The site's own time beside UTC."""

from datetime import UTC, datetime

import pytest

from secondread.errors import UnknownName
from secondread.service.clock import local_and_utc, zone_of

EVENING = datetime(2026, 3, 1, 19, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "told"),
    [
        ("Asia/Kolkata", "2026-03-02 00:35 (UTC+05:30), 2026-03-01 19:05 UTC"),
        ("America/New_York", "2026-03-01 14:05 (UTC-05:00), 2026-03-01 19:05 UTC"),
        ("Etc/UTC", "2026-03-01 19:05 UTC"),
        ("Europe/London", "2026-03-01 19:05 UTC"),  # in winter
    ],
)
def test_a_moment_is_told_as_on_the_wall_and_in_utc(zone: str, told: str) -> None:
    assert local_and_utc(EVENING, zone_of(zone)) == told


def test_without_a_name_it_is_the_machines_own_time() -> None:
    assert zone_of("") is None
    assert "19:05 UTC" in local_and_utc(EVENING, None)


@pytest.mark.parametrize(("name", "hint"), [("Asia/Kolkatta", "Asia/Kolkata"), ("here", "IANA"), ("../etc", "IANA")])
def test_a_wrong_name_says_what_to_write(name: str, hint: str) -> None:
    with pytest.raises(UnknownName, match=hint):
        zone_of(name)
