"""The script that starts a desktop's server: it knows its own from another program's, and says where it runs."""

import http.server
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.checks import ROOT

# Stands in for the installed program: it answers, and takes its options.
PROGRAM = """#!{python}
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Well(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

HTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Well).serve_forever()
"""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Path]:
    """The script, in the folder that the installer would make."""
    text = (ROOT / "deploy" / "install.sh").read_text(encoding="utf-8")
    folder = tmp_path / "home of anna" / "secondread"
    programs = folder / "program" / "bin"
    programs.mkdir(parents=True)
    (folder / "data").mkdir()
    (programs / "python").symlink_to(sys.executable)
    script, program = folder / "start.sh", programs / "secondread"
    script.write_text(text.partition("<<'START'\n")[2].partition("\nSTART\n")[0] + "\n", encoding="utf-8")
    program.write_text(PROGRAM.format(python=sys.executable), encoding="utf-8")
    for path in (script, program):
        path.chmod(0o755)
    yield script
    said(script, "--stop")


@pytest.fixture
def taken() -> Iterator[str]:
    """A port at which another program answers."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Answering)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield str(server.server_port)
    server.shutdown()
    server.server_close()


class _Answering(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def said(script: Path, *options: str, code: int = 0, **more: str) -> str:
    kept = {name: value for name, value in os.environ.items() if name != "PORT"}
    done = subprocess.run(
        [str(script), *options], env=kept | more, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def free_port() -> str:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return str(one.getsockname()[1])


def test_its_own_server_is_found_where_it_runs(start: Path, taken: str) -> None:
    port = free_port()
    assert f"runs at http://127.0.0.1:{port}/" in said(start, "--no-browser", PORT=port)
    assert f"runs at http://127.0.0.1:{port}/" in said(start, "--no-browser"), "with no port it is where it was put"
    for other in (taken, free_port()):
        refused = said(start, "--no-browser", PORT=other, code=1)
        assert f"runs already at http://127.0.0.1:{port}/ and not at port {other}" in refused
    said(start, "--stop")
    assert list((start.parent / "data").iterdir()) == []


def test_another_programs_server_is_not_taken_for_it(start: Path, taken: str) -> None:
    assert "something else answers" in said(start, "--no-browser", PORT=taken, code=1)
    (start.parent / "data" / "server.pid").write_text(str(os.getpid()), encoding="ascii")  # a number that was reused
    (start.parent / "data" / "server.port").write_text(taken, encoding="ascii")
    assert "something else answers" in said(start, "--no-browser", PORT=taken, code=1)
    said(start, "--stop")  # and this program goes on
