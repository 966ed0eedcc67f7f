"""An Orthanc of a test's own, with its DICOMweb plugin: on free ports of this machine, its folder thrown away."""

import json
import shutil
import socket
import subprocess
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import ProxyHandler, Request, build_opener

import pytest

_PLUGINS = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
_SECONDS = 60.0  # for it to answer
_OPENER = build_opener(ProxyHandler({}))


@dataclass(frozen=True)
class Orthanc:
    """Where it is."""

    aet: str
    http_port: int
    dicom_port: int
    account: tuple[str, str] | None = None  # of HTTP

    @property
    def node(self) -> str:
        """As a destination of C-STORE."""
        return f"{self.aet}@127.0.0.1:{self.dicom_port}"

    @property
    def web(self) -> str:
        """As a destination of STOW-RS, and where to ask by QIDO-RS."""
        return f"http://127.0.0.1:{self.http_port}/dicom-web"

    def ask(self, path: str, data: bytes | None = None, *, kind: str = "application/json") -> Any:
        """GET, or POST of data, below its root; the JSON that is answered."""
        return json.loads(self.get(path, data, kind=kind) or b"null")

    def get(self, path: str, data: bytes | None = None, *, kind: str = "*/*") -> bytes:
        """The same; the bytes that are answered."""
        return self._send(Request(f"http://127.0.0.1:{self.http_port}/{path}", data, {"Accept": kind}))

    def delete(self, path: str) -> None:
        """DELETE below its root."""
        self._send(Request(f"http://127.0.0.1:{self.http_port}/{path}", method="DELETE"))

    def _send(self, request: Request) -> bytes:
        if self.account is not None:
            told = b64encode(":".join(self.account).encode()).decode()
            request.add_header("Authorization", f"Basic {told}")
        with _OPENER.open(request, timeout=30) as answer:
            found: bytes = answer.read()
        return found

    def files(self, **query: str) -> list[bytes]:
        """The DICOM files of all instances that fit, by keyword."""
        asked = json.dumps({"Level": "Instance", "Query": query}).encode()
        return [self.get(f"instances/{one}/file") for one in self.ask("tools/find", asked)]

    def find(self, path: str) -> list[dict[str, Any]]:
        """QIDO-RS: what is found below /dicom-web, by tag."""
        found: list[dict[str, Any]] = self.ask(f"dicom-web/{path}", kind="application/dicom+json") or []
        return found


def free_ports(n: int) -> list[int]:
    """So many ports that nobody has now."""
    sockets = [socket.socket() for _ in range(n)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


@contextmanager
def running_orthanc(
    folder: Path, *, ports: tuple[int, int] | None = None, account: tuple[str, str] | None = None, **settings: Any
) -> Iterator[Orthanc]:
    """Start it, and stop it at the end.

    ports: of HTTP and DICOM; None: free ones. account: that is asked for by HTTP. settings: of its configuration file,
    besides those that are needed here.
    """
    program = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin")
    if program is None or not _PLUGINS.exists():
        pytest.skip("Orthanc with its DICOMweb plugin is not installed (Debian: orthanc, orthanc-dicomweb)")
    http_port, dicom_port = ports or free_ports(2)
    found = Orthanc("ORTHANC", http_port, dicom_port, account)
    configuration = {
        "Name": "tests",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "Plugins": [str(_PLUGINS)],
        "HttpPort": http_port,
        "DicomPort": dicom_port,
        "DicomAet": found.aet,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAlwaysAllowStore": True,
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
    path = folder / "orthanc.json"
    path.write_text(json.dumps(configuration | settings), encoding="utf-8")
    with (folder / "orthanc.log").open("wb") as log:
        process = subprocess.Popen([program, str(path)], stdout=log, stderr=subprocess.STDOUT, cwd=folder)
        try:
            _wait(found, process, folder / "orthanc.log")
            yield found
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(orthanc: Orthanc, process: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            pytest.fail(f"Orthanc ended: {log.read_text(errors='replace')[-2000:]}")
        try:
            orthanc.ask("system")
        except (URLError, OSError):
            time.sleep(0.1)
        else:
            return
    pytest.fail("Orthanc does not answer")
