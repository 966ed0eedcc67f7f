"""Bundles of the site's own: found by command, Python, API, page and queue; a damaged one is named, never a crash."""

import io
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from secondread.errors import CannotOpen, UnknownName
from secondread.reading import load, load_bundle, own_bundles, use_own_bundles
from secondread.service import ReadingRequest, Service, readers_of, settings_from
from secondread.testing.phantoms import chest_phantom, encode
from secondread.web import create_app
from tests.cli.test_cli import call, read
from tests.service.conftest import ANNA

FILM = encode(chest_phantom(128, random_state=1, lesion=True), "PNG")


@pytest.fixture
def own(tmp_path: Path, phantom_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with one that is whole, and one for each reason to leave it out."""
    folder = tmp_path / "bundles"
    for name in ("phantom", "cut", "misnamed", "foreign", "best"):
        shutil.copytree(phantom_bundle, folder / "tuberculosis" / name)
    shutil.copytree(phantom_bundle, folder / "silicosis" / "phantom")
    with (folder / "tuberculosis" / "cut" / "model.onnx").open("r+b") as file:
        file.truncate(1000)
    (folder / "tuberculosis" / "foreign" / "bundle.json").write_text("{}")
    (folder / "notes.txt").write_text("not a bundle")
    monkeypatch.setenv("SECONDREAD_BUNDLES", str(folder))
    use_own_bundles(None)
    yield folder
    use_own_bundles(None)


def test_whole_ones_are_found_and_the_others_named_with_the_reason(own: Path) -> None:
    found = own_bundles()
    assert found.names == ("tuberculosis/phantom",)
    reasons = {
        "silicosis/phantom": "its task is not installed here",
        "tuberculosis/best": "a bundle that comes with the package has this name",
        "tuberculosis/cut": "is not the file that was written",
        "tuberculosis/foreign": "is not a bundle of secondread",
        "tuberculosis/misnamed": "its record calls it tuberculosis/phantom",
    }
    assert set(found.skipped) == set(reasons)
    assert all(reasons[name] in why for name, why in found.skipped.items()), found.skipped
    assert not [why for why in found.skipped.values() if str(own) in why]


def test_a_new_one_is_found_without_a_new_start_and_one_taken_away_is_gone(own: Path) -> None:
    assert own_bundles().names == ("tuberculosis/phantom",)
    shutil.rmtree(own / "tuberculosis" / "phantom")
    assert own_bundles().names == ()


def test_the_shipped_one_goes_before_one_of_the_same_name(own: Path) -> None:
    assert "src/secondread/bundles" in str(load_bundle("tuberculosis/best").folder)


def test_python_reads_with_it_by_name(own: Path) -> None:
    reading = load("tuberculosis/phantom").read(FILM)
    assert (reading.bundle or "").startswith("tuberculosis/phantom@")
    with pytest.raises(UnknownName, match="did you mean 'tuberculosis/phantom'"):
        load("tuberculosis/phantm")


@pytest.mark.parametrize("name", ["tuberculosis/../secret", "../tuberculosis/phantom", "tuberculosis/.hidden"])
def test_a_name_never_leads_out_of_the_folder(own: Path, name: str) -> None:
    with pytest.raises((UnknownName, CannotOpen)):
        load_bundle(name)


def test_the_commands_know_it(own: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, err = call(capsys, "bundles", "--json")
    rows = {row["id"].partition("@")[0]: row for row in json.loads(out)}
    assert code == 0
    assert (rows["tuberculosis/phantom"]["shipped"], rows["tuberculosis/best"]["shipped"]) == (False, True)
    assert not rows["tuberculosis/phantom"]["default"]
    assert "left out: tuberculosis/cut: " in err
    assert "your own" in call(capsys, "bundles")[1]
    (tmp_path / "film.png").write_bytes(FILM)
    command = ("--json", "--task", "tuberculosis", "--bundle", "phantom", tmp_path / "film.png")
    assert json.loads(read(capsys, *command)[1])["bundle"].startswith("tuberculosis/phantom@")


def test_a_folder_that_is_not_there_stops_the_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = settings_from({"SECONDREAD_BUNDLES": str(tmp_path / "none")})
    try:
        with pytest.raises(CannotOpen, match="SECONDREAD_BUNDLES names"):
            readers_of(settings)
    finally:
        use_own_bundles(None)


def test_the_queue_reads_with_it_as_the_desk_does(service: Service, own: Path) -> None:
    readers = readers_of(settings_from(os.environ) | {"GATE": "off"})
    asked = ReadingRequest("tuberculosis", bundle="phantom")
    at_once = service.desk(readers.get).answer(FILM, asked, name="film", actor=ANNA).outcome
    batch = service.intake.take([("film", FILM)], asked, actor=ANNA)
    service.worker(readers.get).run_until_empty()
    (item,) = service.queue.items(batch)
    queued = service.readings.get(item.reading_id, actor=ANNA)
    assert queued.bundle.startswith("tuberculosis/phantom@")
    assert (queued.bundle, queued.probability) == (at_once.bundle, at_once.probability)


def test_pages_and_api_know_it_and_a_folder_that_vanishes_stops_nothing(own: Path, tmp_path: Path) -> None:
    app = create_app({"GATE": "off", "DATA_FOLDER": str(tmp_path / "data"), "BUNDLES": str(own)})
    client = app.test_client()
    found = client.get("/api/v1/bundles").json
    named = {f"{row['task']}/{row['name']}": row["shipped"] for row in found["bundles"]}
    assert (named["tuberculosis/phantom"], named["tuberculosis/best"]) == (False, True)
    assert {row["name"] for row in found["left_out"]} == set(own_bundles().skipped)
    image = (io.BytesIO(FILM), "film.png")
    form = {"image": image, "task": "tuberculosis", "bundle": "phantom"}
    (entry,) = client.post("/api/v1/readings", data=form).json["readings"]
    assert entry["bundle"].startswith("tuberculosis/phantom@")
    assert client.get(f"/readings/{entry['id']}").status_code == 200
    page = client.get("/thresholds").get_data(as_text=True)
    assert "tuberculosis/phantom" in page
    assert "tuberculosis/cut" in page
    shutil.rmtree(own)
    assert client.get("/api/v1/bundles").status_code == 200
    app.extensions["secondread.service"].close()
