"""The installer, as somebody runs it on a desktop: into an empty home, twice, opened in a browser, and away again."""

import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.deploy.checks import ROOT
from tests.peers.test_wheel import built as built
from tests.peers.test_wheel import folder as folder
from tests.web.chromium import chromium, opened

pytestmark = [pytest.mark.peers, pytest.mark.browser, pytest.mark.timeout(2400)]
SCRIPT = ROOT / "deploy" / "install.sh"


def _run(*command: str | Path, home: Path, code: int = 0, **more: str) -> str:
    kept = {
        key: value for key, value in os.environ.items() if not key.startswith(("SECONDREAD_", "XDG_", "PYTHONPATH"))
    }
    done = subprocess.run(
        [str(part) for part in command],
        env=kept | {"HOME": str(home)} | more,
        capture_output=True,
        text=True,
        check=False,
        timeout=1800,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_it_installs_opens_its_page_and_leaves_the_data(built: tuple[Path, Path], tmp_path: Path) -> None:
    home, wheel = tmp_path / "home of anna", built[1]
    (home / "Desktop").mkdir(parents=True)
    place, shortcut = home / "secondread", home / "Desktop" / "secondread.desktop"
    for _ in range(2):
        said = _run("sh", SCRIPT, "--wheel", wheel, home=home)
        assert f"kept in {place / 'data'}" in said
    assert f'Exec="{place / "start.sh"}"' in shortcut.read_text("utf-8")
    assert (home / ".local/share/applications/secondread.desktop").is_file()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    try:
        for _ in range(2):  # the second finds it running
            _run(place / "start.sh", "--no-browser", home=home, PORT=port)
        with chromium() as browser, opened(browser, f"http://127.0.0.1:{port}/") as page:
            page.goto("/learn/1", timeout=120_000)  # the first reading opens the networks
            expect(page.locator(".card-answer .decision")).to_contain_text("Positive")
        assert any((place / "data").iterdir())
    finally:
        _run("sh", SCRIPT, "--uninstall", home=home)
    assert sorted(path.name for path in place.iterdir()) == ["data"]
    assert not shortcut.exists()
    with socket.socket() as gone:
        gone.settimeout(5)
        assert gone.connect_ex(("127.0.0.1", int(port))) != 0, "the server was stopped"
    _run("sh", SCRIPT, "--uninstall", "--with-data", home=home)
    assert not place.exists()


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    assert "there is no wheel" in _run("sh", SCRIPT, "--wheel", tmp_path / "none.whl", home=tmp_path, code=1)
    assert "unknown option --instal" in _run("sh", SCRIPT, "--instal", home=tmp_path, code=1)
    assert "needs a value" in _run("sh", SCRIPT, "--folder", home=tmp_path, code=1)
    assert "--uninstall" in _run("sh", SCRIPT, "--help", home=tmp_path)


def test_shellcheck_has_nothing_to_say() -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed: apt-get install shellcheck")
    subprocess.run(["shellcheck", SCRIPT], check=True)
