"""`secondread compare` as people type it."""

import json

from tests.cli.test_cli import call


def test_compares_keeps_and_shows(capsys, tmp_path, monkeypatch, phantom_manifest, phantom_bundle):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SECONDREAD_CACHE", str(tmp_path / "cache"))
    args = [
        "compare", "--task", "tuberculosis", "--data", phantom_manifest, "--out", "out",
        "--bundle", phantom_bundle, "--baseline", phantom_bundle, "--model", "knn", "--threads", 1,
    ]  # fmt: skip
    code, said, _ = call(capsys, *args, "--page", "docs/leaderboard.md")
    assert code == 0
    assert "knn-0" in said
    assert "2 results" in said
    kept = sorted(path.name for path in (tmp_path / "benchmarks/results/leaderboard/tuberculosis").iterdir())
    assert kept == ["bundle-phantom.json", "classical-knn-0.json"]
    result = json.loads((tmp_path / "out" / "results" / "knn-0.json").read_text())
    assert result["against"]["baseline"] == "phantom"
    page = (tmp_path / "docs" / "leaderboard.md").read_text()
    assert "`knn`" in page
    (tmp_path / "docs" / "leaderboard.md").unlink()
    assert call(capsys, "compare", "--page", "docs/leaderboard.md")[0] == 0
    assert (tmp_path / "docs" / "leaderboard.md").read_text() == page


def test_half_a_command_is_refused(capsys, tmp_path):
    for args in (["--task", "fracture"], [], ["--task", "fracture", "--page", tmp_path / "x.md"]):
        code, _, err = call(capsys, "compare", *args)
        assert code == 2
        assert "together" in err
    code, _, err = call(capsys, "compare", "--seeds", "0,a", "--page", tmp_path / "x.md")
    assert code == 2
    assert "commas" in err
