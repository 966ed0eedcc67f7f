"""What the measured heat maps amount to, in sentences, for the page and the card."""

from collections.abc import Mapping
from typing import Any

WHAT_A_HEAT_MAP_IS_NOT = (
    "A heat map shows which coarse cells of the image moved this network's answer. It is not an outline of disease, "
    "not a measurement, and no proof that the answer rests on the right thing: a correct answer can come with a map "
    "that points elsewhere, and a convincing map with a wrong answer."
)
TITLES = {
    "pointing": "pointing game (maximum inside the lesion or within 3 % of the image's longer side)",
    "pointing_exact": "pointing game, no tolerance",
    "energy": "energy inside the lesion (share of the map's sum)",
}
GUESSES = {
    "centre": "the centre of the image",
    "uniform": "a random point (a uniform map)",
    "body": "a random point of the body",
}


def heatmap_in_words(table: Mapping[str, Any]) -> list[str]:
    """Sentences on one split's `heatmap`: localisation, what is outside the body, the sanity test. May be empty."""
    said = []
    if table["n"]:
        said.append(_localisation(table))
    if (outside := table["outside_body"])["n"]:
        share, uniform = outside["share"]["value"], outside["uniform"]["value"]
        said.append(
            f"Outside the body lies {share:.1%} of the map, and {uniform:.1%} of the image (n = {outside['n']:,})."
        )
    if table["randomised_weights"]:
        said.append(_sanity(table["randomised_weights"]))
    return said


def _localisation(table: Mapping[str, Any]) -> str:
    found = table["measures"]["pointing"]
    own = found["map"]["value"]
    best = max(GUESSES, key=lambda name: found[name]["value"])
    guess, gain = f"{GUESSES[best]} ({found[best]['value']:.1%})", found["gain"]
    start = f"The map's maximum meets the lesion in {own:.1%} of {table['n']:,} diseased images"
    if gain["low"] > 0:
        return f"{start}, more often than the best blind guess, {guess}."
    if gain["high"] < 0:
        return f"{start}, less often than the best blind guess, {guess}: it must not be used to find a lesion."
    return f"{start}; whether that is more often than the best blind guess, {guess}, so few groups cannot tell."


def _sanity(test: Mapping[str, Any]) -> str:
    """Nobody agreed on a limit for this test, so it says what was found beside what would be found."""
    correlation, gain = test["rank_correlation"], test["energy_gain"]
    start = f"With all weights shuffled ({len(test['random_states'])} times, n = {test['n']:,})"
    if correlation["value"] is None:
        return f"{start} no map was left to compare."
    near = "nearer the lesion" if gain["low"] > 0 else "away from the lesion" if gain["high"] < 0 else ""
    moved = f"brought the map {near}" if near else "not brought the map nearer the lesion"
    return (
        f"{start} the maps' rank correlation with the learnt ones is {correlation['value']:.2f}, where 1 would mean "
        f"that the map does not depend on what was learnt. {test['energy']['value']:.1%} of the learnt maps and "
        f"{test['energy_randomised']['value']:.1%} of the shuffled ones lie in the lesion: learning has {moved}."
    )
