"""The two quantiles that a reading's interval needs, against SciPy's."""

import numpy as np
import pytest
from scipy.special import betaincinv, stdtrit

from secondread.stats.beta import beta_cdf, beta_quantile, t_quantile

SIZES = (0.2, 0.5, 1.0, 3.7, 40.0, 900.0, 20_000.0)
CHANCES = (0.0005, 0.025, 0.05, 0.3, 0.5, 0.9, 0.975)


@pytest.mark.parametrize("a", SIZES)
@pytest.mark.parametrize("b", SIZES)
def test_beta_quantiles_are_those_of_scipy(a, b):
    ours = [beta_quantile(a, b, chance) for chance in CHANCES]
    np.testing.assert_allclose(ours, betaincinv(a, b, CHANCES), rtol=1e-8)


@pytest.mark.parametrize("freedom", [1, 2, 5, 30, 400, 100_000])
def test_quantiles_of_t_are_those_of_scipy(freedom):
    ours = [t_quantile(freedom, chance) for chance in CHANCES]
    np.testing.assert_allclose(ours, stdtrit(freedom, CHANCES), rtol=1e-8, atol=1e-12)


def test_a_quantile_is_where_the_law_reaches_its_chance():
    rng = np.random.default_rng(0)
    for a, b in np.exp(rng.uniform(np.log(0.3), np.log(5000), (60, 2))):
        for chance in CHANCES:
            assert beta_cdf(a, b, beta_quantile(a, b, chance)) == pytest.approx(chance, abs=1e-9)


def test_the_ends_of_the_scale_are_the_ends_of_the_law():
    assert (beta_quantile(3, 4, 0), beta_quantile(3, 4, 1)) == (0, 1)
    assert (beta_cdf(3, 4, 0), beta_cdf(3, 4, 1)) == (0, 1)
    assert t_quantile(7, 1) == float("inf")
