"""docs/explanation/federated.md says what federated.json says, and its arithmetic is right."""

from pathlib import Path

import pytest
from benchmarks import _federated, federated


def _row(way, seed, here, there, *, sites=("here", "there"), elsewhere=0.6, **more):
    areas = {"here": here, "there": there, "far": elsewhere}
    roc_auc = {
        name: {"value": value, "low": value - 0.1, "high": value + 0.1, "n": 50} for name, value in areas.items()
    }
    row = {"task": "tuberculosis", "seed": seed, "way": way, "model": "lenet", "sites": list(sites), "seconds": 1.0}
    return row | {"images_seen": 22_300, "roc_auc": roc_auc} | more


TOGETHER = {"rounds": 50, "bytes_a_round": 1_600_000, "processor_seconds_a_round": 0.25, "epsilon": None}
FOUND = {
    "date": "2026-01-01",
    "command": "python -m benchmarks.federated",
    "machine": {"cores": 2, "machine": "x86_64"},
    "runs": [
        _row("here alone", 0, 0.8, 0.5, sites=["here"]),
        _row("there alone", 0, 0.5, 0.7, sites=["there"]),
        _row("fedavg", 0, 0.81, 0.75, **TOGETHER),
        _row("pooled", 0, 0.8, 0.8),
        _row("fedavg", 1, 0.83, 0.75, **TOGETHER),
        _row("pooled", 1, 0.8, 0.8),
        _row("fedavg, central privacy", 0, 0.5, 0.5, **TOGETHER | {"epsilon": 1234.5}),
        _row("pooled, capsule", 0, 0.9, 0.9, elsewhere=0.7),
        _row("fedbn, capsule", 0, 0.9, 0.8, elsewhere=0.7, **TOGETHER,
             own_layers={"here": {"value": 0.91, "low": 0.8, "high": 0.95, "n": 50}}),
    ],
}  # fmt: skip


def test_together_is_compared_with_pooled_seed_by_seed_and_network_by_network() -> None:
    rows = FOUND["runs"]
    assert _federated.places_of(rows, "tuberculosis") == (["here", "there"], ["far"])
    assert _federated.gap(rows, "tuberculosis", "fedavg", ["here"]) == pytest.approx(0.02)
    assert _federated.gap(rows, "tuberculosis", "fedavg", ["here", "there"]) == pytest.approx(-0.015)
    assert _federated.gap(rows, "tuberculosis", "fedbn, capsule", ["here", "there"]) == pytest.approx(-0.05)
    assert _federated.gap(rows, "tuberculosis", "krum", ["here"]) is None


def test_the_tables_say_yes_or_no_and_what_a_round_costs() -> None:
    text = _federated.tables(FOUND)
    assert "tuberculosis **yes** (-0.015). At hospitals that taught nothing: tuberculosis +0.000." in text
    assert (
        "| here (50) | here 0.800 (0.70–0.90); there 0.500 (0.40–0.60) | 0.820 (0.810–0.830) | – | – | 0.800 (0."
        in text
    )
    assert "| tuberculosis | far, taught nothing (50) |" in text
    assert "| tuberculosis | fedavg | -0.015 | +0.000 | 50 | 80 MB | 12 s | – | 2 |" in text
    assert "| fedavg, central privacy | -0.300 | +0.000 | 50 | 80 MB | 12 s | 1,234 | 1 |" in text
    assert "tuberculosis, here: 0.910 (0.80–0.95)." in text
    assert "- fracture\n- brain-tumour\n" in text
    assert "- tuberculosis: fedsgd; fednova; fedprox;" in text
    assert "fedbn, capsule;" not in text
    assert "second seed" not in text
    worse = {**FOUND, "runs": [row for row in FOUND["runs"] if row["seed"] == 0]}
    assert "tuberculosis **yes** (-0.020)" in _federated.tables(worse)
    assert "; a second seed\n" in _federated.tables(worse)


def test_sites_of_one_class_stand_beside_the_two_hospitals_and_are_compared_with_all_of_them_pooled() -> None:
    assert "Collections of one class" not in _federated.tables(FOUND)
    rows = [
        *FOUND["runs"],
        _row("fedavg, lesion-lite0", 0, 0.85, 0.83, **TOGETHER),
        _row("pooled, lesion-lite0", 0, 0.9, 0.86),
        _row("fedavg, four sites, lesion-lite0", 0, 0.8, 0.7, **TOGETHER),
        _row("pooled, four sites, lesion-lite0", 0, 0.9, 0.9),
    ]
    way = "fedavg, four sites, lesion-lite0"
    assert _federated.gap(rows, "tuberculosis", way, ["here", "there"]) == pytest.approx(-0.15)
    text = _federated.tables({**FOUND, "runs": rows})
    together = "| FedAvg | with nih and tbx11k, by their lesions alone | 0.800 (0.70–0.90) | 0.700 (0.60–0.80) |"
    assert together in text
    assert "| FedAvg | two hospitals | 0.850 (0.75–0.95) |" in text
    plan = federated.plan_of("tuberculosis", 0, federated.HEAVY[way])
    assert (plan.sites, plan.load_recipe().lesion_weight) == (4, 1)
    assert plan.load_recipe().lesions_from == ("localisation", "external-negatives")


def test_the_page_is_made_anew_between_its_marks(tmp_path: Path) -> None:
    text = "before\n<!-- federated:begin -->\nold\n<!-- federated:end -->\nafter\n"
    once = _federated.page(text, FOUND)
    assert once == _federated.page(once, FOUND)
    assert "old" not in once
    assert once.startswith("before\n")
    assert once.endswith("<!-- federated:end -->\nafter\n")
    _federated.plot(FOUND, tmp_path / "federated.png")
    assert (tmp_path / "federated.png").read_bytes().startswith(b"\x89PNG")


def test_docs_federated_says_what_was_measured() -> None:
    found, probe = _federated.sources()
    text = _federated.PAGE.read_text(encoding="utf-8")
    assert text == _federated.page(text, found, probe)
    if found is None or probe is None:
        pytest.skip("federated was not measured yet: `make federated`")
    assert "**yes**" in text or "**no**" in text
    assert _federated.PLOT.exists()
    assert all(row["images_seen"] > 0 for row in found["runs"])


def test_the_most_telling_rows_come_first_and_everyone_sees_as_many_images() -> None:
    planned = list(federated.order(list(federated.QUESTIONS), [0, 1, 2]))
    assert len(set(planned)) == len(planned)
    first = planned[: len(federated.QUESTIONS) * len(federated.MAIN)]
    assert {way for _, _, way in first} == set(federated.MAIN)
    assert {seed for seed, _, _ in first} == {0}
    others = [seed for seed, _, way in planned if way not in federated.MAIN]
    assert others == sorted(others)
    usual = federated.plan_of("tuberculosis", 0, {})
    for fields in federated.WAYS.values():
        plan = federated.plan_of("tuberculosis", 0, fields)
        assert plan.epochs_after(plan.rounds) == usual.rounds
        assert plan.load_recipe() == usual.load_recipe()
    private = federated.plan_of("tuberculosis", 0, {"epsilon": 8.0})
    assert private.privacy.epsilon(private.rounds) == pytest.approx(8)
