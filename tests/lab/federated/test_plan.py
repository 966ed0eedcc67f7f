"""What sites agree on."""

import pytest

from secondread.errors import DataInvalid, UnknownName, UsageError
from secondread.lab.federated.plan import Plan
from secondread.lab.federated.privacy import Privacy


def test_a_plan_comes_back_as_it_was_sent():
    plan = Plan("tuberculosis", "lenet", 4, changes=("learning_rate=0.002",), secure=True, sites=3,
                privacy=Privacy("central", 1.0, 0.5))  # fmt: skip
    assert Plan.from_json(plan.to_json()) == plan
    assert Plan.from_json(plan.to_json()).fingerprint() == plan.fingerprint()


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"task": "tuberculosis", "privacy": null, "changes": [], "x": 1}'])
def test_what_is_no_plan_of_this_version_is_told(text):
    with pytest.raises(DataInvalid, match="same version"):
        Plan.from_json(text)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"secure": True}, "three sites"),
        ({"secure": True, "sites": 3, "strategy": "krum"}, "must see every"),
        ({"secure": True, "sites": 3, "strategy": "trimmed"}, "must see every"),
        ({"secure": True, "sites": 3, "strategy": "fedbn"}, "single sites"),
        ({"secure": True, "sites": 3, "strategy": "fednova"}, "by its steps"),
        ({"strategy": "fednova", "privacy": Privacy("central", 1, 1)}, "not known"),
        ({"strategy": "krum", "privacy": Privacy("local", 1, 1)}, "not known"),
        ({"sites": 1}, "sites must be 2"),
        ({"local_epochs": 0}, "local epochs must be 1"),
        ({"rounds_per_epoch": 3}, "of fedsgd"),
        ({"rounds_per_epoch": 2, "strategy": "fedsgd"}, "no whole epochs"),
        ({"rounds_per_epoch": 3, "strategy": "fedsgd", "local_epochs": 2}, "is one step"),
    ],
)
def test_what_cannot_go_together_is_refused(fields, why):
    with pytest.raises(UsageError, match=why):
        Plan("tuberculosis", "lenet", 3, **fields)


def test_an_unknown_strategy_is_told_the_nearest():
    with pytest.raises(UnknownName, match="fedavg"):
        Plan("tuberculosis", "lenet", 3, strategy="fedavgg")


def test_a_server_cannot_make_a_site_open_a_file():
    with pytest.raises(UsageError, match="sends the weights"):
        Plan("tuberculosis", "lenet", 3, changes=("weights=/etc/passwd",)).load_recipe()


def test_the_recipe_runs_over_all_rounds():
    plan = Plan("tuberculosis", "lenet", 5, local_epochs=3, changes=("ema_decay=0.9",))
    assert (plan.load_recipe().epochs, plan.load_recipe().ema_decay) == (15, 0.0)
    assert [number for turn in range(1, 6) for number in plan.epochs_of(turn)] == list(range(1, 16))


def test_a_round_of_fedsgd_is_a_part_of_an_epoch_and_validation_looks_at_its_end():
    plan = Plan("tuberculosis", "lenet", 12, strategy="fedsgd", rounds_per_epoch=4)
    assert plan.load_recipe().epochs == 3
    assert [list(plan.epochs_of(turn)) for turn in (1, 4, 5, 12)] == [[1], [1], [2], [3]]
    assert [plan.part_of(turn) for turn in (1, 4, 5, 12)] == [0, 3, 0, 3]
    assert [turn for turn in range(1, 13) if plan.is_scored(turn)] == [4, 8, 12]
