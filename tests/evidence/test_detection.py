"""Average precision and FROC: against cases known by hand, against COCO's own program, and by their laws."""

import numpy as np
import pytest

from secondread.evidence.detection import LEVELS, RATES, Found, Matched, detection_table, only_truth


def drawn(*corners):
    return np.array(corners, dtype=float).reshape(-1, 4)


def random_set(n=30, seed=0):
    """Images with drawn boxes and found ones near some of them, some far off."""
    rng = np.random.default_rng(seed)
    images = []
    for number in range(n):
        corner = rng.uniform(0, 150, (rng.integers(0, 4), 2))
        truth = np.hstack([corner, corner + rng.uniform(20, 60, corner.shape)])
        near = truth + rng.normal(0, 5, truth.shape)
        far = rng.uniform(0, 150, (rng.integers(0, 5), 2))
        boxes = np.vstack([near, np.hstack([far, far + rng.uniform(10, 40, far.shape)])])
        images.append(Found(truth, boxes, rng.uniform(size=len(boxes)), str(number // 2)))
    return images


def test_boxes_that_are_all_right_score_one_and_none_score_nothing():
    truth = drawn((0, 0, 10, 10), (30, 30, 60, 60))
    right = Found(truth, truth, np.array([0.9, 0.8]))
    nothing = Found(truth, drawn(), np.zeros(0))
    weights = np.ones((1, 1))
    assert Matched.of([right], 0.5).average_precision(weights) == pytest.approx(1)
    assert Matched.of([right], 0.5).sensitivity_at(weights, 0.125) == pytest.approx(1)
    assert Matched.of([nothing], 0.5).average_precision(weights) == pytest.approx(0)
    assert Matched.of([nothing], 0.5).sensitivity_at(weights, 8) == pytest.approx(0)


def test_a_second_box_on_the_same_lesion_is_a_false_one():
    truth = drawn((0, 0, 10, 10))
    twice = Found(truth, drawn((0, 0, 10, 10), (1, 0, 11, 10)), np.array([0.9, 0.8]))
    assert Matched.of([twice], 0.5).hit.tolist() == [True, False]


def test_false_boxes_are_counted_over_all_images():
    lesion = Found(drawn((0, 0, 10, 10)), drawn((50, 50, 60, 60), (0, 0, 10, 10)), np.array([0.9, 0.5]))
    healthy = [Found(drawn(), drawn(), np.zeros(0)) for _ in range(3)]
    matched = Matched.of([lesion, *healthy], 0.5)
    weights = np.ones((1, 4))
    assert matched.sensitivity_at(weights, 0.125) == pytest.approx(0)  # a quarter of a false box comes first
    assert matched.sensitivity_at(weights, 0.25) == pytest.approx(1)


def test_equals_cocos_own_program():
    coco = pytest.importorskip("pycocotools.coco", reason="pycocotools is not installed")
    evaluation = pytest.importorskip("pycocotools.cocoeval")
    images = random_set()
    truth = [
        {"id": 1 + at * 10 + i, "image_id": at, "category_id": 1, "iscrowd": 0, "bbox": _xywh(box), "area": _area(box)}
        for at, one in enumerate(images)
        for i, box in enumerate(one.truth)
    ]
    found = [
        {"image_id": at, "category_id": 1, "bbox": _xywh(box), "score": float(score)}
        for at, one in enumerate(images)
        for box, score in zip(one.boxes, one.scores, strict=True)
    ]
    theirs = coco.COCO()
    theirs.dataset = {
        "images": [{"id": at} for at in range(len(images))],
        "annotations": truth,
        "categories": [{"id": 1}],
    }
    theirs.createIndex()
    run = evaluation.COCOeval(theirs, theirs.loadRes(found), "bbox")
    run.evaluate()
    run.accumulate()
    run.summarize()
    own = detection_table(images, n_resamples=50)
    assert own["ap"]["value"] == pytest.approx(run.stats[0], abs=2e-3)
    assert own["ap50"]["value"] == pytest.approx(run.stats[1], abs=2e-3)


def _xywh(box):
    return [float(box[0]), float(box[1]), float(box[2] - box[0]), float(box[3] - box[1])]


def _area(box):
    return float((box[2] - box[0]) * (box[3] - box[1]))


def test_sensitivity_rises_with_what_is_allowed_and_overlap_that_is_asked_for_lowers_it():
    table = detection_table(random_set(), n_resamples=50)
    for froc in table["froc"].values():
        values = [froc[f"{rate:g}"]["value"] for rate in RATES]
        assert values == sorted(values)
    assert table["froc"]["0.3"]["1"]["value"] >= table["froc"]["0.5"]["1"]["value"]
    assert table["ap"]["value"] < table["ap50"]["value"]
    assert table["ap50"]["low"] < table["ap50"]["value"] < table["ap50"]["high"]
    assert len(LEVELS) == 10


def test_an_image_drawn_twice_counts_as_two():
    images = random_set(10)
    weights = np.array([[2.0] + [1.0] * 9])
    once = Matched.of(images, 0.5)
    twice = Matched.of([images[0], *images], 0.5)
    plain = np.ones((1, 11))
    assert once.sensitivity_at(weights, 0.5) == pytest.approx(twice.sensitivity_at(plain, 0.5), abs=1e-9)
    assert once.average_precision(weights) == pytest.approx(twice.average_precision(plain), abs=0.02)


def test_boxes_of_another_size_neither_count_nor_harm():
    truth = drawn((0, 0, 10, 10), (40, 40, 100, 100))
    one = Found(truth, np.vstack([truth, drawn((200, 200, 230, 230))]), np.array([0.9, 0.8, 0.7]))
    (small,) = only_truth([one], smallest=0, largest=32**2)
    assert small.truth.tolist() == [[0, 0, 10, 10]]
    assert len(small.boxes) == 2  # its own and the false one
    assert Matched.of([small], 0.5).hit.tolist() == [True, False]
