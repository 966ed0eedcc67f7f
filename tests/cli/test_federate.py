"""`secondread federate`: what cannot be is told before anything is read or sent."""

import json

import pytest
from click.testing import CliRunner

from secondread.cli.main import secondread
from secondread.errors import SecondReadError


def _run(*args):
    return CliRunner().invoke(secondread, ["federate", *map(str, args)])


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--sites", 3], "--insecure"),
        (["--sites", 2, "--insecure", "--secure"], "three sites"),
        (["--sites", 3, "--insecure", "--secure", "--strategy", "krum"], "must see every"),
        (["--sites", 3, "--insecure", "--privacy", "central"], "one of --epsilon and --noise"),
        (["--sites", 3, "--insecure", "--epsilon", 8], "belong to --privacy"),
        (["--sites", 3, "--insecure", "--site-key", "missing.pub"], "TLS alone"),
        (["--sites", 3, "--insecure", "--strategy", "fedavgg"], "fedavgg"),
    ],
)
def test_a_server_says_what_it_cannot_do(options, why, tmp_path):
    done = _run("server", "--task", "tuberculosis", "--rounds", 2, "--out", tmp_path / "bundle", *options)
    assert done.exit_code != 0
    assert why in done.output + str(done.exception)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("server", ["teach.example.org", ":9092", "host:port"])
def test_a_site_says_what_an_address_is(server, phantom_manifest):
    done = _run("site", "--data", phantom_manifest, "--server", server, "--insecure")
    assert isinstance(done.exception, SecondReadError)
    assert "HOST:PORT" in str(done.exception)


def test_a_key_is_made_once_and_for_its_owner_alone(tmp_path):
    from secondread.lab.federated.keys import load_keys, public_bytes

    assert _run("key", tmp_path / "north.key").exit_code == 0
    assert (tmp_path / "north.key").stat().st_mode & 0o077 == 0
    private, _ = load_keys(tmp_path / "north.key")
    assert public_bytes(tmp_path / "north.pub")
    before = (tmp_path / "north.key").read_bytes()
    assert "is there already" in str(_run("key", tmp_path / "north.key").exception)
    assert (tmp_path / "north.key").read_bytes() == before
    assert private.key_size == 384


@pytest.mark.peers
def test_a_check_sends_nothing_and_says_what_would_leave(phantom_manifest, tmp_path):
    done = _run("check", "--task", "tuberculosis", "--data", phantom_manifest, "--name", "north", "--no-gate",
                "--leave", "nothing", "--out", tmp_path)  # fmt: skip
    assert done.exit_code in (0, 3), done.output
    told = json.loads((tmp_path / "check.json").read_text(encoding="utf-8"))
    assert (done.exit_code == 3) == bool(told["stops"])
    assert told["counts"]["train"] == 48
    assert any("no say in thresholds" in line for line in told["leaves"])
    assert "the label of any one image" in told["stays"]
    assert (tmp_path / "index.html").is_file()
