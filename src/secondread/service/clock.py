"""The site's own time: a report tells a moment as the clock on the wall had it, and in UTC beside it."""

import difflib
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, available_timezones

from secondread.errors import UnknownName


def zone_of(name: str) -> tzinfo | None:
    """The time zone of an IANA name, as 'Asia/Kolkata'; None, the machine's own, for ''. Raises UnknownName."""
    if not name:
        return None
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError) as error:  # ZoneInfoNotFoundError is a KeyError
        near = difflib.get_close_matches(name, available_timezones(), n=1)
        hint = f"did you mean '{near[0]}'?" if near else "give a name of the IANA database, as Asia/Kolkata"
        raise UnknownName(f"unknown time zone '{name}'; {hint}") from error


def local_and_utc(moment: datetime, zone: tzinfo | None) -> str:
    """'2026-03-02 00:35 (UTC+05:30), 2026-03-01 19:05 UTC'; only the latter where the site lives by UTC.

    moment: with its zone. zone: the site's; None for the machine's.
    """
    there, utc = moment.astimezone(zone), f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    if not there.utcoffset():
        return utc
    offset = f"{there:%z}"
    return f"{there:%Y-%m-%d %H:%M} (UTC{offset[:3]}:{offset[3:5]}), {utc}"
