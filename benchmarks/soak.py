"""Twenty thousand requests of every kind to one server: does it hold more and more memory, files or threads?

python -m benchmarks.soak [--requests 20000] [--clients 12]     results in benchmarks/results/soak.json

How it is judged was fixed before the run that is kept: memory is looked at every quarter of a second, all processes
together, what they share counted once; a point is the median of the looks while 250 requests were answered, so that
what one request takes for a moment (a password's hash, an export) is no growth; the slope is that of Theil and Sen
through the points after the first quarter, with its 95 % interval, and the upper end of that counts. The most that was
held at any moment is told beside it. An earlier rule, one look a point and least squares, was not met by a run in which
a single look fell on such a moment (0.63 MB in 1,000 requests, −0.08 to 1.34)."""

import argparse
import http.client
import itertools
import json
import random
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import _served
from benchmarks._common import save
from benchmarks._memory import FLAT_MB, growth_of, megabytes_of, tree
from secondread.service import LOCAL, SCOPES, Actor, Service

TASK, BUNDLE = "tuberculosis", "tuberculosis/paper"
PASSWORD = "six wooden lanterns sway"
SAMPLED_EVERY, SHOWN_EVERY = 250, 1000  # requests
LOOK_EVERY = 0.25  # seconds
WARM = 0.25  # share of the requests after which caches are full, arenas grown and every route has been asked
MORE_AT_MOST = 4  # descriptors or threads, beyond the most that there were up to the end of the warming


@dataclass
class Said:
    """How one request went, and what the next ones can be about."""

    status: int
    body: bytes = b""


@dataclass
class Held:
    """What the server's processes hold after so many requests; a point is the median of many looks."""

    requests: int
    mb: float
    descriptors: int
    threads: int


@dataclass
class Run:
    """What all clients share."""

    films: list[bytes]
    readings: list[int] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)  # 'upload 200'
    faults: list[str] = field(default_factory=list)
    looks: list[Held] = field(default_factory=list)
    answered: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    fresh: "itertools.count[int]" = field(default_factory=itertools.count)


class Client:
    """One connection that is kept, a token, and a seed of its own."""

    def __init__(self, run: Run, port: int, token: str, number: int):
        self.run = run
        self.rng = random.Random(number)
        self._bearer = {"Authorization": f"Bearer {token}"}
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)

    def ask(self, method: str, path: str, body: bytes | None = None, **more: Any) -> Said:
        """One request. known: with the token, unless it is False; headers: besides."""
        headers = (self._bearer if more.get("known", True) else {}) | more.get("headers", {})
        try:
            self._connection.request(method, path, body, headers)
            answer = self._connection.getresponse()
            return Said(answer.status, answer.read())
        except (http.client.HTTPException, OSError):
            self._connection.close()  # the next one opens it again; a refused body may end a connection
            return Said(0)

    def some(self) -> int:
        """The number of a reading that is kept."""
        with self.run.lock:
            return self.rng.choice(self.run.readings) if self.run.readings else 1

    def send(self, data: bytes, name: str) -> Said:
        """An image to be read at once."""
        body, headers = _served.form("image", [(name, data)], task=TASK, bundle=BUNDLE)
        return self.ask("POST", "/api/v1/readings", body, headers=headers)

    def post_json(self, path: str, table: Any, **more: Any) -> Said:
        """A table as JSON."""
        return self.ask("POST", path, json.dumps(table).encode(), headers={"Content-Type": "application/json"}, **more)


def upload(client: Client) -> Said:
    """An image that nobody sent before."""
    number = next(client.run.fresh) % len(client.run.films)
    said = client.send(client.run.films[number], f"{number}.png")
    if said.status == 200:
        with client.run.lock:
            client.run.readings.append(json.loads(said.body)["readings"][0]["id"])
    return said


def again(client: Client) -> Said:
    """One of the first fifty images."""
    number = client.rng.randrange(50)
    return client.send(client.run.films[number], f"{number}.png")


def worklist(client: Client) -> Said:
    """The list, as a page or through the API."""
    ways = ("/worklist", "/api/v1/readings?limit=50", "/api/v1/readings?order=highest&limit=20", "/api/v1/readings.csv")
    return client.ask("GET", client.rng.choice(ways[:3] if client.rng.random() < 0.98 else ways))


def look(client: Client) -> Said:
    """One reading, as a page, a table or a report."""
    ways = ("/readings/{}", "/api/v1/readings/{}", "/api/v1/readings/{}/reviews", "/api/v1/readings/{}/report.pdf")
    return client.ask("GET", client.rng.choices(ways, (4, 4, 2, 1))[0].format(client.some()))


def picture(client: Client) -> Said:
    """One of the pictures of a reading."""
    what = client.rng.choice(("image", "thumbnail", "heatmap", "file"))
    return client.ask("GET", f"/api/v1/readings/{client.some()}/{what}")


def review(client: Client) -> Said:
    """An opinion of a reading."""
    table = {"verdict": client.rng.choice(("agree", "disagree", "unsure"))}
    return client.post_json(f"/api/v1/readings/{client.some()}/reviews", table)


def refused(client: Client) -> Said:
    """A file that is no image, half of one, or not what its name says."""
    film = client.rng.choice(client.run.films)
    data = client.rng.choice(
        (b"Dear colleague", film[: len(film) // 2], b"\x89PNG\r\n\x1a\n" + b"\0" * 200, b"PK\x03\x04")
    )
    return client.send(data, "film.png")


def wrong(client: Client) -> Said:
    """What no client of ours would ask."""
    ways: list[Callable[[], Said]] = [
        lambda: client.ask("GET", "/api/v1/readings?after=not-a-cursor"),
        lambda: client.ask("GET", "/api/v1/readings/999999999"),
        lambda: client.ask("GET", "/etc/passwd"),
        lambda: client.ask("GET", "/api/v1/readings", known=False),
        lambda: client.ask("POST", "/api/v1/readings", b"{", headers={"Content-Type": "application/json"}),
        lambda: client.post_json(f"/api/v1/readings/{client.some()}/reviews", {"verdict": "perhaps"}),
        lambda: client.post_json("/api/v1/session", [[[[[]]]]], known=False),
        lambda: client.ask("DELETE", "/api/v1/users"),
    ]
    return client.rng.choice(ways)()


def log_in(client: Client) -> Said:
    """A browser that comes and goes; now and then with a name that nobody has."""
    stranger = client.rng.random() < 0.1
    name = f"nobody{client.rng.randrange(10**6)}" if stranger else "anna"
    return client.post_json("/api/v1/session", {"name": name, "password": PASSWORD}, known=False)


def health(client: Client) -> Said:
    """What a watch asks."""
    return client.ask("GET", client.rng.choice(("/healthz", "/readyz", "/metrics")), known=False)


MIX: dict[Callable[[Client], Said], int] = {
    upload: 25, again: 10, worklist: 18, look: 12, picture: 18, review: 4, refused: 5, wrong: 5, log_in: 1, health: 2,
}  # fmt: skip
# 503 is always right, and 0 (a closed connection) where a body was refused before it was read.
PROPER: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(("upload", "again", "worklist", "look", "picture"), (200,)),
    "review": (201, 409), "refused": (400, 413, 415, 422), "wrong": (400, 401, 404, 405, 415, 422),
    "log_in": (200, 401, 429), "health": (200, 401),
}  # fmt: skip


def main() -> None:
    """One server, many clients; fails where something grows or breaks."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--clients", type=int, default=12)
    options = parser.parse_args()
    run = Run(_served.films(options.requests * MIX[upload] // sum(MIX.values()) + 1000, side=128))
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        token = _prepared(folder)
        port = _served.free_port()
        env = _served.environment(folder, login="on", rate_limit="", rate_limit_storage="memory://")
        env["MALLOC_ARENA_MAX"] = "2"  # as the units and the container set it: with an arena a thread memory creeps
        server = _served.start("serve", "--port", str(port), env=env, quiet=True)
        try:
            _served.wait_until_ready(f"http://127.0.0.1:{port}")
            _drive(run, options, port, token, server.pid)
        finally:
            server.terminate()
            server.wait(timeout=60)
    held = points(run.looks)
    found = verdict(held, options.requests)
    faults = Counter(run.faults)
    save(
        "soak",
        {
            "command": " ".join(["python -m benchmarks.soak", *sys.argv[1:]]),
            "what": f"{options.requests} requests by {options.clients} clients, SQLite, {BUNDLE}, films of 128 × 128; "
            "clients and server on the same cores",
            "minutes": round((time.perf_counter() - started) / 60, 1),
            "answers": dict(sorted(run.statuses.items())),
            **found,
            "faults": dict(faults),
            "looks": len(run.looks),
            "most_mb_at_any_moment": max(one.mb for one in run.looks),
            "samples": [vars(one) for one in held if one.requests % SHOWN_EVERY == 0],
            "asked": f"slope below {FLAT_MB:g} MB in 1,000 requests with its interval; descriptors and threads flat; "
            "no 5xx but 503; every kind answered as it should be",
        },
    )
    sys.exit(0 if found["flat"] and not faults else 1)


def points(looks: list[Held]) -> list[Held]:
    """One for every SAMPLED_EVERY requests: the median memory of the looks in between, and the most of the rest."""
    within: dict[int, list[Held]] = {}
    for look in looks:
        within.setdefault(-(-max(1, look.requests) // SAMPLED_EVERY) * SAMPLED_EVERY, []).append(look)
    return [
        Held(
            requests,
            round(statistics.median(one.mb for one in part), 1),
            max(one.descriptors for one in part),
            max(one.threads for one in part),
        )
        for requests, part in sorted(within.items())
    ]


def verdict(held: list[Held], n_requests: int) -> dict[str, Any]:
    """Flat or not: the slope of memory after the warming, with its 95 % interval; most descriptors and threads."""
    warm = [one for one in held if one.requests >= WARM * n_requests]
    before = [one for one in held if one.requests < WARM * n_requests] or warm[:1]
    slope = growth_of([one.mb for one in warm], [one.requests / 1000 for one in warm])
    more = {
        name: max(getattr(one, name) for one in warm) - max(getattr(one, name) for one in before)
        for name in ("descriptors", "threads")
    }
    return {
        "mb_in_1000_requests": slope,
        "mb": {"least": min(one.mb for one in warm), "most": max(one.mb for one in warm)},
        "more_than_while_warming": more,
        "flat": slope["high"] < FLAT_MB and all(n <= MORE_AT_MOST for n in more.values()),
    }


def _prepared(folder: Path) -> str:
    """A data folder with an administrator; gives the secret of a token that may do everything."""
    service = Service.open({"DATA_FOLDER": str(folder)})
    service.accounts.add("anna", role="administrator", password=PASSWORD, actor=LOCAL)
    secret = service.tokens.add("anna", name="soak", scopes=list(SCOPES), days=1, actor=Actor("anna", "soak"))[0]
    service.close()
    return secret


def _drive(run: Run, options: argparse.Namespace, port: int, token: str, pid: int) -> None:
    """All requests, dealt out to the clients; memory is looked at beside them."""
    kinds, weights = list(MIX), list(MIX.values())
    numbers = itertools.count(1)
    upload(Client(run, port, token, -1))  # so that there is something to look at

    def work(client: Client) -> None:
        for number in iter(lambda: next(numbers), None):
            if number > options.requests:
                return
            kind = client.rng.choices(kinds, weights)[0]
            said = kind(client)
            if said.status == 503:
                time.sleep(0.2)
            with run.lock:
                run.statuses[f"{kind.__name__} {said.status}"] += 1
                run.answered += 1
                if said.status not in (*PROPER[kind.__name__], 503):
                    run.faults.append(f"{kind.__name__} {said.status}")

    clients = [Client(run, port, token, number) for number in range(options.clients)]
    threads = [threading.Thread(target=work, args=(client,)) for client in clients]
    ended = threading.Event()
    watch = threading.Thread(target=_watch, args=(run, pid, ended))
    for one in (watch, *threads):
        one.start()
    for one in threads:
        one.join()
    ended.set()
    watch.join()


def _watch(run: Run, pid: int, ended: threading.Event) -> None:
    """Look until all is done, and tell now and then."""
    shown = 0
    while not ended.wait(LOOK_EVERY):
        run.looks.append(_held(pid, run.answered))
        if run.answered >= shown + SHOWN_EVERY:
            shown += SHOWN_EVERY
            _show(run.looks[-1])


def _held(pid: int, number: int) -> Held:
    """Of the process and all that it started; what has ended meanwhile counts no more."""
    threads = descriptors = 0
    for one in tree(pid):
        with suppress(OSError):
            status = dict(line.split(":", 1) for line in Path(f"/proc/{one}/status").read_text().splitlines())
            threads += int(status["Threads"])
            descriptors += sum(1 for _ in Path(f"/proc/{one}/fd").iterdir())
    return Held(number, round(megabytes_of(pid), 1), descriptors, threads)


def _show(held: Held) -> None:
    print(
        f"{held.requests:6} requests  {held.mb:7.1f} MB  {held.descriptors} descriptors  {held.threads} threads",
        flush=True,
    )


if __name__ == "__main__":
    main()
