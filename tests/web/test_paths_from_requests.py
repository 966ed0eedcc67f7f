"""No string of a request is ever taken for a path: every address is asked with paths in every parameter."""

import ast
import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

import secondread.service
from secondread.errors import SecondReadError
from secondread.reading import load_bundle
from secondread.tasks import list_tasks, load_task
from secondread.tasks.task import FOLDER
from tests.web.addresses import WEB, Address, Administrator, addresses, room

MARK = "never-to-be-opened"
# What may open a file by a name that it is given; web and service take what only knows names.
TAKE_PATHS = {"load_task", "load_bundle", "find_bundle", "load_gate", "load_data", "read_manifest", "import_folder"}
_watched: list[str] = []  # parts of names; empty: nothing is watched
_touched: list[str] = []


def _hook(event: str, args: tuple[object, ...]) -> None:
    if _watched and event.split(".")[0] in ("open", "os", "glob", "shutil", "pathlib", "subprocess", "sqlite3"):
        _look(event, args[0] if args else "")


def _look(event: str, name: object) -> None:
    text = os.fsdecode(name) if isinstance(name, bytes) else str(name)
    if any(part in text for part in _watched):
        _touched.append(f"{event} {text}")
        raise PermissionError(f"{event} {text}")  # a FIFO would be waited for


sys.addaudithook(_hook)


@contextmanager
def watched(part: str) -> Iterator[list[str]]:
    """What is opened, listed or asked about on the disk under a name that holds this part, meanwhile."""
    real = os.stat, os.lstat
    with pytest.MonkeyPatch.context() as patch:  # no audit event tells of these
        for name, inner in zip(("stat", "lstat"), real, strict=True):

            def look(path, *args, _name=name, _inner=inner, **more):
                if _watched and not isinstance(path, int):
                    _look(_name, path)
                return _inner(path, *args, **more)

            patch.setattr(os, name, look)
        _touched.clear()
        _watched.append(part)
        try:
            yield _touched
        finally:
            _watched.clear()


@pytest.fixture(scope="module")
def canaries(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Names of things that would work if they were opened, each under a folder of a name of its own."""
    folder = tmp_path_factory.mktemp("elsewhere") / MARK
    folder.mkdir()
    task = shutil.copy(FOLDER / "tuberculosis.toml", folder / "task.toml")
    shutil.copytree(load_bundle("tuberculosis/paper").folder, folder / "bundle")
    os.mkfifo(folder / "waiting.toml")
    up = "../" * 12 + str(folder).lstrip("/")
    return {
        "a task's file": str(task),
        "a bundle's folder": str(folder / "bundle"),
        "a FIFO": str(folder / "waiting.toml"),
        "upwards": f"{up}/task.toml",
        "upwards from a task": f"tuberculosis/{up}/bundle",
        "an address": f"file://{task}",
        "cut off by NUL": f"{task}\0.png",
        "a folder": f"{folder}/",
        "as a cursor of Windows": f"..\\..\\{MARK}\\task.toml",
    }


@pytest.fixture(scope="module")
def asker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Administrator]:
    """An administrator of a room with a reading and an upload."""
    with room(tmp_path_factory.mktemp("room")) as found:
        yield found


def test_the_watch_sees_what_is_opened_or_asked_about(canaries: dict[str, str]) -> None:
    """Else nothing below could fail."""
    load_task.cache_clear()
    for act in (load_task, load_bundle, os.listdir, lambda name: Path(name).is_file()):
        with watched(MARK) as touched, suppress(SecondReadError, OSError):
            act(canaries["a bundle's folder"])
        assert touched


@pytest.mark.parametrize("what", ["one by one", "all at once"])
def test_no_address_takes_a_parameter_for_a_path(asker: Administrator, canaries: dict[str, str], what: str) -> None:
    found = addresses(asker.client.application)
    assert len(found) > 90
    statuses: Counter[int] = Counter()
    wrong: list[str] = []
    with watched(MARK) as touched:
        for address in found:
            for changed in _changes(address, canaries, what):
                answer = asker.send(address, changed)
                answer.get_data()  # an export is read as it is sent
                answer.close()
                statuses[answer.status_code] += 1
                if touched or answer.status_code >= 500:
                    wrong.append(f"{address} {changed}: {answer.status_code} {touched[:2]}")
                    touched.clear()
    assert wrong == []
    assert statuses[401] + statuses[403] < 60, statuses  # else the login had ended, and little was shown
    assert statuses.total() > 300


def _changes(address: Address, canaries: dict[str, str], what: str) -> Iterator[dict[tuple[str, str], str]]:
    if what == "all at once":
        for value in canaries.values():
            yield dict.fromkeys(address.places, value)
        return
    for place in address.places:
        yield {place: canaries["a task's file"]}  # that it is there would be asked of a bundle's folder as well


def test_the_export_of_reviewed_images_names_the_tasks(asker: Administrator, canaries: dict[str, str]) -> None:
    for value in (*canaries.values(), "tubercolosis", ""):
        answer = asker.client.get("/api/v1/reviews/manifest.zip", query_string={"task": value})
        assert answer.status_code == 400
        assert all(name in answer.json["detail"] for name in list_tasks())


@pytest.mark.parametrize("value", ["fr", "de_DE.UTF-8", f"../{MARK}"])
def test_headers_and_cookies_are_no_paths_either(asker: Administrator, canaries: dict[str, str], value: str) -> None:
    names = ("Accept-Language", "Idempotency-Key", "X-Forwarded-For", "X-Sendfile", "Range", "If-None-Match", "Referer")
    client = asker.client
    client.set_cookie("language", value)
    with watched(MARK) as touched:
        for path in (value, *canaries.values()):
            headers = {name: path.replace("\0", "") for name in names}
            assert client.get("/worklist", headers=headers).status_code == 200
    assert touched == []
    client.delete_cookie("language")


@pytest.mark.parametrize("folder", [WEB, Path(secondread.service.__file__).parent], ids=["web", "service"])
def test_rooms_that_requests_reach_know_nothing_that_takes_paths(folder: Path) -> None:
    found = []
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = {alias.name for alias in node.names} if isinstance(node, ast.ImportFrom) else set()
            names |= {node.attr} if isinstance(node, ast.Attribute) else set()
            of_reading = isinstance(node, ast.ImportFrom) and str(node.module).startswith("secondread.reading")
            if names & TAKE_PATHS or (of_reading and "load" in names) or _is_reader_load(node):
                found.append(f"{path.name}:{node.lineno}")
    assert found == []


def _is_reader_load(node: ast.AST) -> bool:
    named = isinstance(node, ast.Attribute) and node.attr == "load" and isinstance(node.value, ast.Name)
    return named and node.value.id == "Reader"
