"""The fuzzer runs, counts what it tries, finds what is there to be found, and makes the same cases again."""

import io
import json
import sys

import pytest
from benchmarks import _fuzz_case, fuzz
from benchmarks._fuzz_case import FINDING
from benchmarks._mutant_fields import fields_of
from benchmarks._mutant_seeds import seeds_of
from benchmarks._mutants import mutant

from secondread.errors import ImageTooLarge
from secondread.images import decode, deidentify
from secondread.service.archives import Bounds, members
from tests.crafted import _other_rasters

SKIPPED = 1000  # numbers from a place where no stored slice begins


def test_two_hundred_cases_of_each_family_find_nothing_and_are_counted(tmp_path, monkeypatch):
    out = tmp_path / "fuzz.json"
    monkeypatch.setattr(sys, "argv", ["fuzz", "--cases", "200", "--out", str(out)])
    with pytest.raises(SystemExit) as ended:
        fuzz.main()
    table = json.loads(out.read_text())
    for family in ("images", "archives"):
        row = table[family]
        assert row["n"] == 200 == sum(sum(counts.values()) for counts in row["outcomes"].values())
        assert row["findings"] == []
        assert [(one["first"], one["last"]) for one in row["slices"]] == [(0, 199)]
        assert {"read", "truncated" if family == "images" else "archive_damaged"} <= {
            outcome for counts in row["outcomes"].values() for outcome in counts
        }
    assert not ended.value.code


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("import ctypes; ctypes.string_at(0)", "ended with -11"),
        ("[x for x in iter(int, 1)]", "ended with -27"),
        ("held.append(bytearray(1_100_000_000))", "MB"),
    ],
)
def test_a_crash_a_hang_and_a_gigabyte_are_laid_at_the_case_that_did_it(tmp_path, monkeypatch, what, said):
    """A child whose fifth case does that; the others are counted all the same."""
    child = tmp_path / "child.py"
    body = "; ".join(part.strip() for part in what.split(";"))
    child.write_text(
        "from benchmarks import _fuzz_case as case\n"
        "held = []\n"
        "def run(number, data):\n"
        f"    if number == {SKIPPED + 4}:\n"
        f"        {body}\n"
        "    return 'read'\n"
        "case.RUNS['archives'] = lambda: run\n"
        "case._END = 2.0\n"
        "case.main()\n"
    )
    popen = fuzz.subprocess.Popen
    monkeypatch.setattr(
        fuzz.subprocess, "Popen", lambda command, **rest: popen([command[0], str(child), *command[3:]], **rest)
    )
    monkeypatch.setenv("PYTHONPATH", str(fuzz.RESULTS.parents[1]))
    tally = fuzz.stretch("archives", SKIPPED, 10)
    assert tally.n == 10
    assert [one["number"] for one in tally.findings] == [SKIPPED + 4]
    assert said in tally.findings[0]["what"]
    assert sum(counts[FINDING] for counts in tally.outcomes.values()) == 1
    assert sum(counts["read"] for counts in tally.outcomes.values()) == 9


def test_an_error_of_ours_and_a_refusal_without_a_name_are_findings():
    def fails(number, data):
        raise KeyError(number)

    assert _fuzz_case.once(fails, 7, b"")[:2] == (FINDING, "KeyError: 7")
    assert _fuzz_case.once(lambda *_: "no_such_code", 7, b"")[0] == FINDING
    assert _fuzz_case.once(lambda *_: "read", 7, b"")[:2] == ("read", "")
    _fuzz_case.signal.setitimer(_fuzz_case.signal.ITIMER_PROF, 0)  # else it would end the tests


def test_a_picture_that_claims_too_much_is_refused_before_its_header_is_cut():
    """Found as images 296: Pillow's own error about a canvas of 802 million pixels came through."""
    data = dict(_other_rasters())["webp-vp8l.webp"]
    kept = deidentify(data, key=bytes(32)).data
    with pytest.raises(ImageTooLarge):
        decode(kept)


def test_a_case_is_the_same_each_time_and_the_seeds_are_valid():
    for family in ("images", "archives"):
        assert [mutant(family, n) for n in range(40)] == [mutant(family, n) for n in range(40)]
    assert len({data for _, data in (mutant("images", n) for n in range(60))}) > 55
    for name, data in seeds_of("images").items():
        assert decode(data).pixels.size, name
        assert name.startswith("png") or fields_of(name), name
    stored = seeds_of("archives")["stored"]
    assert len(list(members(io.BytesIO(stored), Bounds()))) == 2


def test_what_was_found_and_is_mended_is_kept_as_such(tmp_path):
    table = {"archives": {"findings": [{"number": 3, "seed": "stored", "what": "KeyError"}], "mended": []}}
    fuzz._recheck("archives", table)
    assert table["archives"]["findings"] == []
    assert [one["number"] for one in table["archives"]["mended"]] == [3]
