"""Splits: groups whole, classes in proportion, the same draw whatever the order of rows."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secondread.data import Manifest, split
from secondread.data.split import with_validation
from secondread.errors import DataInvalid, UsageError
from tests.data.folders import rows_of


def crowd(n_groups: int, *, random_state: int, sources: int = 1) -> Manifest:
    """Groups of 1 to 8 images; half of the groups hold both classes."""
    rng = np.random.default_rng(random_state)
    facts = []
    for number in range(n_groups):
        labels = rng.integers(0, 2, rng.integers(1, 9)) if number % 2 else [number // 2 % 2] * int(rng.integers(1, 9))
        facts += [{"label": int(y), "group": f"g{number}", "source": f"s{number % sources}"} for y in labels]
    return rows_of(*facts)


def splits_by_group(manifest: Manifest) -> dict[str, set[str]]:
    where: dict[str, set[str]] = {}
    for name, row in zip(manifest.groups, manifest.rows, strict=True):
        where.setdefault(name, set()).add(row.split)
    return where


@given(n_groups=st.integers(12, 60), seed=st.integers(0, 2**16))
@settings(max_examples=60, deadline=None)
def test_a_group_is_never_divided_and_every_split_has_both_classes(n_groups: int, seed: int) -> None:
    done = split(crowd(n_groups, random_state=seed), random_state=seed)
    assert all(len(splits) == 1 for splits in splits_by_group(done).values())
    assert all(set(done.split(name).labels) == {False, True} for name in ("train", "val", "test"))


@given(
    patients=st.lists(
        st.tuples(st.integers(0, 1), st.sampled_from("abcdefgh"), st.sampled_from(["", "x", "y"])), max_size=30
    )
)
@settings(max_examples=100, deadline=None)
def test_any_table_is_split_whole_or_refused(patients: list[tuple[int, str, str]]) -> None:
    manifest = rows_of(*({"label": y, "patient": p, "group": g} for y, p, g in patients))
    try:
        done = split(manifest)
    except DataInvalid:
        by_class = [
            {g for g, row in zip(manifest.groups, manifest.rows, strict=True) if row.label == y} for y in (0, 1)
        ]
        assert min(map(len, by_class)) < 3
        return
    assert all(len(splits) == 1 for splits in splits_by_group(done).values())


@pytest.mark.parametrize("fractions", [(0.7, 0.1, 0.2), (0.8, 0.1, 0.1), (0.5, 0.25, 0.25), (0.8, 0.2, 0), (1, 0, 0)])
def test_every_source_and_class_is_shared_out_in_proportion(fractions: tuple[float, float, float]) -> None:
    manifest = crowd(400, random_state=3, sources=3)
    done = split(manifest, fractions=fractions)
    totals = Counter((row.source, row.label) for row in done.rows)
    for name, fraction in zip(("train", "val", "test"), fractions, strict=True):
        found = Counter((row.source, row.label) for row in done.rows if row.split == name)
        for stratum, total in totals.items():
            assert found[stratum] == pytest.approx(fraction * total, abs=8)  # the size of the largest group


def test_large_groups_do_not_all_go_to_train() -> None:
    done = split(crowd(600, random_state=1))
    sizes = Counter(done.groups)
    mean = {
        name: np.mean([sizes[group] for group in set(done.split(name).groups)]) for name in ("train", "val", "test")
    }
    assert max(mean.values()) < 1.25 * min(mean.values())


def test_the_order_of_rows_does_not_matter() -> None:
    manifest = crowd(40, random_state=5)
    shuffled = replace(
        manifest, rows=tuple(manifest.rows[n] for n in np.random.default_rng(0).permutation(len(manifest)))
    )
    straight = {row.name: row.split for row in split(manifest).rows}
    assert {row.name: row.split for row in split(shuffled).rows} == straight


def test_random_state_decides_the_draw() -> None:
    manifest = crowd(40, random_state=5)
    assert split(manifest, random_state=1) == split(manifest, random_state=1)
    assert split(manifest, random_state=1) != split(manifest, random_state=2)


def test_rows_of_other_hospitals_stay_where_they_are() -> None:
    kept = ["external", "external-negatives", "localisation"]
    free = crowd(20, random_state=0)
    extra = rows_of(*({"split": name, "group": f"k-{name}", "label": 1} for name in kept))
    done = split(Manifest(free.rows + extra.rows, free.folder))
    assert [row.split for row in done.rows[-3:]] == kept
    assert all(row.split in ("train", "val", "test") for row in done.rows[:-3])


def test_a_group_partly_kept_is_refused() -> None:
    rows = crowd(20, random_state=0).rows
    torn = (replace(rows[0], split="external"), *rows[1:])
    if rows[1].group != rows[0].group:
        torn = (*torn, replace(rows[0], name="again", split=""))
    with pytest.raises(DataInvalid, match="'g0' is partly in a split that is kept"):
        split(Manifest(torn, rows[0].path.parent))


@pytest.mark.parametrize("positives", [0, 1, 2])
def test_too_few_groups_of_a_class_are_refused(positives: int) -> None:
    facts = [{"label": 0} for _ in range(9)]
    facts += [{"label": 1, "group": f"g{n % positives}"} for n in range(9)] if positives else []
    with pytest.raises(DataInvalid, match=f"label 1 has {positives} groups, too few for 3 splits"):
        split(rows_of(*facts))


@pytest.mark.parametrize("fractions", [(0.5, 0.5), (0.7, 0.1, 0.1), (0, 0.5, 0.5), (1.2, -0.2, 0), (70, 10, 20)])
def test_impossible_fractions_are_refused(fractions: tuple[float, ...]) -> None:
    with pytest.raises(UsageError, match="sum to 1"):
        split(crowd(20, random_state=0), fractions=fractions)


def test_a_fifth_of_the_groups_of_a_source_without_validation_rows_validates() -> None:
    """The same groups every time, none divided; every other row keeps its split."""
    done = split(crowd(120, random_state=1, sources=2), fractions=(0.8, 0, 0.2))
    own = [replace(row, split="val") if row.split == "test" and row.source == "s1" else row for row in done.rows]
    manifest = Manifest(tuple(own), done.folder)
    moved = with_validation(manifest, ["s0"])
    assert moved.rows == with_validation(manifest, ["s0"]).rows
    changed = [(old, new) for old, new in zip(manifest.rows, moved.rows, strict=True) if old != new]
    assert {(old.source, old.split, new.split) for old, new in changed} == {("s0", "train", "val")}
    assert all(len(splits) == 1 for splits in splits_by_group(moved).values())
    groups = {name for name, row in zip(manifest.groups, manifest.rows, strict=True) if row.source == "s0"}
    validate = {name for name in groups if "val" in splits_by_group(moved)[name]}
    assert 0.1 < len(validate) / len(groups) < 0.3
    assert with_validation(manifest, []) is manifest


@pytest.mark.parametrize(("source", "says"), [("s1", "validation rows of its own"), ("s2", "no training rows")])
def test_a_source_that_cannot_give_validation_rows_is_named(source: str, says: str) -> None:
    done = split(crowd(60, random_state=1, sources=2))
    with pytest.raises(DataInvalid, match=f"'{source}' has {says}"):
        with_validation(done, [source])
