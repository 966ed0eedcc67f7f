"""The list that keeps up by itself, in every process; and days that begin when they begin where the site is."""

import re
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import update

from secondread.service.tables import ReadingRow
from secondread.testing.phantoms import chest_phantom, encode
from secondread.web import create_app
from tests.several import bright_reader
from tests.web.conftest import post

READERS = {"tuberculosis": bright_reader(), "tuberculosis/paper": bright_reader()}


def _film(seed: int) -> tuple[str, bytes]:
    return f"film-{seed}.png", encode(chest_phantom((120, 100), random_state=seed, lesion=True), "PNG")


def test_what_one_process_keeps_is_news_in_another_and_what_is_looked_at_is_none(tmp_path: Path) -> None:
    here, there = (create_app({"READERS": READERS, "DATA_FOLDER": str(tmp_path), "GATE": "off"}) for _ in range(2))
    one, other = here.test_client(), there.test_client()
    (first,) = post(one, _film(0), task="tuberculosis").json["readings"]
    page = other.get("/worklist").text
    found = re.search(r'data-changes="([^"]*)" data-position="(\d+)"', page)
    assert found is not None
    address, position = found[1], int(found[2])

    def news() -> bool:
        nonlocal position
        told = other.get(f"{address}?since={position}").json
        assert told["position"] >= position
        position = told["position"]
        return bool(told["changed"])

    assert news() is False  # the list itself was looked at
    one.get(f"/readings/{first['id']}")
    one.get("/worklist")
    assert news() is False
    post(one, _film(1), task="tuberculosis")
    assert news() is True
    assert news() is False
    one.post(f"/api/v1/readings/{first['id']}/reviews", json={"verdict": "agree"})
    assert news() is True
    one.delete(f"/api/v1/readings/{first['id']}")
    assert news() is True
    assert other.get(f"{address}?since=nonsense").json["changed"] is True
    for app in (here, there):
        app.extensions["secondread.service"].close()


def test_a_day_of_the_filter_is_the_sites(tmp_path: Path) -> None:
    """19:05 UTC on the first is 00:35 on the second in India."""
    app = create_app({"READERS": READERS, "DATA_FOLDER": str(tmp_path), "GATE": "off", "TIME_ZONE": "Asia/Kolkata"})
    client, service = app.test_client(), app.extensions["secondread.service"]
    post(client, _film(0), task="tuberculosis")
    with service.database.begin() as session:
        session.execute(update(ReadingRow).values(created_at=datetime(2026, 3, 1, 19, 5, tzinfo=UTC)))

    def rows(day: str) -> int:
        return len(re.findall(r"<tr [^>]*data-id", client.get(f"/worklist?since={day}&until={day}").text))

    assert (rows("2026-03-01"), rows("2026-03-02"), rows("2026-03-03")) == (0, 1, 0)
    assert "2026-03-02 00:35" in client.get("/worklist").text
    found = re.search(r'href="/api/v1/readings\.json\?([^"]*)"', client.get("/worklist?since=2026-03-02").text)
    assert found is not None
    assert len(client.get(f"/api/v1/readings.json?{found[1].replace('&amp;', '&')}").json["readings"]) == 1
    service.close()
