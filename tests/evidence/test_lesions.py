"""Lesions from masks and boxes, at any size, and what is said of files that do not fit."""

import json

import cv2
import numpy as np
import pytest

from secondread.data import Manifest, Row
from secondread.errors import CannotOpen, DataInvalid
from secondread.evidence.localisation import load_lesions
from secondread.testing.phantoms import encode


@pytest.fixture
def folder(tmp_path):
    mask = np.zeros((40, 80), np.uint8)
    mask[10:20, 20:60] = 255
    (tmp_path / "mask.png").write_bytes(encode(mask, "PNG"))
    (tmp_path / "boxes.json").write_text(
        json.dumps({"boxed.png": [{"category": "x", "bbox": [20, 10, 40, 10]}], "none.png": []})
    )
    return tmp_path


def row(folder, name, *, mask=None, label=1):
    return Row(path=folder / name, name=name, label=label, mask=folder / mask if mask else None)


def lesions_of(folder):
    return load_lesions(Manifest((), folder))


def test_a_mask_and_the_box_around_it_are_the_same_lesion(folder):
    lesions, size = lesions_of(folder), {"width": 80, "height": 40, "image_size": (80, 40)}
    masked = lesions.coverage(row(folder, "masked.png", mask="mask.png"), **size)
    assert np.array_equal(masked, lesions.coverage(row(folder, "boxed.png"), **size))
    assert masked.sum() == 400


@pytest.mark.parametrize("shrink", [2, 4, 3])
def test_shrinking_keeps_the_lesions_share_of_the_image(folder, shrink):
    lesions = lesions_of(folder)
    for one in (row(folder, "masked.png", mask="mask.png"), row(folder, "boxed.png")):
        small = lesions.coverage(one, width=80 // shrink, height=40 // shrink, image_size=(80, 40))
        assert small.mean() == pytest.approx(400 / 3200, rel=0.01)


def test_boxes_that_overlap_are_counted_once(tmp_path):
    (tmp_path / "boxes.json").write_text(json.dumps({"a": [{"bbox": [0, 0, 10, 10]}, {"bbox": [5, 0, 10, 10]}]}))
    drawn = lesions_of(tmp_path).coverage(row(tmp_path, "a"), width=20, height=20, image_size=(20, 20))
    assert drawn.sum() == 150
    assert drawn.max() == 1


@pytest.mark.parametrize(
    ("name", "mask", "label", "known"),
    [("boxed.png", None, 1, True), ("other.png", "mask.png", 1, True), ("none.png", None, 1, False),
     ("other.png", None, 1, False), ("boxed.png", None, 0, False)],
)  # fmt: skip
def test_a_lesion_is_known_where_a_diseased_image_has_mask_or_boxes(folder, name, mask, label, known):
    assert lesions_of(folder).known(row(folder, name, mask=mask, label=label)) is known


def test_without_boxes_there_are_only_masks(tmp_path):
    assert lesions_of(tmp_path).boxes == {}


@pytest.mark.parametrize("text", ["[", "[]", '{"a": 1}', '{"a": [{"box": 1}]}', '{"a": [{"bbox": [1, 2, 0, 4]}]}'])
def test_a_table_that_is_none_is_refused_with_the_form_it_needs(tmp_path, text):
    (tmp_path / "boxes.json").write_text(text)
    with pytest.raises(DataInvalid, match=r"each path needs a list of \{bbox"):
        lesions_of(tmp_path)


def test_a_mask_of_another_size_is_refused(folder):
    with pytest.raises(DataInvalid, match="80 × 40 pixels, its image 100 × 40"):
        lesions_of(folder).coverage(row(folder, "a", mask="mask.png"), width=100, height=40, image_size=(100, 40))


def test_a_mask_that_is_gone_or_no_image_is_refused(folder):
    (folder / "bad.png").write_text("no image")
    size = {"width": 8, "height": 4, "image_size": (80, 40)}
    with pytest.raises(CannotOpen, match="cannot open the mask"):
        lesions_of(folder).coverage(row(folder, "a", mask="gone.png"), **size)
    with pytest.raises(DataInvalid, match="cannot be used"):
        lesions_of(folder).coverage(row(folder, "a", mask="bad.png"), **size)


def test_one_bit_masks_are_read_as_drawn(folder):
    mask = np.zeros((40, 80), np.uint8)
    mask[5:15, 5:15] = 1
    cv2.imwrite(str(folder / "bit.png"), mask, [cv2.IMWRITE_PNG_BILEVEL, 1])
    one = row(folder, "a", mask="bit.png")
    assert lesions_of(folder).coverage(one, width=80, height=40, image_size=(80, 40)).sum() == 100
