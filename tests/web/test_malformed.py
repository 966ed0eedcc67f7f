"""Hundreds of wrong files through the real server: only named refusals, nothing slow, no crash, memory bounded."""

import http.client
import json
import os
import time
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

from tests.malformed import malformed_files
from tests.web.conftest import Server, multipart

REFUSALS = {"not_an_image", "too_large", "truncated", "unsupported", "archive", "blank", "too_small", "wrong_kind"}
REFUSALS |= {"wrong_part"}
STATUS = {"read": {200}, "too_large": {413}, "not_an_image": {415}, "unsupported": {415}, "archive": {415}}
LONGEST, MOST_MEMORY = 30.0, 2_000_000_000  # seconds: a hang, not a slow machine; bytes


def test_wrong_files_meet_only_named_refusals(server: Server) -> None:
    connection = http.client.HTTPConnection(urlsplit(server.address).netloc, timeout=30)
    outcomes, slowest = Counter(), (0.0, "")
    for name, data in malformed_files(300, random_state=7):
        started, worked = time.perf_counter(), cpu_time(server.pid)
        status, entry = send(connection, name, data)
        # Where other work keeps the cores busy, the clock says less than the time worked; a hang shows in both.
        taken = min(time.perf_counter() - started, (cpu_time(server.pid) - worked) or 60.0)
        slowest = max(slowest, (taken, name))
        outcome = entry["refusal"]["code"] if entry["refusal"] else "read"
        assert outcome in REFUSALS | {"read"}, name
        assert status in STATUS.get(outcome, {422}), name
        outcomes[outcome] += 1
    connection.close()
    assert slowest[0] < LONGEST, slowest
    assert len(outcomes) >= 4, outcomes
    assert peak_memory(server.pid) < MOST_MEMORY


def send(connection: http.client.HTTPConnection, name: str, data: bytes) -> tuple[int, dict]:
    """Status and entry of one file, over a connection that is kept."""
    body, content_type = multipart((name, data), task="tuberculosis")
    connection.request("POST", "/api/v1/readings", body, {"Content-Type": content_type})
    answer = connection.getresponse()
    return answer.status, json.load(answer)["readings"][0]


def cpu_time(pid: int) -> float:
    """Seconds that the process has worked; 0 where the system does not tell (proc(5): utime, stime)."""
    status = Path(f"/proc/{pid}/stat")
    fields = status.read_text().rpartition(")")[2].split() if status.is_file() else ["0"] * 13
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_memory(pid: int) -> int:
    """Bytes; 0 where the system does not tell."""
    status = Path(f"/proc/{pid}/status")
    lines = status.read_text().splitlines() if status.is_file() else []
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
