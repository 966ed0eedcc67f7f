"""Plots: a PNG for any data that can be measured."""

import numpy as np
import pytest

from secondread.evidence.plots import pr_plot, reliability_plot, roc_plot, swept
from secondread.images import decode
from secondread.stats.calibration import reliability

Y = np.array([False, False, True, True, False, True])
P = np.array([0.1, 0.4, 0.4, 0.8, 0.2, 0.9])


@pytest.mark.parametrize("draw", [roc_plot, pr_plot])
@pytest.mark.parametrize("threshold", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("probabilities", [P, np.full(6, 0.5)])
def test_curves_are_drawn_for_any_threshold_and_for_ties(draw, threshold, probabilities):
    picture = decode(draw(Y, probabilities, threshold=threshold, title="a title"))
    assert picture.width > 600
    assert picture.pixels.std() > 5


def test_reliability_is_drawn():
    assert decode(reliability_plot(reliability(Y, P), title="a title", error=0.1)).width > 600


def test_curves_start_with_no_image_and_end_with_all():
    false_alarms, found = swept(Y, P)
    assert (false_alarms[0], found[0], false_alarms[-1], found[-1]) == (0, 0, 1, 1)
    assert len(found) == 1 + len(set(P)), "equal probabilities are one step"
