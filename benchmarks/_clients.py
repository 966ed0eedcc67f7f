"""Clients in a process of their own, so that they take no lock from what measures them. Prints what they saw, as JSON.

python -m benchmarks._clients PORT --clients 16 --seconds 20 --task tuberculosis [--bundle NAME] [--field NAME=VALUE] …
"""

import argparse
import http.client
import itertools
import json
import random
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from benchmarks import _served

_GOOD = 200
_COME_AGAIN = (429, 503)
_TIMEOUT = 120.0  # seconds, after which an answer counts as an error


@dataclass
class Seen:
    """What all clients saw together."""

    answers: Counter[str] = field(default_factory=Counter)  # status, or the name of an error
    good: list[float] = field(default_factory=list)  # seconds to each answer
    refused: list[float] = field(default_factory=list)
    silent: int = 0  # refusals that did not say when to come again
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, what: str, seconds: float, retry_after: str | None) -> None:
        """One answer."""
        with self.lock:
            self.answers[what] += 1
            if what == str(_GOOD):
                self.good.append(seconds)
            elif what in map(str, _COME_AGAIN):
                self.refused.append(seconds)
                self.silent += not (retry_after or "").isdigit()

    def table(self, lasted: float) -> dict[str, Any]:
        """Rounded, for people."""
        return {
            "answers": dict(self.answers),
            "images_a_second": round(len(self.good) / lasted, 1),
            "good_ms": _cuts(self.good),
            "refused_ms": _cuts(self.refused),
            "refusals_without_retry_after": self.silent,
        }


def run(port: int, **options: Any) -> dict[str, Any]:
    """What such clients saw, from a process of their own. options: as on its command line; fields: a mapping."""
    fields = options.pop("fields", {})
    command = [sys.executable, "-m", "benchmarks._clients", str(port)]
    command += [part for name, value in options.items() for part in (f"--{name}", str(value))]
    command += [part for name, value in fields.items() for part in ("--field", f"{name}={value}")]
    found = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    table: dict[str, Any] = json.loads(found.stdout)
    return table


def main() -> None:
    """Every client sends its next image when the last is answered; who is sent away comes again after a moment."""
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--first", type=int, default=0, help="number of the first image: none is sent twice")
    parser.add_argument("--films", type=int, default=3000)
    parser.add_argument("--addresses", type=int, default=0, help="1: every client from an address of its own")
    parser.add_argument("--path", default="/api/v1/readings")
    parser.add_argument("--field", action="append", default=[], help="NAME=VALUE of the form")
    options = parser.parse_args()
    films = _served.films(options.films, first=options.first)
    fields = dict(one.split("=", 1) for one in options.field)
    seen, numbers = Seen(), itertools.count()
    started = time.perf_counter()
    until = started + options.seconds
    clients = [
        threading.Thread(target=_client, args=(options, number, films, fields, numbers, until, seen))
        for number in range(options.clients)
    ]
    for one in clients:
        one.start()
    for one in clients:
        one.join()
    print(json.dumps({"sent_films": next(numbers), **seen.table(time.perf_counter() - started)}))


def _client(
    options: argparse.Namespace,
    number: int,
    films: list[bytes],
    fields: dict[str, str],
    numbers: "itertools.count[int]",
    until: float,
    seen: Seen,
) -> None:
    source = (f"127.0.{1 + number // 250}.{1 + number % 250}", 0) if options.addresses else None
    rng = random.Random(number)
    connection = http.client.HTTPConnection("127.0.0.1", options.port, timeout=_TIMEOUT, source_address=source)
    while time.perf_counter() < until:
        film = next(numbers)
        body, headers = _served.form("image", [(f"{film}.png", films[film % len(films)])], **fields)
        before, retry_after = time.perf_counter(), None
        try:
            connection.request("POST", options.path, body, headers)
            answer = connection.getresponse()
            answer.read()
            what, retry_after = str(answer.status), answer.headers["Retry-After"]
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            what = type(error).__name__
        seen.add(what, time.perf_counter() - before, retry_after)
        if what != str(_GOOD):  # sooner than it is asked to, so that the server stays under load
            time.sleep(rng.uniform(0.2, 1.0))
    connection.close()


def _cuts(seconds: list[float]) -> dict[str, int]:
    if not seconds:
        return {}
    several = seconds if len(seconds) > 1 else 2 * seconds
    cuts = statistics.quantiles(several, n=100)
    return {**{f"p{p}": round(1000 * cuts[p - 1]) for p in (50, 95, 99)}, "most": round(1000 * max(seconds))}


if __name__ == "__main__":
    main()
