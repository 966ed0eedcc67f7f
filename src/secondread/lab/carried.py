"""A table of hospitals left out, put into the evidence of the bundle that was built of its plan; and of no other."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from secondread.errors import UsageError
from secondread.evidence.card import keep_held_out
from secondread.evidence.held_out import held_out_section
from secondread.reading import Bundle
from secondread.stats.margins import POINTS

_FLATTERS = (
    "Thresholds have the recipe's margin; where it was chosen on these hospitals, what they show at it flatters."
)


def keep_in(bundle: Bundle, table: Mapping[str, Any]) -> None:
    """Put a table of one plan into the evidence of the bundle that was made of it, and write its card anew.

    Raises UsageError where `must_be_made_of` does, or where it has no evidence.
    """
    if len(table["plans"]) != 1:
        raise UsageError("a bundle is made of one plan: leave hospitals out with that one alone")
    (plan,) = table["plans"]
    must_be_made_of(bundle, plan["name"], plan["members"], plan.get("margin", {}))
    section = held_out_section(
        plan["hospitals"],
        recipe=f"`{plan['name']}`: {' + '.join(_models(bundle))}",
        date=table["date"],
        command=table["command"],
        fingerprint=table["data"]["fingerprint"],
        note=_FLATTERS if any(plan.get("margin", {}).values()) else "",
    )
    keep_held_out(bundle, section)


def must_be_made_of(
    bundle: Bundle, name: str, members: Sequence[Mapping[str, Any]], margin: Mapping[str, float]
) -> None:
    """members: of the plan of that name, each with its model and recipe; margin: of its operating points. Raises
    UsageError for other networks, networks of other recipes, or other margins."""
    recipes = [dict(one.recipe) for one in (member.training for member in bundle.members)] or [
        dict(bundle.training.recipe)
    ]
    if list(zip(_models(bundle), recipes, strict=False)) != _as_kept(members):
        raise UsageError(
            f"{bundle.id} was trained by other recipes than '{name}' names: what was measured is not said of it"
        )
    points = bundle.operating_points
    for point in POINTS:
        has = max((told.margin for told in points[point].guarantees), default=0.0) if point in points else 0.0
        if has != margin.get(point, 0.0):
            raise UsageError(
                f"{point} of {bundle.id} has a margin of {has:g} logits, in '{name}' it is {margin.get(point, 0.0):g}: "
                "what was measured is not said of it; build it anew with this plan"
            )


def _models(bundle: Bundle) -> list[str]:
    """Of what answers: one that has learnt to draw answers as before."""
    models = bundle.model.architecture.split(" + ")
    draws = "boxes" in bundle.record["training"]
    return [name.removesuffix("-boxes") for name in models] if draws else models


def _as_kept(members: Sequence[Mapping[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    """Networks and recipes as a bundle's record holds them: tuples became lists there."""
    return [(member["model"], json.loads(json.dumps(member["recipe"]))) for member in members]
