"""Three hospitals and a server, each a process of its own on this machine, through Flower's link."""

import datetime
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from secondread.data import load_data, write_manifest
from secondread.lab.federated.kept import load_state
from secondread.lab.federated.plan import Plan
from secondread.lab.federated.serving import Simulated
from secondread.lab.federated.shares import sites_of
from secondread.lab.federated.simulation import simulate
from secondread.lab.federated.site import Policy
from secondread.reading import load_bundle

pytestmark = [pytest.mark.peers, pytest.mark.timeout(600)]
PLAN = ["--task", "tuberculosis", "--sites", "3"]


@pytest.fixture(scope="module")
def hospitals(phantom_manifest, tmp_path_factory):
    """A manifest for each hospital, as each would have its own."""
    folder = tmp_path_factory.mktemp("hospitals")
    found = {}
    for name, rows in sites_of(load_data(phantom_manifest)).items():
        (folder / name).mkdir()
        found[name] = folder / name / "manifest.csv"
        write_manifest(rows, found[name])
    return found


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Running:
    """A command, what it says, and a way to wait until it says something."""

    def __init__(self, *args: object):
        command = [sys.executable, "-W", "ignore", "-m", "secondread.cli", "federate", *map(str, args)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.said: list[str] = []
        self._news = threading.Condition()
        self._listening = threading.Thread(target=self._listen, daemon=True)
        self._listening.start()

    def _listen(self) -> None:
        with self.process.stdout as told:
            for line in told:
                with self._news:
                    self.said.append(line)
                    self._news.notify_all()

    def until(self, words: str, timeout_s: float = 300) -> None:
        with self._news:
            found = self._news.wait_for(lambda: any(words in line for line in self.said), timeout_s)
        assert found, "".join(self.said)

    def end(self, timeout_s: float = 300) -> str:
        code = self.process.wait(timeout_s)
        self._listening.join()
        assert code == 0, "".join(self.said)
        return "".join(self.said)


@contextmanager
def _running() -> Iterator[list[Running]]:
    begun: list[Running] = []
    try:
        yield begun
    finally:
        for one in begun:
            one.process.kill()
            one.process.wait()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory) -> dict[str, Path]:
    """An authority and a server's certificate for localhost."""
    folder = tmp_path_factory.mktemp("certificates")
    now = datetime.datetime.now(datetime.UTC)
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))

    def make(subject: str, public, issuer: str, extensions) -> bytes:
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=2))
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        return builder.sign(ca_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    authority = x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key())
    usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
    names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    files = {
        "ca": make("ca", ca_key.public_key(), "ca", [x509.BasicConstraints(True, None), authority, usage]),
        "certificate": make(
            "localhost",
            key.public_key(),
            "ca",
            [names, x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(authority)],
        ),
        "key": key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    }
    for name, content in files.items():
        (folder / f"{name}.pem").write_bytes(content)
    return {name: folder / f"{name}.pem" for name in files}


@pytest.mark.parametrize(
    ("fields", "said_in_card"),
    [
        ({}, "2 rounds of 1 epoch at each"),
        ({"strategy": "fedsgd", "rounds_per_epoch": 2}, "2 rounds, each one step, 2 to an epoch"),
    ],
)
def test_separate_processes_over_tls_with_known_keys_end_with_the_bundle_of_the_simulation(
    hospitals, certificates, tmp_path, monkeypatch, fields, said_in_card
):
    monkeypatch.setenv("SECONDREAD_CACHE", str(tmp_path / "cache"))
    port = _free_port()
    keys = {}
    for name in hospitals:
        keys[name] = tmp_path / f"{name}.key"
        Running("key", keys[name]).end()
        assert keys[name].stat().st_mode & 0o077 == 0
    with _running() as begun:
        server = Running(
            "server", *PLAN, "--rounds", 2, "--host", "localhost", "--port", port, "--out", tmp_path / "bundle",
            "--tls-certificate", certificates["certificate"], "--tls-key", certificates["key"],
            "--tls-ca", certificates["ca"], *(f"--site-key={path.with_suffix('.pub')}" for path in keys.values()),
            *(f"--{name.replace('_', '-')}={value}" for name, value in fields.items()),
        )  # fmt: skip
        begun.append(server)
        sites = {
            name: Running(
                "site",
                "--no-gate",
                "--data",
                data,
                "--server",
                f"localhost:{port}",
                "--tls-ca",
                certificates["ca"],
                "--key",
                keys[name],
                "--out",
                tmp_path / "at" / name,
            )
            for name, data in hospitals.items()
        }
        begun += sites.values()
        stranger = Running("site", "--data", hospitals["site0"], "--name", "stranger", "--server", f"localhost:{port}",
                           "--tls-ca", certificates["ca"], "--patience", 5)  # fmt: skip
        begun.append(stranger)
        said = server.end()
        assert all("done" in one.end() for one in sites.values())
        assert stranger.process.wait(120) == 1
        assert "did not let this site in" in "".join(stranger.said)
    assert len(re.findall(r"^test at site\d", said, flags=re.MULTILINE)) == 3
    plan = Plan("tuberculosis", "lenet", 2, sites=3, **fields)
    made = {name: Simulated(name, load_data(data), Policy(gate=False)) for name, data in hospitals.items()}
    here = simulate(plan, made, out=tmp_path / "here", name="bundle", engine="inline")
    there = load_bundle(tmp_path / "bundle")
    assert said_in_card in there.card
    states = [load_state(tmp_path / f"{name}.run", plan.fingerprint()) for name in ("here", "bundle")]
    for name, part in states[0].weights.items():
        assert np.allclose(part, states[1].weights[name], atol=1e-4), name
    for name, point in here.operating_points.items():
        assert there.operating_points[name].threshold == pytest.approx(point.threshold, abs=1e-4)
    assert there.evidence["results"]["test"]["confusion"] == here.evidence["results"]["test"]["confusion"]
    assert load_bundle(tmp_path / "at" / "site2").model.sha256 == there.model.sha256


class Wire(threading.Thread):
    """Stands between one site and the server, and keeps what passes."""

    def __init__(self, port: int):
        super().__init__(daemon=True)
        self.door = socket.create_server(("127.0.0.1", 0))
        self.port, self.to, self.passed = self.door.getsockname()[1], port, bytearray()

    def run(self) -> None:
        while True:
            near, _ = self.door.accept()
            try:
                far = socket.create_connection(("127.0.0.1", self.to))
            except OSError:
                near.close()
                continue
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket) -> None:
        try:
            while data := one.recv(65536):
                self.passed += data
                other.sendall(data)
        except OSError:
            pass
        finally:
            for end in (one, other):
                end.close()


def test_a_site_is_killed_in_round_three_and_on_the_wire_of_another_passes_no_image_path_patient_or_label(
    hospitals, tmp_path, monkeypatch
):
    monkeypatch.setenv("SECONDREAD_CACHE", str(tmp_path / "cache"))
    port = _free_port()
    wire = Wire(port)
    wire.start()
    with _running() as begun:
        server = Running("server", *PLAN, "--rounds", 4, "--port", port, "--insecure", "--round-timeout", 40,
                         "--out", tmp_path / "bundle")  # fmt: skip
        sites = {
            name: Running(
                "site",
                "--no-gate",
                "--data",
                data,
                "--insecure",
                "--server",
                f"127.0.0.1:{wire.port if name == 'site0' else port}",
            )
            for name, data in hospitals.items()
        }
        begun += [server, *sites.values()]
        server.until("round 2/4")
        os.kill(sites["site2"].process.pid, signal.SIGKILL)
        said = server.end()
        sites["site0"].end()
    history = load_bundle(tmp_path / "bundle").record["federated"]["sites"]
    assert "round 4/4" in said
    assert history["site0"]["rounds"] == {"ok": 4}
    assert history["site2"]["rounds"].get("ok", 0) < 4
    passed = bytes(wire.passed)
    manifest = load_data(hospitals["site0"])
    assert b"site0" in passed, "the wire was not read"
    assert len(passed) > 4 * 170_000, "weights did not pass here"
    for row in manifest.rows:
        assert row.name.encode() not in passed
        assert row.path.name.encode() not in passed
        assert row.patient.encode() not in passed
        assert row.path.read_bytes()[64:128] not in passed
    from secondread.images import PrepareSpec, decode, prepare

    spec = PrepareSpec(size=128, channels=1)
    for row in manifest.rows[:8]:
        pixels = prepare(decode(row.path.read_bytes()), spec).pixels
        middle = pixels[64, :, 0]
        assert middle.tobytes() not in passed
        assert (middle.astype(np.float32) / 255).tobytes() not in passed
    labels = np.array([row.label for row in manifest.rows if row.split == "train"])
    for kind in (np.uint8, np.int64, np.float32):
        assert labels.astype(kind).tobytes() not in passed


def test_a_killed_server_goes_on_at_its_round_and_its_sites_come_back(hospitals, tmp_path, monkeypatch):
    monkeypatch.setenv("SECONDREAD_CACHE", str(tmp_path / "cache"))
    port = _free_port()
    command = ["server", *PLAN, "--rounds", 3, "--port", port, "--insecure", "--out", tmp_path / "bundle", "--secure"]
    with _running() as begun:
        first = Running(*command)
        begun.append(first)
        begun += [Running("site", "--no-gate", "--data", data, "--insecure", "--secure-only",
                          "--server", f"127.0.0.1:{port}")
                  for data in hospitals.values()]  # fmt: skip
        first.until("round 1/3")
        os.kill(first.process.pid, signal.SIGKILL)
        first.process.wait()
        again = Running(*command)
        begun.append(again)
        said = again.end()
    assert "round 1/3" not in said
    assert "round 3/3" in said
    card = load_bundle(tmp_path / "bundle").card
    assert "saw their sum alone" in card


@pytest.fixture(scope="module")
def inline(hospitals, tmp_path_factory):
    """The state that a simulation in one process ends in."""
    return _simulated(hospitals, "inline", tmp_path_factory.mktemp("inline"))


def _simulated(hospitals, engine, folder):
    plan = Plan("tuberculosis", "lenet", 2, sites=3)
    made = {
        name: Simulated(name, load_data(data), Policy(gate=False), folder / "cache") for name, data in hospitals.items()
    }
    simulate(plan, made, out=folder / "bundle", engine=engine)
    return load_state(folder / "bundle.run", plan.fingerprint())


@pytest.mark.parametrize("engine", ["processes", "ray"])
def test_every_engine_ends_with_the_same_weights(hospitals, inline, engine, tmp_path):
    if engine == "ray":
        pytest.importorskip("ray", reason="needs the extra scale")
    imported_from = os.environ.get("PYTHONPATH")
    there = _simulated(hospitals, engine, tmp_path)
    assert os.environ.get("PYTHONPATH") == imported_from  # what is begun later imports its own packages
    for name, part in inline.best_weights.items():
        assert np.allclose(part, there.best_weights[name], atol=1e-6), name
    assert [line["val_auc"] for line in there.history] == [line["val_auc"] for line in inline.history]
