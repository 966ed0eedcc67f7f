"""From cells to places on the image: one finding for a focus, where it is, and none below the score."""

import numpy as np
import pytest

from secondread.images import Image, PrepareSpec, prepare
from secondread.reading.findings import Finding, findings_of, overlaps, suppressed

CELLS, SIZE = 16, 128
WHOLE = (0.0, 0.0, 1.0, 1.0)


def answer(*foci: tuple[float, tuple[float, float, float, float]]) -> tuple[np.ndarray, np.ndarray]:
    """Scores and sides of cells that have found boxes (score, (left, top, right, bottom) in pixels of the input)."""
    scores = np.full((CELLS, CELLS), -8.0, np.float32)
    reach = np.ones((4, CELLS, CELLS), np.float32)
    step = SIZE / CELLS
    for score, (left, top, right, bottom) in foci:
        for row in range(CELLS):
            for column in range(CELLS):
                x, y = (column + 0.5) * step, (row + 0.5) * step
                if left <= x <= right and top <= y <= bottom:
                    away = abs(x - (left + right) / 2) + abs(y - (top + bottom) / 2)
                    scores[row, column] = score - away / step
                    reach[:, row, column] = x - left, y - top, right - x, bottom - y
    return scores, reach


def found(scores, reach, *, above=0.0, shown=(0.0, 0.0, SIZE, SIZE), image_size=(SIZE, SIZE), **more):
    return findings_of(scores, reach, extent=WHOLE, shown=shown, size=SIZE, image_size=image_size, above=above, **more)


def test_each_focus_is_one_finding_the_strongest_first():
    scores, reach = answer((3.0, (8, 8, 40, 40)), (5.0, (70, 80, 120, 112)))
    first, second = found(scores, reach)
    assert first.logit > second.logit
    assert first.box == pytest.approx((70, 80, 50, 32), abs=0.1)
    assert second.box == pytest.approx((8, 8, 32, 32), abs=0.1)


@pytest.mark.parametrize("threshold", [-20.0, -8.5, 0.0, 2.0, 2.49, 2.51, 4.0])
def test_there_is_a_finding_exactly_where_the_greatest_score_is_above_the_point(threshold):
    scores, reach = answer((3.0, (8, 8, 40, 40)))
    assert bool(found(scores, reach, above=threshold)) == bool(scores.max() > threshold)


def test_boxes_lie_on_the_film_that_was_trimmed_padded_and_shrunk():
    film = np.zeros((400, 900), np.uint8)
    film[50:350, 100:900] = 100
    film[150:200, 500:600] = 255
    prepared = prepare(Image.from_array(film), PrepareSpec(size=SIZE, trim_border=True, aspect="pad"))
    bright = np.argwhere(prepared.pixels[..., 0] > 180)
    (top, left), (bottom, right) = bright.min(axis=0), bright.max(axis=0) + 1
    scores, reach = answer((4.0, (left - 6, top - 6, right + 6, bottom + 6)))  # wide enough to hold centres of cells
    (one,) = found(scores, reach, shown=prepared.box, image_size=(900, 400))
    x, y, wide, high = one.box
    margin = 6 * (prepared.box[2] - prepared.box[0]) / SIZE
    assert (x + margin, y + margin) == pytest.approx((500, 150), abs=8)
    assert (wide - 2 * margin, high - 2 * margin) == pytest.approx((100, 50), abs=16)


def test_boxes_end_at_the_border_and_never_vanish():
    scores, reach = answer((4.0, (-20, -20, 30, 30)), (2.0, (90, 90, 126, 126)))
    inside, outside = found(scores, reach, shown=(0.0, 0.0, 100.0, 100.0), image_size=(100, 60))
    assert inside.box[:2] == (0, 0)
    assert inside.box[2] < 25
    x, y, wide, high = outside.box  # all of it lies in the padding below the image
    assert (y, high) == (59.0, 1.0)
    assert x + wide <= 100


def test_not_more_than_are_asked_for_and_as_numbers_for_json():
    scores, reach = answer((3.0, (8, 8, 40, 40)), (5.0, (70, 80, 120, 112)))
    (one,) = found(scores, reach, most=1)
    told = Finding(one.box, 0.93, "fracture").to_dict()
    assert told["score"] == 0.93
    assert told["label"] == "fracture"
    assert told["box"] == pytest.approx([70, 80, 50, 32], abs=0.1)


def test_overlap_is_of_what_both_cover():
    others = np.array([[0.0, 0, 10, 10], [5, 0, 15, 10], [20, 0, 30, 10], [3, 3, 3, 3]])
    assert overlaps(others[0], others) == pytest.approx([1, 1 / 3, 0, 0])
    assert overlaps(others[3], others)[3] == 1  # of an empty box with itself: it is suppressed with itself


def test_the_sides_are_those_that_agreeing_cells_give():
    boxes = np.array([[0.0, 0, 10, 10], [1, 0, 11, 10], [40, 40, 50, 50]])
    kept = suppressed(boxes, np.array([2.0, 2.0, 1.0]), most=9)
    assert [number for number, _ in kept] == [0, 2]
    assert kept[0][1] == pytest.approx([0.5, 0, 10.5, 10])


def test_a_weaker_box_may_reach_into_a_stronger_one_but_not_lie_in_it():
    strong = (0.0, 0.0, 40.0, 40.0)
    for other, apart in (
        ((10.0, 10.0, 50.0, 50.0), False),  # centred in it, a third shared
        ((15.0, 15.0, 25.0, 25.0), False),  # small, within it
        ((18.0, 0.0, 58.0, 40.0), False),  # centred in it, 0.38 shared
        ((24.0, 0.0, 64.0, 40.0), True),  # reaches in, its middle is outside
        ((0.0, -30.0, 40.0, 60.0), False),  # centred in it, larger
    ):
        kept = suppressed(np.array([strong, other]), np.array([2.0, 1.0]), most=20)
        assert [number for number, _ in kept] == ([0, 1] if apart else [0]), other
