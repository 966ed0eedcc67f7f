"""Images beside one another: no answer that is withheld, the layout kept with the account; and the trail of a stack."""

import re
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from flask import Flask
from flask.testing import FlaskClient

from secondread.service import LOCAL, Hanging
from secondread.testing.phantoms import chest_phantom, dicom_bytes
from secondread.web import create_app
from tests.several import bright_reader, dicom_of, stack
from tests.web.conftest import logged_in, post

PASSWORD = "a long enough password"
TELLING = re.compile(
    r'class="stage"[^>]*data-(heat|regions|decision)=|svg class="boxes|Positive|Negative|Uncertain|score \d',
    re.IGNORECASE,
)


class Reviewer(NamedTuple):
    """A person, their browser, and what it sends with forms."""

    name: str
    client: FlaskClient
    headers: dict[str, str]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    readers = {"tuberculosis": bright_reader(), "tuberculosis/paper": bright_reader()}
    app = create_app({"READERS": readers, "DATA_FOLDER": str(tmp_path_factory.mktemp("hung")), "GATE": "off"})
    yield app
    app.extensions["secondread.service"].close()


@pytest.fixture(scope="module")
def readings(app: Flask) -> list[int]:
    """A film, a film, and a stack of twelve frames, of one patient; sent before there were accounts."""
    client, found = app.test_client(), []
    films = [chest_phantom((120, 100), random_state=seed, lesion=True) for seed in (0, 1)]
    files = [dicom_bytes(film, Modality="DX", PatientID="P-1") for film in films] + [dicom_of(stack(), PatientID="P-1")]
    for number, data in enumerate(files):
        (entry,) = post(client, (f"film-{number}.dcm", data), task="tuberculosis").json["readings"]
        assert entry["decision"]
        found.append(entry["id"])
    return found


@pytest.fixture
def reviewer(app: Flask, readings: list[int]) -> Reviewer:
    """Somebody new, who has seen no answer yet."""
    accounts = app.extensions["secondread.service"].accounts
    name = f"anna-{len(accounts.users())}"
    if not accounts.any_there():
        accounts.add("root", role="administrator", password=PASSWORD, actor=LOCAL)
    accounts.add(name, role="reviewer", password=PASSWORD, actor=LOCAL)
    client = app.test_client()
    return Reviewer(name, client, {"X-CSRF-Token": logged_in(client, name)})


def test_an_image_beside_tells_no_answer_that_is_withheld(app: Flask, readings: list[int], reviewer: Reviewer) -> None:
    _, client, headers = reviewer
    for one in readings:
        blind = client.get(f"/readings/{one}/pane?blind=1")
        assert blind.status_code == 200
        assert TELLING.search(blind.text) is None, TELLING.search(blind.text)
        assert "answer hidden" in blind.text
    client.post("/worklist/opinion-first", data={"on": "1"}, headers=headers)
    first, *beside = readings
    page = client.get(f"/readings/{first}?beside={','.join(map(str, beside))}").text
    others = re.search(r'data-others="([^"]*)"', page)
    assert others is not None
    assert TELLING.search(others[1]) is None
    stacked = client.get(f"/readings/{readings[2]}/pane").text
    assert TELLING.search(stacked) is None
    assert 'data-answers="1"' in stacked  # not the frame that answered, which would tell
    client.post(f"/readings/{readings[1]}/review", data={"finding": "1", "saw_answer": "0"}, headers=headers)
    assert TELLING.search(client.get(f"/readings/{readings[1]}/pane").text) is not None  # the opinion is given
    assert TELLING.search(client.get(f"/readings/{readings[2]}/pane").text) is None


def test_the_layout_is_kept_with_the_account(app: Flask, readings: list[int], reviewer: Reviewer) -> None:
    _, client, headers = reviewer
    assert 'data-layout="1x1" data-linked="1"' in client.get(f"/readings/{readings[0]}").text
    assert client.put("/hanging", json={"layout": "2x2", "linked": False}, headers=headers).status_code == 200
    assert client.put("/hanging", json={"layout": "9x9", "linked": True}, headers=headers).status_code == 400
    again = app.test_client()
    logged_in(again, reviewer.name)
    assert 'data-layout="2x2" data-linked="0"' in again.get(f"/readings/{readings[0]}").text


@pytest.mark.parametrize(
    ("kept", "layout", "linked"), [("", "1x1", True), ("2x2 apart", "2x2", False), ("7x7 linked", "1x1", True)]
)
def test_a_choice_that_is_none_of_todays_is_the_first(kept: str, layout: str, linked: bool) -> None:
    assert Hanging.of(kept) == Hanging(layout, linked)
    assert Hanging.of(str(Hanging(layout, linked))) == Hanging(layout, linked)


def test_a_stack_that_is_gone_through_is_one_line_of_the_trail(
    app: Flask, readings: list[int], reviewer: Reviewer
) -> None:
    client = reviewer.client
    service = app.extensions["secondread.service"]
    start = service.trail.checkpoint().seq
    assert client.get(f"/readings/{readings[2]}").status_code == 200
    for frame in range(1, 9):
        assert client.get(f"/api/v1/readings/{readings[2]}/image?frame={frame}").status_code == 200
    assert client.get(f"/api/v1/readings/{readings[2]}/geometry?frame=3").status_code == 200
    lines = [line for line in service.trail.lines(after=start) if line["subject"].startswith("image:")]
    assert [line["action"] for line in lines] == ["image.seen"]
    assert '"frames":12' in lines[0]["detail"]
    for one in readings[:2]:  # a picture by itself is noted each time
        client.get(f"/api/v1/readings/{one}/image")
        client.get(f"/api/v1/readings/{one}/image")
    later = [
        line["action"] for line in service.trail.lines(after=lines[0]["seq"]) if line["subject"].startswith("image:")
    ]
    assert later == ["image.seen"] * 4
