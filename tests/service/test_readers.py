"""Networks are loaded when an image is to be read, once, and let go when nobody has asked for long."""

import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from secondread.errors import BundleDamaged, UnknownName
from secondread.images import Limits
from secondread.reading import AutoReader, Reader, list_bundles, load_named
from secondread.service import LOCAL, Readers, Service, readers_of, settings_from
from secondread.service import readers as module
from secondread.testing.phantoms import brain_phantom, chest_phantom, encode
from secondread.web import create_app
from tests.web.conftest import post

FILM = encode(chest_phantom(128, random_state=1, lesion=True), "PNG")


class Loaded:
    """A loader that writes down what it loads."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __call__(self, name: str, **more: Any) -> Any:
        """As load_named, without the gate."""
        self.names.append(name)
        return load_named(name, gate=False, **more)


@pytest.fixture
def loaded() -> Loaded:
    return Loaded()


@pytest.fixture
def readers(loaded: Loaded) -> Readers:
    return readers_of(settings_from({}), load=loaded)


def test_a_task_and_its_chosen_bundle_are_one_and_loaded_once(readers: Readers, loaded: Loaded) -> None:
    assert (
        readers.get("tuberculosis") is readers.get("tuberculosis", "best") is readers.get("auto", "tuberculosis/best")
    )
    assert loaded.names == ["tuberculosis/best"]
    auto = readers.get("auto")
    assert isinstance(auto, AutoReader)
    assert auto._reader("tuberculosis") is readers.get("tuberculosis")
    assert loaded.names == ["tuberculosis/best", "auto"]


def test_what_bundles_say_of_themselves_needs_no_network(readers: Readers, loaded: Loaded) -> None:
    found = readers.bundled()
    assert sorted(f"{bundle.task.name}/{bundle.name}" for bundle in found) == list_bundles()
    assert readers.bundle("tuberculosis") is readers.bundle("tuberculosis", "best")
    assert readers.bundle("auto") is None
    readers.look_at_all()
    assert loaded.names == []
    reader = readers.get("tuberculosis", "paper")
    assert isinstance(reader, Reader)
    assert readers.bundle("tuberculosis", "paper") is reader.bundle
    for ask in (readers.get, readers.bundle):
        with pytest.raises(UnknownName):
            ask("tuberculosis", "none")


def test_what_nobody_asks_for_any_more_is_let_go(loaded: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    given = load_named("tuberculosis/paper", gate=False)
    readers = readers_of(settings_from({}), load=loaded, ready={"tuberculosis/paper": given})
    now = 1000.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    first = readers.get("fracture", "paper")
    now += 59
    assert not readers.let_go(idle=60)
    assert readers.get("fracture", "paper") is first
    now += 60
    assert readers.let_go(idle=60)
    assert not readers.let_go(idle=60)
    assert readers.get("fracture", "paper") is not first
    assert readers.get("tuberculosis", "paper") is given
    assert loaded.names == ["fracture/paper"] * 2


def test_all_are_loaded_where_that_is_asked_for_until_told_to_stop(readers: Readers, loaded: Loaded) -> None:
    stopping = threading.Event()
    stopping.set()
    readers.load_all(stopping)
    assert loaded.names == []
    stopping.clear()
    readers.load_all(stopping)
    assert sorted(loaded.names) == list_bundles()


class TestServer:
    @pytest.fixture
    def client(self, tmp_path: Path, loaded: Loaded) -> Iterator[Any]:
        app = create_app({"DATA_FOLDER": str(tmp_path), "DATABASE": "", "LOAD": loaded})
        yield app.test_client()
        app.extensions["secondread.service"].close()

    def test_pages_load_no_network_and_a_reading_loads_its_own(self, client: Any, loaded: Loaded) -> None:
        for path in ("/", "/thresholds", "/statistics", "/worklist", "/readyz", "/api/v1/bundles"):
            assert client.get(path).status_code == 200, path
        assert loaded.names == []
        assert post(client, ("a.png", FILM), task="tuberculosis", bundle="tuberculosis/paper").status_code == 200
        assert client.get("/api/v1/readings/1").status_code == 200
        assert loaded.names == ["tuberculosis/paper"]

    def test_it_is_not_ready_while_a_bundle_that_comes_with_it_is_damaged(
        self, client: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        readers: Readers = client.application.extensions["secondread"]

        def damaged(name: str) -> Any:
            raise BundleDamaged(f"/srv/{name}/model.onnx is not the file that was written; copy the bundle again")

        monkeypatch.setattr(module, "named_bundle", damaged)
        assert client.get("/readyz").status_code == 200, "nobody has looked yet"
        readers.look_at_all()
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json["code"]) == (503, "bundle_unusable")
        assert "/srv" not in answer.text
        monkeypatch.undo()
        readers.look_at_all()
        assert client.get("/readyz").status_code == 200


def test_a_question_that_follows_is_asked_by_the_sites_own_point_of_the_first(service: Service) -> None:
    readers = Readers(limits=Limits(), parallel=1, load=partial(load_named, gate=False))
    readers.follow(service.upgrades.chosen, service.points.active_point)
    picture = encode(brain_phantom(256, random_state=3), "PNG")
    first = readers.get("brain-tumour")
    assert isinstance(first, Reader)
    probability = first.read(picture).probability or 0.0
    refusal = readers.get("tumour-malignancy").read(picture).refusal
    assert refusal is not None
    assert refusal.code == "not_asked"
    service.points.choose(first.bundle, threshold=probability / 2, actor=LOCAL)
    assert readers.get("tumour-malignancy").read(picture).refusal is None
