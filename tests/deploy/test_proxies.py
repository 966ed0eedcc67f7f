"""The proxies in front: valid, nothing buffered that must come at once, nothing believed that a browser claims."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.deploy.checks import DEPLOY

NGINX, CADDY = DEPLOY / "proxy" / "nginx.conf", DEPLOY / "proxy" / "Caddyfile"


def test_nginx_takes_its_file(tmp_path: Path) -> None:
    """With a certificate made here, and none of the machine's own files."""
    if (program := shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin")) is None:
        pytest.skip("nginx is not installed")
    site = NGINX.read_text(encoding="utf-8").replace("/etc/ssl/secondread", str(tmp_path))
    site = re.sub(r"listen (\[::\]:)?(80|443)", r"listen \g<1>18\2", site).replace("listen [::]", "listen [::1]")
    make_certificate(tmp_path)
    (tmp_path / "site.conf").write_text(site, encoding="utf-8")
    main = f"pid {tmp_path}/pid; error_log stderr; events {{}} http {{ access_log off; include {tmp_path}/site.conf; }}"
    (tmp_path / "nginx.conf").write_text(main, encoding="utf-8")
    command = [program, "-t", "-q", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 0, done.stderr


def test_caddy_takes_its_file() -> None:
    if (program := shutil.which("caddy")) is None:
        pytest.skip("caddy is not installed")
    command = [program, "validate", "--adapter", "caddyfile", "--config", str(CADDY)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "needed",
    [
        "proxy_buffering off",
        "X-Forwarded-For $remote_addr",
        "X-Forwarded-Proto $scheme",
        "Host $host",
        "TLSv1.2 TLSv1.3",
    ],
)
def test_nginx_has(needed: str) -> None:
    assert needed in NGINX.read_text(encoding="utf-8")


def test_caddy_flushes_every_event() -> None:
    assert "flush_interval -1" in CADDY.read_text(encoding="utf-8")


def test_both_take_requests_as_large_as_the_server_does() -> None:
    from secondread.service import SETTINGS

    most = next(row.default for row in SETTINGS if row.name == "max_body_mb")
    assert f"client_max_body_size {most}m;" in NGINX.read_text(encoding="utf-8")
    assert f"max_size {most}MB" in CADDY.read_text(encoding="utf-8")


def make_certificate(folder: Path) -> None:
    """A key and its certificate, for a day."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"]
    command += ["-subj", "/CN=reading-room.example", "-keyout", "privkey.pem", "-out", "fullchain.pem"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=30)
