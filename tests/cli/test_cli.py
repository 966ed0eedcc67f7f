"""The command line as people and programs use it: contracts, exit codes, one clear line for every error."""

import csv
import json
import re
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner

from secondread.cli.answers import ends_of
from secondread.cli.main import ALIASES, COMMANDS, run, secondread
from secondread.evidence.likelihood import likelihood_of
from secondread.evidence.outlook import Outlook, Place, outlook
from secondread.evidence.promises import guarantees_of
from secondread.reading import load_bundle
from secondread.stats.interval import NOTHING
from secondread.stats.proportions import proportion
from secondread.stats.scale import ratio_in_words
from secondread.tasks import list_tasks
from secondread.testing.phantoms import chest_phantom, dicom_bytes, encode
from tests.reading.test_reader import CONTRACT, MEANING
from tests.several import dicom_of, stack


def call(capsys, *args):
    """Exit status, standard output, standard error."""
    with pytest.raises(SystemExit) as stop:
        run([str(arg) for arg in args])
    out, err = capsys.readouterr()
    return stop.value.code, out, err


def read(capsys, *args):
    """`secondread read` without the gate, which lets no phantom pass."""
    return call(capsys, "read", "--no-gate", *args)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "2.png").write_bytes(encode(chest_phantom(128, random_state=1), "PNG"))
    (tmp_path / "a" / "10.dcm").write_bytes(
        dicom_bytes(chest_phantom(128, random_state=2), Modality="DX", BodyPartExamined="CHEST")
    )
    (tmp_path / "a" / ".hidden.png").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("not an image")
    return tmp_path


def test_read_json_keeps_the_contract(capsys, folder):
    code, out, _ = read(capsys, "--task", "tuberculosis", "--json", folder / "notes.txt", folder)
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [list(row) for row in rows] == [[*CONTRACT, *MEANING]] * 4, "the same keys, refused or not"
    assert [row["findings"] is None for row in rows] == [True, True, False, False]
    assert [row["path"].removeprefix(f"{folder}/") for row in rows] == ["notes.txt", "notes.txt", "a/10.dcm", "a/2.png"]
    assert [row["refusal"] and row["refusal"]["code"] for row in rows] == ["not_an_image"] * 2 + [None] * 2
    assert rows[3]["operating_point"] == "screening"
    assert (rows[0]["likelihood_ratio"], rows[3]["local"]) == (None, None)
    assert (rows[3]["likelihood_ratio"] > 1) == (rows[3]["decision"] == "positive")
    assert rows[3]["likelihood_ratio_measured"]["split"] == "test"


def test_read_auto_finds_the_task_of_a_dicom_file(capsys, folder):
    _, out, _ = read(capsys, "--json", folder / "a" / "10.dcm", folder / "a" / "2.png")
    first, second = (json.loads(line) for line in out.splitlines())
    assert first["task"] == "tuberculosis"
    assert second["refusal"]["code"] == "task_unknown"


def test_read_writes_heat_maps_and_never_over_another(capsys, folder):
    for _ in range(2):
        read(capsys, "--task", "tuberculosis", "--heatmaps", folder / "maps", folder / "a" / "2.png")
    written = sorted(path.name for path in (folder / "maps").iterdir())
    assert written == ["2-2.heatmap.png", "2.heatmap.png"]
    _, out, _ = read(capsys, "--task", "tuberculosis", "--json", "--heatmaps", folder / "maps", folder / "a" / "2.png")
    assert json.loads(out)["heatmap"] == str(folder / "maps" / "2-3.heatmap.png")


def test_read_in_words_says_decision_score_and_why(capsys, folder):
    code, out, _ = read(capsys, "--task", "tuberculosis", folder / "a" / "2.png", folder / "notes.txt")
    assert code == 0
    assert re.search(r"  (positive|negative)  score \d+ of 100 \(screening from \d+\)  ", out)
    assert "operating point screening" in out
    assert "refused: this is not an image" in out


def test_read_says_what_is_missed_and_the_worst_place_beside_the_best(capsys, folder):
    _, out, _ = read(capsys, "--task", "tuberculosis", "--operating-point", "confirm", folder / "a" / "10.dcm")
    first, second, *rest = out.splitlines()
    assert "  negative  " in first
    assert first.endswith(
        "tuberculosis is not ruled out: with symptoms or contact, test as you would without this answer"
    )
    bundle = load_bundle("tuberculosis")
    point = bundle.operating_points["confirm"]
    known = outlook(bundle.evidence, point.threshold)
    assert second == f"    {known.missed(bundle.task)}"
    assert rest[0] == f"    what to do now: {bundle.task.next_steps['negative']}"
    assert any("probability 0." in line for line in rest[:3])
    worst, best = known.worst("sensitivity"), known.best("sensitivity")
    ends = [f"{place.rate('sensitivity')} ({place.named()})" for place in (worst, best)]
    assert f"    sensitivity: worst measured {ends[0]}; best {ends[1]}" in out.splitlines()
    assert "fracture/" not in out, "only what read something is told"
    for one in guarantees_of(bundle, point):
        assert one.in_words() in out, "what is promised, and where it was shown"
    assert point.data.rpartition(", ")[2] not in out, "images go by words, not by their fingerprint"
    (ratio,) = re.findall(r"likelihood ratio of this answer (.*) [(]test", out) or [None]
    found = likelihood_of(bundle, threshold=point.threshold, low=None)["negative"]
    assert ratio in (None, ratio_in_words(found.ratio))


def place(source, *, found, n):
    """A hospital whose sensitivity was measured on so many images."""
    return Place("test", source, proportion([True] * found + [False] * (n - found)), NOTHING, n, 0)


@pytest.mark.parametrize(
    ("places", "said"),
    [
        ([("north", 30, 30)], "measured at one place only 100 % (88–100), n = 30 (test: north)"),
        (
            [("north", 30, 30), ("south", 25, 25), ("tiny", 3, 3)],
            "the same at all 2 compared places, on the fewest images 100 % (86–100), n = 25 (test: south)",
        ),
        (
            [("tiny", 3, 3), ("north", 30, 30)],
            "of 2 measured places one alone has images enough 100 % (88–100), n = 30 (test: north)",
        ),
    ],
)
def test_places_are_counted_where_none_is_worse_than_another(places, said):
    known = Outlook(tuple(place(source, found=found, n=n) for source, found, n in places))
    assert ends_of(known, "sensitivity") == f"sensitivity: {said}"
    assert ends_of(known, "specificity") == "specificity not measured"


def test_a_point_that_confirms_nothing_is_told(capsys, folder):
    for task in ("tuberculosis", "fracture"):
        points = load_bundle(task).operating_points
        _, out, _ = read(capsys, "--task", task, "--operating-point", "confirm", folder / "a" / "10.dcm")
        said = "“confirm” begins no higher than “screening” in this bundle" in out
        assert said == ("refused" not in out and points["confirm"].threshold <= points["screening"].threshold)


def test_a_file_of_several_frames_is_read_whole_or_at_one(capsys, tmp_path):
    path = tmp_path / "film.dcm"
    path.write_bytes(dicom_of(stack()))
    task = ("--task", "tuberculosis", path)
    whole, second = (json.loads(read(capsys, "--json", *more, *task)[1]) for more in ((), ("--frame", "2")))
    assert list(whole) == [*CONTRACT, "frames", "worst_frame", *MEANING]
    assert [one["frame"] for one in whole["frames"]] == list(range(1, 13))
    assert whole["score"] == max(one["score"] or 0 for one in whole["frames"])
    assert whole["score"] == whole["frames"][whole["worst_frame"] - 1]["score"]
    assert list(second) == [*CONTRACT, *MEANING]
    assert second["score"] == whole["frames"][1]["score"]
    code, words, _ = read(capsys, *task)
    assert code == 0
    assert f"frame {whole['worst_frame']} has the highest score" in words
    assert re.search(r"frames: not read 1; (positive|negative) 2", words)
    _, words, _ = read(capsys, "--max-frames", "11", *task)
    assert "12 frames, more than the 11" in words
    assert read(capsys, "--frame", "0", *task)[0] == 2


def test_a_path_that_cannot_be_opened_exits_1_and_the_others_are_read(capsys, folder):
    code, out, _ = read(capsys, "--task", "fracture", "--json", folder / "gone.png", folder / "a" / "2.png")
    first, second = (json.loads(line) for line in out.splitlines())
    assert code == 1
    assert first["refusal"]["code"] == "cannot_open"
    assert second["decision"]


def test_a_folder_without_a_file_exits_2_after_the_others_are_read(capsys, folder):
    (folder / "empty" / "deeper").mkdir(parents=True)
    (folder / "empty" / ".hidden.png").write_bytes(b"")
    code, out, err = read(capsys, "--task", "fracture", "--json", folder / "empty", folder / "a" / "2.png")
    assert code == 2
    assert json.loads(out)["decision"]
    assert err.startswith(f"secondread: no image was found in '{folder / 'empty'}'; ")


@pytest.mark.parametrize(
    ("options", "raised_with"),
    [(["--max-megapixels", "1"], "--max-megapixels"), (["--max-megabytes", "1"], "--max-megabytes")],
)
def test_the_option_that_reads_a_larger_image_is_named(capsys, tmp_path, options, raised_with):
    path = tmp_path / "large.bmp"
    path.write_bytes(encode(np.zeros((1100, 1100), np.uint8), "BMP"))
    _, out, _ = read(capsys, "--json", *options, path)
    refusal = json.loads(out)["refusal"]
    assert refusal["code"] == "too_large"
    assert refusal["message"].endswith(f"raise the limit with {raised_with}")


def test_the_command_runs_as_a_module():
    said = subprocess.run([sys.executable, "-m", "secondread", "--version"], capture_output=True, text=True, check=True)
    assert said.stdout.startswith("secondread, version ")


MISTAKES = {
    "unknown task": (["read", "--task", "tb", "x.png"], 2, "did you mean 'tuberculosis'?"),
    "unknown command": (["raed", "x.png"], 2, "did you mean 'read'?"),
    "no path": (["read"], 2, "Missing argument"),
    "unknown option": (["read", "--hurry", "x.png"], 2, "No such option"),
    "unknown point": (["read", "--task", "fracture", "--operating-point", "papr", "x.png"], 2, "did you mean 'paper'?"),
    "bundle without task": (["read", "--bundle", "paper", "x.png"], 2, "needs --task"),
    "missing bundle": (["read", "--bundle", "/no/such/bundle", "x.png"], 1, "no bundle at"),
    "unknown model": (
        ["train", "--task", "fracture", "--model", "lenett", "--data", "m.csv", "--out", "o"],
        2,
        "did you mean 'lenet'?",
    ),
    "missing data": (
        ["evaluate", "--task", "fracture", "--data", "none.csv", "--split", "test", "--out", "o"],
        None,
        "none.csv",
    ),
    "which task": (["evaluate", "--data", "none.csv", "--split", "test", "--out", "o"], 2, "which task?"),
    "unknown shell": (["completion", "tcsh"], 2, "tcsh"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_clear_line_and_an_exit_code(capsys, tmp_path, monkeypatch, name, phantom_manifest):
    monkeypatch.chdir(tmp_path)
    args, expected, said = MISTAKES[name]
    args = [str(phantom_manifest) if arg == "m.csv" else arg for arg in args]
    code, out, err = call(capsys, *args)
    assert code == expected if expected is not None else code in (1, 2)
    assert said in err
    assert "Traceback" not in err
    assert out == ""


def test_debug_shows_the_traceback():
    with pytest.raises(Exception, match="unknown task"):
        run(["--debug", "read", "--task", "tb", "x.png"])


def test_a_defect_is_still_one_line(capsys, monkeypatch, folder):
    monkeypatch.setattr("secondread.reading.load", lambda *a, **k: 1 / 0)
    code, _, err = call(capsys, "read", folder)
    assert code == 1
    assert "defect" in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("command", ["", *COMMANDS, *ALIASES])
def test_every_command_has_help(command):
    result = CliRunner().invoke(secondread, [*command.split(), "--help"])
    assert result.exit_code == 0
    assert result.output.startswith("Usage:")


def test_the_lab_has_what_stood_beside_the_other_commands_before():
    """The old names are the same commands, and only the lab's help lists them; what came since has no old name."""
    lab = secondread.get_command(None, "lab")
    assert {name: secondread.get_command(None, name) for name in ALIASES}.items() <= lab.commands.items()
    assert not set(ALIASES) & set(secondread.list_commands(None))


def test_help_and_import_are_light():
    """Neither torch, nor OpenCV, nor ONNX Runtime, nor the web framework."""
    code = (
        "import sys, secondread\n"
        "from secondread.cli.main import run\n"
        "try:\n    run(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'cv2', 'onnxruntime', 'flask', 'pydicom', 'sklearn', 'numpy'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_reading_never_imports_torch(folder):
    code = (
        "import sys\nfrom secondread.cli.main import run\n"
        f"try:\n    run(['read', '--task', 'fracture', '--json', {str(folder / 'a' / '2.png')!r}])\n"
        "except SystemExit:\n    pass\n"
        "heavy = {'torch', 'sklearn', 'matplotlib', 'rich', 'pydicom'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_networks_are_listed_where_torch_is_not_installed():
    code = (
        "import sys\nsys.modules['torch'] = sys.modules['monai'] = None\n"
        "from secondread.cli.main import run\nrun(['models', '--json'])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert {"lenet", "vit"} < json.loads(result.stdout)["models"].keys()


def test_lists_say_what_there_is(capsys):
    assert "paper" in call(capsys, "models")[1]
    assert "Does this chest X-ray" in call(capsys, "tasks")[1]
    assert len(json.loads(call(capsys, "tasks", "--json")[1])) == len(list_tasks())
    assert len(json.loads(call(capsys, "bundles", "--json")[1])) >= 3
    assert call(capsys, "bundles", "fracture")[1].startswith("# Fracture")


def test_completion_knows_commands_and_tasks(monkeypatch):
    script = subprocess.run(
        [sys.executable, "-m", "secondread.cli", "completion", "bash"], capture_output=True, text=True, check=True
    ).stdout
    assert "_SECONDREAD_COMPLETE=bash_complete" in script
    from click.shell_completion import ShellComplete

    complete = ShellComplete(secondread, {}, "secondread", "_SECONDREAD_COMPLETE")
    assert [item.value for item in complete.get_completions([], "ev")] == ["evaluate"]
    assert [item.value for item in complete.get_completions(["read", "--task"], "tub")] == ["tuberculosis"]


def test_evaluate_writes_evidence_plots_and_page(capsys, tmp_path, phantom_manifest, phantom_bundle):
    out = tmp_path / "out"
    code, said, _ = call(
        capsys,
        "evaluate",
        "--data",
        phantom_manifest,
        "--split",
        "test",
        "--split",
        "val",
        "--bundle",
        phantom_bundle,
        "--out",
        out,
    )
    assert code == 0
    assert "roc_auc" in said
    evidence = json.loads((out / "evidence.json").read_text())
    assert list(evidence["results"]) == ["test", "val"]
    plots = ("accuracy", "confidence", "confusion", "roc", "pr", "reliability")
    for name in plots:
        assert (out / f"test-{name}.png").stat().st_size > 5000
    page = (out / "index.html").read_text()
    assert page.count("data:image/png;base64,") == 2 * len(plots)
    assert "http" not in page.replace("https://", "http://").split("<body>")[0], "nothing is fetched"
    assert "no medical device" in page


def test_evaluate_bounds_a_likelihood_ratio_on_either_side(capsys, tmp_path, phantom_manifest, phantom_bundle):
    """One false positive: nearly none, and the likelihood ratio may be very large, or have no upper bound at all."""
    with phantom_manifest.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    next(row for row in rows if row["split"] == "test" and row["label"] == "1")["label"] = "0"
    (tmp_path / "images").symlink_to(phantom_manifest.parent / "images")
    manifest = tmp_path / "manifest.csv"
    with manifest.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    code, said, _ = call(
        capsys, "evaluate", "--task", "tuberculosis", "--data", manifest, "--split", "test", "--bundle", phantom_bundle,
        "--out", tmp_path / "out",
    )  # fmt: skip
    assert code == 0
    found = re.search(r"lr_positive\s+│ (\d+\.\d+) \((\d+\.\d+)–(\d+\.\d+|∞)\)", said)
    value, low, high = (float(one.replace("∞", "inf")) for one in found.groups())
    assert low < value < 100 < high


def test_evaluate_of_an_unknown_split_names_the_known_ones(capsys, tmp_path, phantom_manifest, phantom_bundle):
    code, _, err = call(
        capsys, "evaluate", "--data", phantom_manifest, "--split", "tset", "--bundle", phantom_bundle, "--out", tmp_path
    )
    assert code == 2
    assert "test" in err
