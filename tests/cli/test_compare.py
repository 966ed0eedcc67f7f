"""`secondread compare` as people type it."""

import json
import shutil

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
    assert "named by the paper and not measured on these data: lenet" in said
    (tmp_path / "docs" / "leaderboard.md").unlink()
    assert call(capsys, "compare", "--page", "docs/leaderboard.md")[0] == 0
    assert (tmp_path / "docs" / "leaderboard.md").read_text() == page


def test_a_kit_of_other_images_makes_kept_results_stale(capsys, tmp_path, monkeypatch, phantom_manifest):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SECONDREAD_CACHE", str(tmp_path / "cache"))
    args = ["compare", "--task", "tuberculosis", "--data", phantom_manifest, "--out", "out", "--baseline", "knn"]
    assert call(capsys, *args, "--page", "board.md")[0] == 0
    page = (tmp_path / "board.md").read_text()
    assert "Stale" not in page
    shutil.copytree(phantom_manifest.parent, tmp_path / "kit" / "tuberculosis")
    code, said, _ = call(capsys, "compare", "--page", "board.md", "--kit", "kit")
    assert (code, "stale" in said) == (0, False), "the same images, wherever they lie"
    assert (tmp_path / "board.md").read_text() == page
    manifest = tmp_path / "kit" / "tuberculosis" / "manifest.csv"
    manifest.write_text("\n".join(manifest.read_text().splitlines()[:-1]) + "\n")
    code, said, _ = call(capsys, "compare", "--page", "board.md", "--kit", "kit")
    assert "stale, of other data: tuberculosis/knn-0" in said
    page = (tmp_path / "board.md").read_text()
    assert "**Stale**: 1 result of other images" in page
    assert "No system has been measured on the data at hand" in page
    code, _, err = call(capsys, *args, "--page", "board.md", "--kit", "kit")
    assert (code, "together" in err) == (2, True)


def test_half_a_command_is_refused(capsys, tmp_path):
    for args in (["--task", "fracture"], [], ["--task", "fracture", "--page", tmp_path / "x.md"]):
        code, _, err = call(capsys, "compare", *args)
        assert code == 2
        assert "together" in err
    code, _, err = call(capsys, "compare", "--together", "web=a,b", "--page", tmp_path / "x.md")
    assert (code, "give --left-out too" in err) == (2, True)
    code, _, err = call(capsys, "compare", "--seeds", "0,a", "--page", tmp_path / "x.md")
    assert code == 2
    assert "commas" in err
