"""secondread.Client against the real server."""

import csv
import subprocess
import sys
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from secondread import Client
from secondread.client import Refused, _seconds
from secondread.errors import CannotOpen, UsageError
from secondread.testing.phantoms import chest_phantom, encode
from tests.several import dicom_of, stack
from tests.web.conftest import Server, served

FILMS = [encode(chest_phantom(72, random_state=number), "PNG") for number in range(50, 54)]


@pytest.fixture
def room(server: Server) -> Client:
    return Client(server.address)


def test_images_are_read_reviewed_deleted_and_brought_back(room: Client, tmp_path: Path) -> None:
    path = tmp_path / 'film "one".png'
    path.write_bytes(FILMS[0])
    read, refused = room.read(path, ("b.txt", b"text"), task="tuberculosis", source="client")
    assert read["decision"] in ("positive", "negative", "uncertain")
    assert refused["refusal"]["code"] == "not_an_image"
    number = read["id"]
    assert room.review(number, "unsure", note="blurred")["verdict"] == "unsure"
    assert room.reading(number)["n_reviews"] == 1
    assert room.picture(number, "heatmap").startswith(b"\x89PNG")
    room.delete(number)
    with pytest.raises(Refused, match="no reading") as error:
        room.reading(number)
    assert error.value.status == 404
    assert not room.restore(number)["deleted"]
    assert number in [row["id"] for row in room.readings(source="client")]
    room.export_csv(tmp_path / "readings.csv", source="client")
    with (tmp_path / "readings.csv").open(encoding="utf-8") as file:
        assert str(number) in [row["id"] for row in csv.DictReader(file)]


def test_pictures_are_fetched_when_they_are_asked_for_and_one_that_is_gone_says_so(room: Client) -> None:
    film, no_image = room.read(("film.png", FILMS[1]), ("b.txt", b"text"), task="tuberculosis")
    assert film["heatmap"] == f"/api/v1/readings/{film['id']}/heatmap?colours=inferno"
    with urllib.request.urlopen(room._base.removesuffix("/api/v1") + film["heatmap"]) as answer:
        assert room.picture(film["id"], "heatmap", colours="inferno") == answer.read()
    (inline,) = room.read(("film.png", FILMS[1]), task="tuberculosis", pictures="inline")
    assert inline["heatmap"].startswith("data:image/png;base64,")
    with pytest.raises(UsageError, match="not kept"):
        room.picture(no_image["id"])
    room.delete(film["id"])
    with pytest.raises(Refused, match="may have been deleted") as error:
        room.picture(film["id"])
    assert (error.value.status, error.value.code) == (404, "not_there")


def test_an_upload_is_read_by_the_servers_own_worker(room: Client) -> None:
    files = [(f"{at}.png", film) for at, film in enumerate(FILMS)]
    sent = room.upload(files, task="tuberculosis", key="client-test")
    assert room.upload(files, task="tuberculosis", key="client-test")["id"] == sent["id"]
    finished = room.wait(sent["id"], timeout=60, every=0.2)
    assert finished["counts"]["done"] == 4
    assert len(list(room.readings(batch=sent["id"], order="oldest"))) == 4


def test_a_report_is_fetched_and_says_whose_image_it_is_only_where_the_site_wants_that(
    room: Client, tmp_path: Path
) -> None:
    number = room.read(("film.png", FILMS[0]), task="tuberculosis")[0]["id"]
    assert room.report(number, heatmap=True).startswith(b"%PDF-")
    assert room.patient_line(number)["mode"] == "off"
    with pytest.raises(Refused, match="patient_line"):
        room.type_patient_line(number, patient="Doe, Jane")
    with served(DATA_FOLDER=str(tmp_path), PATIENT_LINE="typed") as found:
        there = Client(found.address)
        number = there.read(("film.png", FILMS[0]), task="tuberculosis")[0]["id"]
        there.type_patient_line(number, patient="Doe, Jane", study_date="2026-03-01")
        assert there.patient_line(number)["patient"] == "Doe, Jane"


def test_a_request_that_cannot_be_answered_says_why(room: Client, tmp_path: Path) -> None:
    assert room.read(("a.png", b"text"))[0]["refusal"]["code"] == "not_an_image"
    with pytest.raises(Refused, match="did you mean 'tuberculosis'"):
        room.read(("a.png", FILMS[0]), task="tb")
    with pytest.raises(CannotOpen, match="none"):
        room.read(tmp_path / "none.png")
    with pytest.raises(UsageError):
        Client("reading-room.example")


def test_the_client_needs_nothing_but_the_standard_library() -> None:
    code = "import sys; from secondread import Client; print({'numpy', 'flask', 'sqlalchemy'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "set()"


def test_files_of_several_frames_are_read_whole_or_at_one(room: Client) -> None:
    data = dicom_of(stack())
    (whole,) = room.read(("film.dcm", data), task="tuberculosis")
    (second,) = room.read(("film.dcm", data), task="tuberculosis", frame=2)
    assert (len(whole["frames"]), "frames" in second) == (12, False)
    assert second["score"] == whole["frames"][1]["score"]
    batch = room.wait(room.upload([("film.dcm", data)], task="tuberculosis", frame=3)["id"])
    assert batch["frame"] == 3
    third = room.reading(batch["items"][0]["reading_id"])
    assert (third["frame"], third["score"]) == (2, whole["frames"][2]["score"])
    pictures = {room.picture(whole["id"], frame=frame) for frame in (None, whole["worst_frame"], 2, 3)}
    assert len(pictures) == 3  # without a number, the one that answered
    with pytest.raises(Refused, match="no frame 13"):
        room.picture(whole["id"], frame=13)


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        *(("3", 3), ("0.5", 0.5), ("86400", 60), ("", 0), ("-5", 0), ("nan", 0), ("inf", 60), ("²", 0)),
        ("Thu, 26 Nov 2099 10:00:00 GMT", 0),
    ],
)
def test_a_pause_that_a_server_asks_for_is_bounded_and_needs_no_clock(said: str, seconds: float) -> None:
    assert _seconds(said) == seconds


def test_an_answer_that_breaks_off_is_asked_for_again_and_then_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secondread.client._FIRST_PAUSE", 0.01)
    asked = []

    class Breaking(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"{")

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with HTTPServer(("127.0.0.1", 0), Breaking) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(CannotOpen, match="cannot be reached"):
            Client(f"http://127.0.0.1:{server.server_port}").batch(1)
        server.shutdown()
    assert len(asked) == 4


def test_boxes_are_drawn_and_listed(room: Client) -> None:
    (read,) = room.read(("film.png", FILMS[3]), task="tuberculosis")
    made = room.draw_boxes(read["id"], [{"box": [4, 5, 20, 10]}])
    assert (made["added"], made["boxes"]) == (1, [{"box": [4, 5, 20, 10], "of": None}])
    boxes = room.boxes(read["id"])
    assert (boxes["given"], boxes["drawn"]) == (True, [made])
    assert [one["box"] for one in boxes["found"]] == [one["box"] for one in read["findings"]]
