"""kill -9 in the middle of sending, twenty times: every result arrives, and the archive has each once."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("highdicom", reason="highdicom is not installed: the extra 'dicom' brings it")

from secondread.dicom.outbox import enqueue
from secondread.service import Service
from tests.dicom.answered import answer, answered, sent
from tests.dicom.test_outbox import Archive, listening, make_due

pytestmark = [pytest.mark.peers, pytest.mark.timeout(1200)]  # each of twenty starts loads all libraries

KILLS, READINGS = 20, 15
SEND = """
import sys
from secondread.dicom.outbox import send_due
from secondread.service import Service
service = Service.open({"DATA_FOLDER": sys.argv[1]})
while send_due(service):
    pass
service.close()
"""


class Killing(Archive):
    """Keeps an object and kills who sent it, before it learns that it arrived."""

    def __init__(self) -> None:
        super().__init__()
        self.victim = 0
        self.left = 0  # objects until then; 0: none is killed

    def take(self, ds: Any) -> int:
        """As any archive."""
        status = super().take(ds)
        self.left -= 1
        if self.left == 0:
            os.kill(self.victim, signal.SIGKILL)
        return status


def test_nothing_is_lost_and_nothing_is_there_twice(tmp_path: Path) -> None:
    archive = Killing()
    service = Service.open({"DATA_FOLDER": str(tmp_path)})
    numbers = [answered(service, answer(), data=sent(SOPInstanceUID=f"1.2.3.{at + 1}")) for at in range(READINGS)]
    with listening(archive) as place:
        wanted = {row.sop_instance_uid for number in numbers for row in enqueue(service, number, [place])}
        for at in range(KILLS + 1):
            make_due(service)
            with subprocess.Popen([sys.executable, "-c", SEND, str(tmp_path)]) as process:
                archive.victim, archive.left = process.pid, at % 3 + 1 if at < KILLS else 0
                assert process.wait(timeout=240) == (-signal.SIGKILL if at < KILLS else 0)
        rows = service.dicom_exports.latest(1000)
    service.close()
    assert set(archive.kept) == wanted
    assert {row.sop_instance_uid: row.state for row in rows} == dict.fromkeys(wanted, "sent")
    assert len(archive.came) >= len(wanted) + KILLS  # what was killed after it arrived came again
