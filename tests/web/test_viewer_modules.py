"""What the viewer's modules work out, in the browser that runs them: laws of turning, lengths, windows, lists."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from secondread import web
from tests.web.chromium import opened
from tests.web.conftest import Server

STATIC = Path(web.__file__).parent / "static"


@pytest.fixture(scope="module")
def blank(browser: Browser, server: Server) -> Iterator[Page]:
    """A page of the server that runs nothing of its own."""
    with opened(browser, server.address) as page:
        page.goto("/static/icon.svg")
        yield page


def _run(page: Page, module: str, body: str) -> Any:
    """What the body gives, with the module as `m`."""
    return page.evaluate(f"async () => {{ const m = await import('/static/{module}'); {body} }}")


@pytest.mark.browser
def test_a_turned_image_is_the_image_turned(blank: Page) -> None:
    """Every way to lie: places there and back; a quarter clockwise takes what was seen on top to the right."""
    worst, corners, letters = _run(
        blank,
        "placing.js",
        """
        const size = { width: 30, height: 20 }, view = { scale: 2.5, x: 7, y: -3 }, place = [11, 4];
        const lies = [0, 1, 2, 3].flatMap(turn => [{ turn, mirrored: false }, { turn, mirrored: true }]);
        const far = ([a, b], [c, d]) => Math.hypot(a - c, b - d);
        const seen = (lie, at = view) => m.toStage(m.matrixOf(at, lie, size), place);
        const plain = { scale: 1, x: 0, y: 0 };
        const faults = lies.flatMap(lie => {
            const [x, y] = seen(lie, plain), { width, height } = m.extent(size, lie);
            const way = m.wayInImage(m.matrixOf(view, lie, size), [5, 0]);
            const moved = m.toStage(m.matrixOf(view, lie, size), [place[0] + way[0], place[1] + way[1]]);
            return [
                far(m.toImage(m.matrixOf(view, lie, size), seen(lie)), place),
                far(seen(m.turned(lie, 1), plain), [height - y, x]),
                far(seen(m.turned(lie, -1), plain), [y, width - x]),
                far(seen(m.mirrored(lie), plain), [width - x, y]),
                far(seen(m.upsideDown(lie), plain), [x, height - y]),
                far(moved, [seen(lie)[0] + 5, seen(lie)[1]]),
            ];
        });
        const letters = ["R", "L", "A", "P"];
        return [Math.max(...faults), lies.map(lie => m.extent(size, lie).width), [
            m.lettersSeen(letters, { turn: 0, mirrored: false }),
            m.lettersSeen(letters, { turn: 1, mirrored: false }),
            m.lettersSeen(letters, m.mirrored({ turn: 0, mirrored: false })),
            m.lettersSeen(letters, m.upsideDown({ turn: 0, mirrored: false })),
        ]];
        """,
    )
    assert worst < 1e-9
    assert corners == [30, 30, 20, 20, 30, 30, 20, 20]
    assert letters == [["R", "L", "A", "P"], ["P", "A", "R", "L"], ["L", "R", "A", "P"], ["R", "L", "P", "A"]]


@pytest.mark.browser
def test_lengths_and_angles_are_those_of_the_body(blank: Page) -> None:
    """Pixels that are not square: rows 2 mm apart, columns 1 mm."""
    found = _run(
        blank,
        "measures.js",
        """
        const spacing = [2, 1], line = [{ kind: "ruler", places: [[0, 0], [10, 0]] }];
        const said = (kind, places, by) => m.written(m.valueOf({ kind, places }, by));
        return {
            mm: said("ruler", [[0, 0], [3, 2]], spacing),
            px: said("ruler", [[0, 0], [3, 4]], null),
            right: said("angle", [[4, 0], [0, 0], [0, 4]], spacing),
            bent: said("angle", [[4, 0], [0, 0], [2, 1]], spacing),
            cobb: said("cobb", [[0, 0], [10, 0], [10, 10], [0, 5]], spacing),
            turned: said("cobb", [[10, 0], [0, 0], [10, 10], [0, 5]], spacing),
            end: m.nearest(line, [9, 1], 2),
            line: m.nearest(line, [5, 1], 2),
            none: m.nearest(line, [5, 9], 2),
            inside: m.moved({ ...line[0], places: [[1, 1], [5, 1]] }, -1, [-9, 99], { width: 20, height: 10 }).places,
        };
        """,
    )
    assert found == {
        "mm": "5.0 mm", "px": "5 px", "right": "90.0°", "bent": "45.0°", "cobb": "45.0°", "turned": "45.0°",
        "end": {"at": 0, "end": 1}, "line": {"at": 0, "end": -1}, "none": None, "inside": [[0, 10], [4, 10]],
    }  # fmt: skip


@pytest.mark.browser
def test_windows_links_and_lists(blank: Page) -> None:
    own = [{"centre": 40, "width": 80, "name": "BRAIN"}]
    ct = _run(
        blank, "windows.js", f"return m.presets({{ own: {own}, unit: 'HU', range: [-1024, 3071] }});".replace("'", '"')
    )
    assert len(ct) == 9
    assert (ct[0]["own"], ct[0]["name"]) == (True, "BRAIN")
    assert {"name": "Lung", "centre": -600, "width": 1500, "own": False} in ct
    film = _run(blank, "windows.js", "return m.presets({ own: [], unit: '', range: [0, 255] });")
    assert film[0] == {"name": "Whole range", "centre": 127.5, "width": 255, "own": False}
    slices = _run(
        blank,
        "linking.js",
        """
        const one = { from: 1, to: 3, places: [0, 5, 10] };
        return [
            m.linkedSlice(one, { at: 2, n: 9, places: [0, 2.5, 5, 7.5, 10, 12.5, 15, 17.5, 20] }),
            m.linkedSlice({ ...one, places: null }, { at: 2, n: 9, places: null }),
            m.linkedSlice(one, { at: 2, n: 3, places: null }),
        ];
        """,
    )
    assert slices == [6, 4, 3]
    told = _run(
        blank,
        "live.js",
        """
        const rows = (...some) => some.map(([id, text]) => ({ id, text }));
        const before = rows(["1", "a"], ["2", "b"], ["3", "c"]);
        return [
            m.differences(before, rows(["9", "x"], ["1", "a"], ["2", "B"])),
            m.differences(before, rows(["2", "b"], ["1", "a"], ["3", "c"])),
        ];
        """,
    )
    assert told[0] == {"inPlace": ["2"], "added": 1, "gone": 1, "moves": False}
    assert told[1] == {"inPlace": [], "added": 0, "gone": 0, "moves": True}


def test_every_key_is_bound_by_the_table_that_lists_it() -> None:
    """One place listens to keys, and asks the tables that the sheet of keys is drawn from."""
    listens = re.compile(r"""["']key(down|up|press)["']|\.onkey""")
    listening = [path.name for path in STATIC.glob("*.js") if listens.search(path.read_text(encoding="utf-8"))]
    assert sorted(listening) == ["live.js", "page.js"]  # live.js: that somebody is there, whatever key it was
    assert "event.key" not in (STATIC / "live.js").read_text(encoding="utf-8")
    assert "pressed(event, on.checked)" in (STATIC / "page.js").read_text(encoding="utf-8")
