"""A DICOM node in a process of its own, for what sends to it, attacks it and kills it."""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.dicom.scu import calling

from benchmarks import _served
from benchmarks._memory import megabytes_of, own_megabytes_of

_READY_SECONDS = 900.0  # on a machine that is busy


@dataclass
class Listening:
    """A node in a process of its own; `address` is all that a sender needs."""

    folder: Path
    port: int
    reads: bool = False
    sending: bool = True
    settings: dict[str, Any] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        return "127.0.0.1", self.port

    def start(self) -> None:
        """Return when it answers an echo."""
        env = _served.environment(self.folder, lease_seconds=2, dicom_associations=64, **self.settings)
        command = ["dicom", "listen", "--port", str(self.port), *([] if self.reads else ["--only-receive"])]
        self.process = _served.start(*command, env=env, quiet=True)
        deadline = time.monotonic() + _READY_SECONDS
        while not self.answers():
            assert self.process.poll() is None, "the node ended"
            assert time.monotonic() < deadline, "the node does not answer"
            time.sleep(0.1)

    def answers(self) -> bool:
        """Whether an echo is answered."""
        with calling(self) as assoc:  # type: ignore[arg-type]
            return assoc.is_established and assoc.send_c_echo().Status == 0

    def kill(self) -> None:
        """SIGKILL."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """SIGTERM; it ends in good order."""
        assert self.process is not None
        self.process.terminate()
        assert self.process.wait(60) == 0, "it did not end in good order"

    def holds(self) -> dict[str, float]:
        """Memory (MB), the part of it that is its own, threads and open files at present."""
        assert self.process is not None
        place = Path(f"/proc/{self.process.pid}")
        status = (place / "status").read_text(encoding="ascii")
        threads = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("Threads:"))
        files = len(list((place / "fd").iterdir()))
        return {
            "megabytes": round(megabytes_of(self.process.pid), 1),
            "own_megabytes": round(own_megabytes_of(self.process.pid), 2),
            "threads": threads,
            "files": files,
        }


@contextmanager
def listening(*, reads: bool = False, **settings: Any) -> Iterator[Listening]:
    """A node on an empty folder. settings: by name, in place of their defaults."""
    with tempfile.TemporaryDirectory() as folder:
        node = Listening(Path(folder), _served.free_port(), reads, settings=settings)
        try:
            node.start()
            yield node
        finally:
            if node.process is not None and node.process.poll() is None:
                node.kill()
