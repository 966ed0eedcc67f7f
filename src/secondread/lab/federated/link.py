"""The server's connection: begins Flower's SuperLink, lets the known sites in, and asks through it."""

import hashlib
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from flwr.cli.build import build_fab_from_files
from flwr.common.constant import SubStatus
from flwr.common.serde import run_from_proto
from flwr.proto.control_pb2 import RegisterNodeRequest, StartRunRequest
from flwr.proto.fab_pb2 import Fab
from flwr.proto.runtime_pb2 import AcquireTaskRequest, PullTaskInputRequest, PushTaskOutputRequest
from flwr.supercore.constant import TaskType
from flwr.supercore.control.control_http_client import ControlHttpClient
from flwr.supercore.heartbeat import HeartbeatSender, make_task_heartbeat_fn_http
from flwr.supercore.interceptors import RuntimeTokenHttpInterceptor, RuntimeVersionHttpInterceptor
from flwr.supercore.protobuf.client import ProtobufCall, ProtobufRequestContext
from flwr.supercore.runtime import RuntimeHttpClient
from flwr.supercore.task_identity import TaskIdentity
from flwr.superlink.grid import HttpGrid

from secondread.errors import CannotOpen, TrainingError, UsageError
from secondread.lab.federated.superlink import KEY_HEADER

_STARTS_S = 120.0
# Sites run the program that is installed at theirs; this is what Flower asks a run to have, and nobody opens it.
_NOTHING_TO_RUN = b"""
[project]
name = "secondread"
version = "1.0.0"
license = "Apache-2.0"

[tool.flwr.app]
publisher = "secondread"

[tool.flwr.app.components]
serverapp = "secondread_federated:app"
clientapp = "secondread_federated:app"

[tool.flwr.app.config]
"""


@dataclass(frozen=True)
class Door:
    """Where sites come in. Without certificates, nothing is encrypted: only on one machine, or inside a tunnel.

    site_keys: public keys (of `federate key`) of the sites that may come; none: any site that reaches the port may.
    """

    host: str = "127.0.0.1"
    port: int = 9092
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    tls_ca: Path | None = None
    site_keys: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        given = [self.tls_certificate, self.tls_key, self.tls_ca]
        if any(given) and not all(given):
            raise UsageError("TLS takes three files: --tls-certificate, --tls-key and --tls-ca")
        if self.site_keys and self.insecure:
            raise UsageError("sites show their keys over TLS alone: give --tls-certificate, --tls-key and --tls-ca")
        for file in (*given, *self.site_keys):
            if file is not None and not file.is_file():
                raise CannotOpen(f"there is no file '{file}'")

    @property
    def insecure(self) -> bool:
        """Whether nothing is encrypted."""
        return self.tls_certificate is None

    @property
    def address(self) -> str:
        """For this machine's own calls. A certificate must name it: localhost."""
        own = "localhost" if not self.insecure or self.host in ("0.0.0.0", "::") else self.host
        return f"{own}:{self.port}"


class _Key:
    """Shows the key of the locked door."""

    def __init__(self, key: str):
        self._key = key

    def intercept(self, context: ProtobufRequestContext, call_next: ProtobufCall) -> httpx.Response:
        context.request.headers[KEY_HEADER] = self._key
        return call_next(context)


class _Grid(HttpGrid):
    """Flower's grid, with the key."""

    def __init__(self, door: Door, key: str, token: str):
        super().__init__(door.address, door.insecure, _ca(door), token=token)
        self.key = key

    def _connect(self) -> None:
        self._client = RuntimeHttpClient.from_server_address(
            server_address=self._addr,
            insecure=self._insecure,
            root_certificates=self._cert,
            interceptors=[
                _Key(self.key),
                RuntimeVersionHttpInterceptor(component_name="flwr-serverapp"),
                RuntimeTokenHttpInterceptor(token=self._token),
            ],
            retry_invoker=self._retry_invoker,
        )

    @property
    def client(self) -> RuntimeHttpClient:
        """Of the runtime's calls."""
        return self._runtime_client


def _ca(door: Door) -> bytes | None:
    return None if door.tls_ca is None else door.tls_ca.read_bytes()


@contextmanager
def linked(door: Door) -> Iterator[HttpGrid]:
    """A SuperLink on `door`, a run on it, and the grid that reaches its sites; all ended at the end.

    Who the sites are it keeps in memory: to a link that was begun anew they come anew.
    Raises TrainingError if the link does not start, such as on a port that is taken.
    """
    key = secrets.token_hex(32)
    process = _start(door, key)
    try:
        _until_it_answers(door, process)
        control: dict[str, Any] = {"insecure": door.insecure, "root_certificates": _ca(door)}
        with _closing(
            ControlHttpClient.from_server_address(door.address, interceptors=[_Key(key)], **control)
        ) as client:
            _register(client, door.site_keys)
            fab, _ = build_fab_from_files(
                {"pyproject.toml": _NOTHING_TO_RUN, "secondread_federated.py": b"app = None\n"}
            )
            client.StartRun(StartRunRequest(fab=Fab(hash_str=hashlib.sha256(fab).hexdigest(), content=fab)))
        runtime = RuntimeHttpClient.from_server_address(
            door.address, door.insecure, _ca(door), interceptors=[_Key(key), _version()]
        )
        with _closing(runtime) as client:
            token = client.AcquireTask(AcquireTaskRequest(supported_task_types=[TaskType.SERVER_APP])).token
        grid = _Grid(door, key, token)
        yield from _running(grid)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _running(grid: _Grid) -> Iterator[HttpGrid]:
    told = grid.client.PullTaskInput(PullTaskInputRequest())
    TaskIdentity.task_id, TaskIdentity.run_id = told.task_id, told.run.run_id
    TaskIdentity.node_id = told.context.node_id
    grid.set_run(run_from_proto(told.run))
    heartbeat = HeartbeatSender(make_task_heartbeat_fn_http(grid.client))
    heartbeat.start()
    status = SubStatus.FAILED
    try:
        yield grid
        status = SubStatus.COMPLETED
    finally:
        heartbeat.stop()
        try:
            grid._retry_invoker.max_tries = 1
            grid.client.PushTaskOutput(PushTaskOutputRequest(sub_status=status, details=""))
        except httpx.HTTPError:
            pass  # the link is gone already, and with it the run
        grid.close()


def _version() -> RuntimeVersionHttpInterceptor:
    return RuntimeVersionHttpInterceptor(component_name="SuperExec")


@contextmanager
def _closing(client: Any) -> Iterator[Any]:
    try:
        yield client
    finally:
        client.close()


def _start(door: Door, key: str) -> "subprocess.Popen[str]":
    asked = {
        "host": door.host,
        "port": door.port,
        "insecure": door.insecure,
        "authenticated": bool(door.site_keys),
        "tls_certificate": str(door.tls_certificate),
        "tls_key": str(door.tls_key),
        "tls_ca": str(door.tls_ca),
        "key": key,
        "parent": os.getpid(),
    }
    command = [sys.executable, "-W", "ignore", "-m", "secondread.lab.federated.superlink"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, text=True)
    assert process.stdin is not None, "asked for a pipe"
    process.stdin.write(json.dumps(asked) + "\n")
    process.stdin.close()
    return process


def _until_it_answers(door: Door, process: "subprocess.Popen[str]") -> None:
    scheme, verify = ("http", False) if door.insecure else ("https", str(door.tls_ca))
    until = time.monotonic() + _STARTS_S
    while process.poll() is None and time.monotonic() < until:
        try:
            httpx.get(f"{scheme}://{door.address}/health", verify=verify, timeout=2.0)
            return
        except httpx.TransportError:
            time.sleep(0.2)
    raise TrainingError(
        f"Flower's SuperLink did not start on {door.host}:{door.port}; is the port taken, or a certificate not for it?"
    )


def _register(client: ControlHttpClient, keys: Sequence[Path]) -> None:
    from secondread.lab.federated.keys import public_bytes

    for path in keys:
        try:
            client.RegisterNode(RegisterNodeRequest(public_key=public_bytes(path)))
        except httpx.HTTPStatusError as error:
            if error.response.status_code != httpx.codes.CONFLICT and "already" not in error.response.text.lower():
                raise TrainingError(f"the site of '{path}' could not be let in: {error.response.text[:200]}") from error
