"""A real nginx with the file that is shipped, on free ports, before one server or several."""

import http.client
import re
import shutil
import socket
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.deploy.checks import DEPLOY
from tests.deploy.test_proxies import make_certificate

NAME, BROWSER = "reading-room.example", "127.0.0.2"
PROGRAM = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin")


@dataclass(frozen=True)
class Front:
    """Where nginx listens for TLS."""

    port: int

    def ask(
        self, method: str, path: str, body: bytes = b"", **headers: str
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        """Status, headers and body of the answer over TLS; the certificate is one made here."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.port, timeout=60, context=context, source_address=(BROWSER, 0)
        )
        try:
            connection.request(method, path, body or None, {"Host": NAME, **headers})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def wait(self) -> None:
        """Until it answers."""
        deadline = time.monotonic() + 60
        while True:
            try:
                if self.ask("GET", "/healthz")[0] == 200:
                    return
            except OSError:
                pass
            assert time.monotonic() < deadline, "it does not answer"
            time.sleep(0.2)


def nginx_before(folder: Path, servers: Sequence[int]) -> tuple[Front, list[str]]:
    """Write what nginx needs into a folder; gives where it will listen, and the command that starts it.

    servers: ports of this machine, in place of the one in deploy/proxy/nginx.conf.
    """
    outer, plain = free_port(), free_port()
    site = (DEPLOY / "proxy" / "nginx.conf").read_text(encoding="utf-8").replace("/etc/ssl/secondread", str(folder))
    behind = "\n".join(f"    server 127.0.0.1:{port} max_fails=2 fail_timeout=5s;" for port in servers)
    site = re.sub(r"^    server 127\.0\.0\.1:8000;$", behind, site, flags=re.MULTILINE)
    site = re.sub(r"^\s*listen \[::\].*$", "", site, flags=re.MULTILINE)
    site = site.replace("listen 443", f"listen 127.0.0.1:{outer}").replace("listen 80", f"listen 127.0.0.1:{plain}")
    (folder / "site.conf").write_text(site, encoding="utf-8")
    temporary = " ".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/pid; error_log stderr; events {{}}\n"
        f"http {{ access_log off; {temporary} include {folder}/site.conf; }}",
        encoding="utf-8",
    )
    make_certificate(folder)
    return Front(outer), [str(PROGRAM), "-p", str(folder), "-c", str(folder / "nginx.conf")]


def free_port() -> int:
    """One that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
