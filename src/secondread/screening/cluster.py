"""The Ray cluster that a command works on: one that is there, or one of its own on this machine."""

import logging
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from secondread.errors import CannotOpen, ExtraMissing

_STORE = 200 << 20  # bytes of shared memory, of a cluster of our own: blocks on their way
_PATIENCE = 10.0  # seconds
_QUIET = {"RAY_DATA_DISABLE_PROGRESS_BARS": "1", "RAY_TRAIN_V2_ENABLED": "1", "RAY_USAGE_STATS_ENABLED": "0"}


@contextmanager
def connected(address: str | None, *, workers: int | None) -> Iterator[Any]:
    """The module `ray`, connected while this lasts; a connection that was there before stays.

    address: of a cluster ('auto' for that of this host); None: as RAY_ADDRESS says, or a cluster of our own, on this
    machine, with `workers` cores (None: all), which ends with this.
    Raises ExtraMissing, CannotOpen where no cluster answers.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError as error:
        raise ExtraMissing.of("--engine ray", "scale") from error
    if ray.is_initialized():
        yield ray
        return
    address = address or os.environ.get("RAY_ADDRESS") or None
    _knock(address)
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        own: dict[str, Any] = {
            "num_cpus": workers or os.cpu_count(),
            "object_store_memory": _STORE,
            "_temp_dir": folder,
        }
        try:
            ray.init(
                address=address or "local",
                include_dashboard=False if address is None else None,
                logging_level=logging.ERROR,
                log_to_driver=False,
                **(own if address is None else {}),
            )
        except (ConnectionError, OSError, RuntimeError, ValueError) as error:
            raise CannotOpen(f"no Ray cluster can be used at '{address or 'this machine'}': {error}") from error
        try:
            yield ray
        finally:
            ray.shutdown()


def cores_of(ray: Any) -> int:
    """Of the cluster that it is connected to."""
    return max(1, int(ray.cluster_resources().get("CPU", 1)))


def _knock(address: str | None) -> None:
    """Raise CannotOpen where nobody listens at host:port: Ray would try for minutes."""
    host, colon, port = (address or "").removeprefix("ray://").rpartition(":")
    if not colon or not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), timeout=_PATIENCE).close()
    except OSError as error:
        raise CannotOpen(f"no Ray cluster answers at '{address}': {error.strerror or error}") from error
