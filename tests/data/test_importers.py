"""Folders in the layouts of public collections."""

from pathlib import Path

import pytest

from secondread.data import import_folder, load_data, write_manifest
from secondread.errors import CannotOpen, DataInvalid
from secondread.tasks import load_task
from secondread.testing.phantoms import chest_phantom, dicom_bytes
from tests.data.folders import write_images

PAIRS = [
    ("no", "yes", "brain-tumour"),
    ("no_tumor", "tumor", "brain-tumour"),
    ("notumor", "brain_tumour", "brain-tumour"),
    ("No Tumour", "TUMOUR", "brain-tumour"),
    ("negative", "positive", "tuberculosis"),
    ("Normal", "Tuberculosis", "tuberculosis"),
    ("healthy", "TB", "tuberculosis"),
    ("normal", "abnormal", "fracture"),
    ("not fractured", "fractured", "fracture"),
    ("Non_fractured", "Fractured", "fracture"),
    ("no-fracture", "fracture", "fracture"),
    ("0", "1", "fracture"),
]


@pytest.mark.parametrize(("negative", "positive", "task_name"), PAIRS)
@pytest.mark.parametrize("with_task", [True, False])
def test_class_folders(tmp_path: Path, negative: str, positive: str, task_name: str, with_task: bool) -> None:
    write_images(tmp_path, [f"{negative}/1.png", f"{negative}/2.png", f"{positive}/deeper/1.png"])
    task = load_task(task_name) if with_task else None
    manifest = import_folder(tmp_path, task=task)
    assert {row.name: row.label for row in manifest.rows} == {
        f"{negative}/1.png": 0,
        f"{negative}/2.png": 0,
        f"{positive}/deeper/1.png": 1,
    }
    assert {row.class_name for row in manifest.rows} == (set(task.classes) if task else {negative, positive})


def test_a_disease_beside_its_absence_explains_itself(tmp_path: Path) -> None:
    write_images(tmp_path, ["pneumonia/1.png", "no_pneumonia/1.png"])
    assert {row.name: row.label for row in import_folder(tmp_path).rows} == {
        "pneumonia/1.png": 1,
        "no_pneumonia/1.png": 0,
    }


def test_another_disease_is_not_taken_for_the_task(tmp_path: Path) -> None:
    write_images(tmp_path, ["normal/1.png", "pneumonia/1.png"])
    with pytest.raises(DataInvalid, match="no class is known by the name of 'pneumonia'"):
        import_folder(tmp_path, task=load_task("tuberculosis"))


@pytest.mark.parametrize("names", [("train", "val", "test"), ("Training", "valid", "Testing")])
def test_split_trees(tmp_path: Path, names: tuple[str, str, str]) -> None:
    write_images(tmp_path, [f"archive/{split}/{word}/1.png" for split in names for word in ("no", "yes")])
    manifest = import_folder(tmp_path)
    assert manifest.splits() == {"train": 2, "val": 2, "test": 2}
    assert manifest.labels.tolist() == [row.name.endswith("yes/1.png") for row in manifest.rows]


def test_split_trees_with_flat_names(tmp_path: Path) -> None:
    write_images(tmp_path, ["train/a_0.png", "train/b_1.png", "test/c_1.png"])
    assert [(row.split, row.label) for row in import_folder(tmp_path).rows] == [("test", 1), ("train", 0), ("train", 1)]


def test_flat_names_below_a_single_folder(tmp_path: Path) -> None:
    write_images(tmp_path, ["CXR_png/CHN_0001_0.png", "CXR_png/CHN_0002_1.png", "__MACOSX/CXR_png/._CHN_0002_1.png"])
    (tmp_path / "CXR_png" / "Thumbs.db").write_bytes(b"x")
    (tmp_path / "readings.txt").write_text("normal")
    assert [(row.name, row.label) for row in import_folder(tmp_path).rows] == [
        ("CXR_png/CHN_0001_0.png", 0),
        ("CXR_png/CHN_0002_1.png", 1),
    ]


def test_dicom_files_without_a_suffix_count(tmp_path: Path) -> None:
    write_images(tmp_path, ["no/1.png"])
    (tmp_path / "yes").mkdir()
    (tmp_path / "yes" / "1.2.840.113").write_bytes(dicom_bytes(chest_phantom(16, random_state=0)))
    assert import_folder(tmp_path).labels.tolist() == [False, True]


@pytest.mark.parametrize(
    ("names", "complaint"),
    [
        ([], "no images"),
        (["a.png", "b_1.png"], r"class of 'a\.png' cannot be told; tried: two class folders"),
        (["no/1.png", "yes/1.png", "pred/1.png"], "no class is known by the name of 'pred'; tried"),
        (["glioma/1.png", "meningioma/1.png", "notumor/1.png"], "'glioma', 'meningioma'"),
        (["normal/1.png", "healthy/1.png", "yes/1.png"], "mean the same class"),
        (["no/1.png", "yes/1.png", "extra.png"], "both directly"),
        (["train/no/1.png", "train/yes/1.png", "no/1.png"], "has splits, and beside them 'no'"),
        (["val/no/1.png", "val/yes/1.png", "valid/no/1.png", "valid/yes/1.png"], "mean the same split"),
        (["no/train/1.png", "yes/train/1.png"], "splits inside a class"),
        (["no/a_1.png", "yes/b_0.png"], "two layouts that disagree"),
        (["a_0.png", "b_0.png"], "only images labelled 0"),
    ],
)
def test_unclear_folders_are_refused_with_the_reason(tmp_path: Path, names: list[str], complaint: str) -> None:
    write_images(tmp_path, names)
    with pytest.raises(DataInvalid, match=complaint):
        import_folder(tmp_path)


def test_numbers_that_happen_to_end_in_0_or_1_are_no_second_layout(tmp_path: Path) -> None:
    write_images(tmp_path, ["no/n_0.png", "no/n_1.png", "no/n_2.png", "yes/y_0.png"])
    assert import_folder(tmp_path).labels.tolist() == [False, False, False, True]


def test_load_data_takes_a_table_a_folder_with_one_or_a_layout(tmp_path: Path) -> None:
    write_images(tmp_path, ["no/1.png", "yes/1.png", "yes/2.png"])
    by_layout = load_data(tmp_path)
    assert len(by_layout) == 3
    write_manifest(by_layout.__class__(by_layout.rows[:2], tmp_path), tmp_path / "manifest.csv")
    assert len(load_data(tmp_path)) == len(load_data(str(tmp_path / "manifest.csv"))) == 2


def test_load_data_of_nothing_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(CannotOpen, match="manifest"):
        load_data(tmp_path / "none")
    with pytest.raises(CannotOpen, match="no folder"):
        import_folder(tmp_path / "none")
