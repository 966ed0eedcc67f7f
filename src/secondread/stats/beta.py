"""Quantiles of the beta law and of Student's t, for one interval while somebody waits: SciPy takes longer to import."""

from math import exp, inf, lgamma, log, log1p, sqrt

_TINY = 1e-300
_CLOSE = 1e-15  # relative change at which a series or a search has arrived
_MOST_STEPS = 100_000
_MOST_HALVINGS = 1100  # from 1 to the least number that there is


def beta_quantile(a: float, b: float, probability: float) -> float:
    """x with I_x(a, b) = probability, which lies in 0–1; a and b above 0. As scipy.special.betaincinv."""
    a, b = float(a), float(b)  # NumPy's numbers would warn where these overflow
    if probability <= 0 or probability >= 1:
        return float(probability > 0)
    below, above = 0.0, 1.0
    x = a / (a + b)
    for _ in range(_MOST_HALVINGS):  # Newton's steps; halving where one would leave what holds the answer
        too_much = beta_cdf(a, b, x) - probability
        if too_much > 0:
            above = x
        else:
            below = x
        density = exp(_log_weight(a, b, x)) / (x * (1 - x))
        step = too_much / density if density > 0 else inf
        following = x - step if below < x - step < above else (below + above) / 2
        if abs(following - x) <= _CLOSE * following:
            return following
        x = following
    return x


def t_quantile(freedom: float, probability: float) -> float:
    """The quantile of Student's t of so many degrees of freedom. As scipy.special.stdtrit."""
    if probability < 0.5:
        return -t_quantile(freedom, 1 - probability)
    share = beta_quantile(0.5, freedom / 2, 2 * probability - 1)  # of t² in t² + freedom
    return sqrt(freedom * share / (1 - share)) if share < 1 else inf


def beta_cdf(a: float, b: float, x: float) -> float:
    """I_x(a, b), the regularised incomplete beta function, by its continued fraction (DLMF 8.17.22)."""
    if x <= 0 or x >= 1:
        return float(x > 0)
    if x > (a + 1) / (a + b + 2):  # where the fraction of the other tail arrives sooner
        return 1 - beta_cdf(b, a, 1 - x)
    c, d = 1.0, 1 / _not_zero(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, _MOST_STEPS):  # modified Lentz: two terms at a time
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d, c = 1 / _not_zero(1 + term * d), _not_zero(1 + term / c)
            value *= d * c
        if abs(d * c - 1) < _CLOSE:
            break
    return exp(_log_weight(a, b, x)) * value / a


def _log_weight(a: float, b: float, x: float) -> float:
    """Logarithm of x^a (1 − x)^b / B(a, b)."""
    return lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x)


def _not_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
