"""Task files: every shipped one is whole, and a user's own is checked field by field."""

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

import secondread.tasks
from secondread.cli.main import secondread as command
from secondread.errors import CannotOpen, TaskInvalid, UnknownName
from secondread.images import Image
from secondread.reading import load, shipped_gate
from secondread.tasks import AUGMENTATIONS, first_tasks, list_tasks, load_task, match_dicom
from secondread.tasks.task import extract
from secondread.testing.phantoms import chest_phantom, dicom_bytes

SHIPPED = Path(secondread.tasks.__file__).parent
WHOLE = (SHIPPED / "tuberculosis.toml").read_text(encoding="utf-8")


def test_the_three_tasks_are_shipped() -> None:
    assert {"brain-tumour", "fracture", "tuberculosis"} <= set(list_tasks())


@pytest.mark.parametrize("name", list_tasks())
def test_a_shipped_task_is_whole(name: str) -> None:
    task = load_task(name)
    assert task.name == name
    assert task.positive_class == task.classes[1]
    assert task.question.endswith("?")
    assert set(task.augmentations) <= set(AUGMENTATIONS)
    assert task.intended_use
    assert task.limits
    assert task.sources
    assert all(source.page.startswith("https://") and source.terms and source.citation for source in task.sources)
    assert all(source.url.startswith(("https://", "http://")) for source in task.sources if source.url)
    assert len({source.name for source in task.sources}) == len(task.sources)


def test_films_are_not_flipped_upside_down() -> None:
    assert "vertical_flip" not in load_task("tuberculosis").augmentations


@pytest.mark.parametrize(
    ("modality", "body_part", "expected"),
    [
        ("DX", "CHEST", "tuberculosis"),
        ("cr", "chest", "tuberculosis"),
        ("MR", "BRAIN", "brain-tumour"),
        ("MR", "HEAD", "brain-tumour"),
        ("DX", "HAND", "fracture"),
        ("DX", "", None),
        ("", "CHEST", None),
        ("CT", "CHEST", None),
        ("US", "ABDOMEN", None),
        ("", "", None),
        ("MR", "Head Neck", "brain-tumour"),
    ],
)
def test_dicom_facts_name_one_task_or_none(modality: str, body_part: str, expected: str | None) -> None:
    assert match_dicom(modality, body_part) == expected


def test_words_and_codes_that_fit_two_tasks_name_none() -> None:
    assert match_dicom("DX", "CHEST", "THORAX") == "tuberculosis"
    assert match_dicom("DX", "TORAX", "CHEST") == "tuberculosis"
    assert match_dicom("DX", "CHEST", "HAND") is None


def test_no_dicom_values_fit_two_tasks() -> None:
    for name in first_tasks():
        task = load_task(name)
        for modality in task.dicom_modalities:
            for part in task.dicom_body_parts:
                assert match_dicom(modality, part) == name


def test_a_mistyped_name_gets_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean 'tuberculosis'"):
        load_task("tubercolosis")
    with pytest.raises(UnknownName, match="did you mean 'tuberculosis'"):
        load_task("tb")


def test_a_task_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "silicosis.toml"
    path.write_text(WHOLE.replace('name = "tuberculosis"', 'name = "silicosis"', 1), encoding="utf-8")
    assert load_task(path).name == "silicosis"
    assert load_task(str(path)) == load_task(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CannotOpen, match="nowhere"):
        load_task(tmp_path / "nowhere.toml")


WRONG = {
    "not TOML": ("title = ", "title = = ", "valid TOML"),
    "a lacking field": ('question = "', '# question = "', "lacks: question"),
    "an unknown field": ("channels = 1", "channels = 1\ncolour = 1", "unknown fields: colour"),
    "two channels": ("channels = 1", "channels = 2", "channels"),
    "a tiny input": ("input_size = 128", "input_size = 8", "input_size"),
    "certain sensitivity": ("target_sensitivity = 0.90", "target_sensitivity = 1.0", "target_sensitivity"),
    "three classes": ('["normal", "tuberculosis"]', '["normal", "tuberculosis", "other"]', "classes"),
    "one class": ('["normal", "tuberculosis"]', '["tuberculosis"]', "classes"),
    "the wrong positive": ('positive_class = "tuberculosis"', 'positive_class = "normal"', "positive_class"),
    "an unknown augmentation": ('"rotation"', '"shear"', "augmentations"),
    "a word too few": ("uncertain = ", "unsure = ", "words"),
    "no place for a share": ("missed = ", 'missed = "some" # ', "missed"),
    "a share of its own": ("missed = ", 'missed = "5 % of %(share)s" # ', "missed"),
    "no place for a share of the false": ("false = ", 'false = "some" # ', "false"),
    "a source without terms": ("terms = ", "conditions = ", "sources"),
    "a number as text": ("target_specificity = 0.70", 'target_specificity = "high"', "target_specificity"),
    "a number for tables": ("[dicom]", "[dicom_]\ndicom = 3\n[other]", "unknown fields"),
    "a list of lists": ('["rotation", "horizontal_flip", "contrast", "gaussian_blur"]', '[["rotation"]]', "wrong kind"),
    "text for a table": ("\n[words]\npositive", "\n[dicom.words]\npositive", "lacks: words"),
    "a number for a name": ('name = "tuberculosis"', "name = 3", "name"),
    "an unknown view": ('views = ["frontal"]', 'views = ["side"]', "views"),
    "an unknown intent": ('["FOR PRESENTATION"]', '["FOR PRINTING"]', "presentation_intents"),
    "an age in months": ("least_age = 15", 'least_age = "180M"', "least_age"),
    "an age of no person": ("least_age = 15", "least_age = 1500", "least_age"),
    "a measured age of no person": ("measured_from_age = 15", "measured_from_age = -1", "measured_from_age"),
    "a body part in small letters": ('"LUNG"', '"Lung field"', "body_parts"),
    "an unknown field for DICOM": ("least_age = 15", "youngest = 15", r"\[dicom\] holds unknown fields: youngest"),
    "asked after itself": ("channels = 1", 'channels = 1\nasked_after = "tuberculosis"', "asked_after"),
    "asked after no task": ("channels = 1", 'channels = 1\nasked_after = "pneumonia"', "asked_after"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_task_file_says_what_is_wrong(case: str, tmp_path: Path) -> None:
    before, after, word = WRONG[case]
    assert before in WHOLE
    path = tmp_path / "own.toml"
    path.write_text(WHOLE.replace(before, after, 1), encoding="utf-8")
    with pytest.raises(TaskInvalid, match=word) as caught:
        load_task(path)
    assert "own.toml" in str(caught.value)


def test_the_command_says_what_a_header_may_not_say() -> None:
    said = CliRunner().invoke(command, ["tasks", "tuberculosis"]).output
    for rule in ("another view than frontal", "not FOR PRESENTATION", "a patient under 15 years"):
        assert rule in said
    assert "a patient under" not in CliRunner().invoke(command, ["tasks", "fracture"]).output


def test_tasks_are_frozen() -> None:
    with pytest.raises(AttributeError):
        load_task("fracture").channels = 3  # type: ignore[misc]


@pytest.mark.parametrize("name", list_tasks())
def test_nothing_learned_is_in_a_task_file(name: str) -> None:
    """Thresholds and temperatures belong to bundles."""
    table = tomllib.loads((SHIPPED / f"{name}.toml").read_text(encoding="utf-8"))
    assert not {"threshold", "temperature", "operating_points", "weights"} & set(table)


AFTER = WHOLE.replace('name = "tuberculosis"', 'name = "nodule"\nasked_after = "tuberculosis"', 1).replace(
    'title = "Tuberculosis"', 'title = "Lung nodule"'
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The shipped task files, with room for another."""
    for path in SHIPPED.glob("*.toml"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr("secondread.tasks.task.FOLDER", tmp_path)
    load_task.cache_clear()
    yield tmp_path
    load_task.cache_clear()


def test_a_new_task_for_the_same_kind_of_image_is_a_file_and_nothing_else(folder: Path) -> None:
    """It is listed and its words gathered; a DICOM file still finds its task, and so does `auto`."""
    (folder / "nodule.toml").write_text(AFTER, encoding="utf-8")
    assert "nodule" in list_tasks()
    assert load_task("nodule").asked_after == "tuberculosis"
    assert match_dicom("DX", "CHEST") == "tuberculosis"
    film = dicom_bytes(chest_phantom(128, random_state=1), Modality="DX", BodyPartExamined="CHEST")
    assert load("auto", gate=False).read(film).task == "tuberculosis"
    assert "nodule: " in CliRunner().invoke(command, ["tasks"]).output
    with (folder / "nodule.toml").open("rb") as file:
        found = [sentence for _, _, sentence, _ in extract(file, {}, (), {})]
    assert found == list(dict.fromkeys(load_task("nodule").sentences))


def test_without_saying_which_is_asked_first_a_dicom_file_finds_neither(folder: Path) -> None:
    (folder / "nodule.toml").write_text(AFTER.replace("asked_after", "# asked_after"), encoding="utf-8")
    assert match_dicom("DX", "CHEST") is None


def test_the_gate_takes_both_tasks_of_a_kind_of_image_for_one(folder: Path) -> None:
    (folder / "nodule.toml").write_text(AFTER, encoding="utf-8")
    gate = shipped_gate()
    assert gate is not None
    assert gate.knows(load_task("nodule"))
    verdict = gate.judge(Image.from_array(chest_phantom(128, random_state=1)))
    first, after = (gate.refusal(verdict, load_task(name)) for name in ("tuberculosis", "nodule"))
    assert first == after


def test_a_sentence_is_found_on_the_line_where_it_stands() -> None:
    with (SHIPPED / "tuberculosis.toml").open("rb") as file:
        found = {sentence: line for line, _, sentence, _ in extract(file, {}, (), {})}
    lines = WHOLE.splitlines()
    assert all(sentence in lines[line - 1] for sentence, line in found.items())
