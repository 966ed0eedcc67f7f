"""The shipped gate, end to end: one picture for every code, and the task found without asking."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from secondread.data import load_data
from secondread.images import decode
from secondread.reading import Reader, load, load_bundle, shipped_gate
from secondread.reading.session import open_session
from secondread.tasks import first_tasks, load_task
from secondread.testing.phantoms import chest_phantom, dicom_bytes
from secondread.training.gate_pictures import draw_outliers

TASKS = first_tasks()
N = 20  # real pictures of each task, from its validation split


@pytest.fixture(scope="module")
def readers():
    """Of every task, guarded by the shipped gate whether or not the bundle asks for it."""
    return {task: guarded(task) for task in TASKS}


def guarded(task):
    bundle, plain = load_bundle(task), Reader.load(task, gate=False)
    point = bundle.operating_point()
    return Reader(
        bundle, open_session(bundle.model_path), operating_point=point, limits=plain.limits, gate=shipped_gate()
    )


@pytest.fixture(scope="module")
def real(data_folder):
    """A few real images of every task, spread through its validation split."""
    return {task: images_of(data_folder, task) for task in TASKS}


def images_of(data_folder, task):
    rows = load_data(data_folder / task / "manifest.csv", task=load_task(task)).split("val").rows
    return [decode(row.path.read_bytes()) for row in rows[:: len(rows) // N][:N]]


def codes(reader, images):
    """How often each code was given; None for what was read."""
    readings = [reader.read(image) for image in images]
    return Counter(reading.refusal and reading.refusal.code for reading in readings)


@pytest.mark.parametrize(
    ("source", "code"),
    [
        (b"Dear all, the photo is attached.", "not_an_image"),
        (np.full((200, 200), 90, np.uint8), "blank"),
        (chest_phantom(24, random_state=1), "too_small"),
        (dicom_bytes(chest_phantom(128, random_state=1), Modality="US", BodyPartExamined="CHEST"), "wrong_kind"),
        (dicom_bytes(chest_phantom(128, random_state=1), Modality="DX", BodyPartExamined="HAND"), "wrong_part"),
    ],
)
def test_what_needs_no_learning_has_its_own_code(readers, source, code):
    assert readers["tuberculosis"].read(source).refusal.code == code


@pytest.mark.parametrize("task", TASKS)
def test_photographs_charts_and_noise_are_of_the_wrong_kind(readers, task):
    pictures = [picture for _, picture in draw_outliers(80, held_out=True, random_state=1)]
    found = codes(readers[task], pictures)
    assert found[None] <= 4, found
    assert found["wrong_kind"] >= 50, found


def test_auto_asks_for_the_task_of_what_is_no_medical_picture():
    reader = load("auto")
    refusals = [reader.read(picture).refusal for _, picture in draw_outliers(40, held_out=True, random_state=2)]
    unknown = [refusal for refusal in refusals if refusal is not None and refusal.code == "task_unknown"]
    assert len(unknown) >= 38
    assert all(task in unknown[0].message for task in TASKS)


def test_right_pictures_are_read(readers, real):
    for task, images in real.items():
        assert codes(readers[task], images)[None] >= N - 1, task


def test_films_of_another_part_and_other_modalities_are_told_apart(readers, real):
    assert codes(readers["fracture"], real["tuberculosis"])["wrong_part"] >= N - 1
    assert codes(readers["tuberculosis"], real["fracture"])["wrong_part"] >= N - 2
    assert codes(readers["fracture"], real["brain-tumour"])["wrong_kind"] >= N - 1
    assert codes(readers["brain-tumour"], real["fracture"])["wrong_kind"] >= N - 2


@pytest.mark.parametrize("task", TASKS)
def test_inverted_pictures_are_called_so(readers, real, task):
    inverted = [
        replace(image, pixels=(image.full_scale - image.pixels).astype(image.pixels.dtype)) for image in real[task]
    ]
    assert codes(readers[task], inverted)["inverted"] >= N - 2


def test_chest_films_that_do_not_stand_upright_are_called_turned(readers, real):
    for way in (np.rot90, lambda pixels: np.rot90(pixels, 2), lambda pixels: np.rot90(pixels, 3), np.flipud):
        films = [replace(image, pixels=np.ascontiguousarray(way(image.pixels))) for image in real["tuberculosis"]]
        assert codes(readers["tuberculosis"], films)["turned"] >= N - 1


def test_limbs_and_brain_slices_may_lie_as_they_like(readers, real):
    for task in ("fracture", "brain-tumour"):
        films = [replace(image, pixels=np.ascontiguousarray(np.rot90(image.pixels))) for image in real[task]]
        assert codes(readers[task], films)[None] >= N - 1, task


def test_auto_finds_the_task(real):
    reader = load("auto")
    for task, images in real.items():
        assert sum(reader.read(image).task == task for image in images) >= N - 1, task


def test_auto_says_of_a_turned_film_that_it_is_turned(real):
    """Not that its task is unknown: choosing the task by hand would not help."""
    films = [replace(image, pixels=np.rot90(image.pixels, 2).copy()) for image in real["tuberculosis"]]
    assert codes(load("auto"), films)["turned"] >= N - 1


def test_what_lies_too_far_from_everything_taught_is_unlike_training(readers, real):
    gate = shipped_gate()
    task = load_task("fracture")
    verdict = gate.judge(real["fracture"][0])
    far = replace(verdict, distances=verdict.distances + 100)
    assert gate.refusal(verdict, task) is None
    assert gate.refusal(far, task).code == "unlike_training"
