"""What the gate is trained on: its pictures, how they are varied, and what is left out to measure it."""

import numpy as np
import pytest
import torch

from secondread.data import load_data
from secondread.data.split import part_of
from secondread.errors import DataInvalid
from secondread.testing.phantoms import bone_phantom, brain_phantom, chest_phantom, encode
from secondread.training.gate import Plan, finish_gate, kinds_of, left_out, train_gate
from secondread.training.gate_batches import turned
from secondread.training.gate_data import SIDE, Pictures, gather, pack, unpack, upright
from secondread.training.gate_thresholds import Scores, held_out, named, thresholds
from secondread.training.gate_vary import ANY, UPRIGHT, Vary, invert, turn

FILM = torch.from_numpy(chest_phantom(64, random_state=1)).float()[None, None].expand(1, 3, 64, 64) / 255
WHOLE = torch.ones(1, 2)


@pytest.mark.parametrize(
    ("split", "part"), [("train", "train"), ("val", "val"), ("test", "test"), ("external", "test")]
)
def test_a_split_serves_one_purpose(split, part):
    assert {part_of(split, f"patient {number}") for number in range(50)} == {part}


def test_a_shared_collection_is_divided_by_group():
    parts = [part_of("localisation", f"patient {number}") for number in range(3000)]
    shares = {part: parts.count(part) / len(parts) for part in ("train", "val", "test")}
    assert shares == pytest.approx({"train": 0.6, "val": 0.2, "test": 0.2}, abs=0.03)
    assert parts == [part_of("localisation", f"patient {number}") for number in range(3000)]


@pytest.mark.parametrize("whole", [True, False])
def test_inverting_twice_gives_the_picture_back(whole):
    extents, whole = torch.tensor([[1.0, 0.6]]), torch.tensor([whole])
    assert torch.allclose(invert(invert(FILM, extents, whole), extents, whole), FILM)


def test_padding_stays_black_when_what_it_surrounds_is_inverted():
    padded = FILM.clone()
    padded[..., :12], padded[..., 52:] = 0, 0
    extents = torch.tensor([[1.0, 40 / 64]])
    inverted = invert(padded, extents, torch.tensor([False]))
    assert inverted[..., :11].max() == inverted[..., 53:].max() == 0
    assert torch.allclose(inverted[..., 13:51], 1 - padded[..., 13:51])
    assert invert(padded, extents, torch.tensor([True]))[..., :11].min() == 1


def test_a_picture_lies_in_eight_ways_and_two_of_them_are_upright():
    ways = turn(FILM.expand(8, -1, -1, -1), torch.arange(8))
    assert torch.equal(ways[0], FILM[0])
    assert torch.equal(ways[4], FILM[0].flip(2))
    assert torch.equal(ways[6], FILM[0].flip(1))  # mirrored and turned by half: upside down
    assert len({way.numpy().tobytes() for way in ways}) == 8


def test_what_is_turned_is_never_upright_and_carries_its_padding_along():
    films, extents = FILM.expand(64, -1, -1, -1), torch.tensor([[1.0, 0.5]]).expand(64, 2)
    chosen = torch.arange(64) % 2 == 0
    seen, after = turned(films, extents, chosen, Vary(random_state=0))
    for number in range(64):
        upright_ones = any(torch.equal(seen[number], way) for way in (FILM[0], FILM[0].flip(2)))
        assert upright_ones == (number % 2 == 1)
    assert torch.equal(after[1::2], extents[1::2])
    assert {tuple(row) for row in after[::2].tolist()} == {(1.0, 0.5), (0.5, 1.0)}


def test_varied_pictures_are_others_of_the_same_shape_and_the_seed_decides_which():
    films, extents, turns = FILM.expand(6, -1, -1, -1), WHOLE.expand(6, 2), torch.full((6,), ANY)
    first, again, other = (Vary(random_state=seed)(films, extents, turns) for seed in (1, 1, 2))
    assert first.shape == films.shape
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert 0 <= first.min() <= first.max() <= 1
    assert len({picture.numpy().tobytes() for picture in first}) == 6


def test_a_film_that_may_not_be_turned_stays_upright():
    """Bright above and dark below: so it stays, whatever else varies, unless any turn is allowed."""
    half = torch.zeros(200, 3, 48, 48)
    half[:, :, :24] = 1
    extents = torch.ones(200, 2)
    kept = Vary(random_state=0)(half, extents, torch.full((200,), UPRIGHT))
    free = Vary(random_state=0)(half, extents, torch.full((200,), ANY))
    above = [
        (seen[:, :, 16:24].mean((1, 2, 3)) > seen[:, :, 24:32].mean((1, 2, 3))).float().mean() for seen in (kept, free)
    ]
    assert above[0] > 0.9
    assert above[1] < 0.8


def test_films_of_a_task_that_is_not_flipped_upside_down_stand_upright():
    assert upright(["brain-tumour", "fracture", "tuberculosis"]) == ["tuberculosis"]


DRAW = {"brain-tumour": brain_phantom, "fracture": bone_phantom, "tuberculosis": chest_phantom}


@pytest.fixture(scope="module")
def manifests(tmp_path_factory):
    """Three tasks of 12 pictures of two hospitals, beside the gate's own collection of one film and one CT slice."""
    folder = tmp_path_factory.mktemp("data")
    for task, draw in DRAW.items():
        (folder / task).mkdir()
        rows = ["path,label,source,split"]
        for number in range(12):
            (folder / task / f"{number}.png").write_bytes(encode(draw(80, random_state=number), "PNG"))
            split = "test" if number == 11 else "val" if number > 8 else "train"
            rows.append(f"{number}.png,{number % 2},{task}{number % 3 // 2},{split}")
        (folder / task / "manifest.csv").write_text("\n".join(rows) + "\n")
    (folder / "gate").mkdir()
    rows = ["path,kind,right_for,source,split"]
    for number in range(4):
        (folder / "gate" / f"{number}.png").write_bytes(encode(bone_phantom(70, random_state=number), "PNG"))
        rows.append(
            f"{number}.png,{'CT knee' if number % 2 else 'hand film'},{'' if number % 2 else 'fracture'},far,train"
        )
    (folder / "gate" / "manifest.csv").write_text("\n".join(rows) + "\n")
    return {task: load_data(folder / task / "manifest.csv") for task in DRAW}


@pytest.fixture(scope="module")
def pictures(manifests):
    extra = manifests["fracture"].folder.parent / "gate" / "manifest.csv"
    return gather(manifests, extra, n_outliers=16)


def test_test_pictures_teach_nothing_and_the_gates_own_collection_says_what_it_shows(pictures):
    assert len(pictures) == 3 * 11 + 4 + 16
    assert set(pictures.parts) == {"train", "val", "gate"}
    own = pictures.take(pictures.parts == "gate")
    assert sorted(zip(own.kinds.tolist(), own.shows.tolist(), strict=True)) == [
        ("ct", "CT knee"), ("ct", "CT knee"), ("fracture", "hand film"), ("fracture", "hand film"),
    ]  # fmt: skip


def test_a_packed_file_holds_the_same_pictures_a_little_coarser(pictures, tmp_path):
    pack(pictures, tmp_path / "gate.npz", fingerprints={"fracture": "abc"})
    found, fingerprints = unpack(tmp_path / "gate.npz")
    assert fingerprints == {"fracture": "abc"}
    assert np.abs(found.images.astype(int) - pictures.images).mean() < 12
    for name in ("extents", "kinds", "shows", "sources", "parts"):
        assert np.array_equal(getattr(found, name), getattr(pictures, name))


def test_a_file_that_is_not_packed_is_refused_with_a_sentence(tmp_path):
    (tmp_path / "gate.npz").write_bytes(b"junk")
    with pytest.raises(DataInvalid, match="secondread gate pack"):
        unpack(tmp_path / "gate.npz")


def test_a_gates_collection_without_its_columns_is_refused(tmp_path, manifests):
    (tmp_path / "manifest.csv").write_text("path,kind\na.png,CT\n")
    with pytest.raises(DataInvalid, match="right_for, source"):
        gather(manifests, tmp_path / "manifest.csv", n_outliers=1)


def test_every_source_is_left_out_once_and_every_half_of_the_gates_own(pictures):
    runs = list(left_out(pictures))
    by_source = sum(mask for what, mask in runs if what == "source")
    assert np.array_equal(by_source == 1, pictures.sources != "drawn")
    assert by_source.max() == 1
    assert np.array_equal(sum(mask for what, mask in runs if what == "half"), pictures.parts == "gate")
    for _, mask in runs:
        for task in DRAW:
            assert (pictures.kinds[~mask] == task).any()


def test_a_gate_is_trained_finished_and_measured(pictures):
    plan = Plan(steps=1, batch=8, stages=2, pretrained=False)
    lines = []
    weights, scores = train_gate(pictures, plan, on_run=lines.append)
    model, record = finish_gate(pictures, plan, weights, scores, command="here")
    assert len(lines) == 1 + len(list(left_out(pictures)))
    assert record["kinds"] == kinds_of(DRAW)
    assert record["upright"] == ["tuberculosis"]
    assert record["prepare"]["size"] == SIDE
    assert set(record["thresholds"]) == set(DRAW)
    assert len(model) > 1000
    found = held_out(pictures, scores, record)
    assert any(name.startswith("tuberculosis: its own, turned") for name in found["wrong"])
    assert not any(", turned" in name and name.startswith("fracture: its own") for name in found["wrong"])
    assert all(0 <= share["low"] <= share["value"] <= share["high"] <= 1 for share in found["right"].values())


def test_pictures_of_which_none_is_kept_aside_train_no_gate(pictures):
    with pytest.raises(DataInvalid, match="'val'"):
        train_gate(pictures.take(pictures.parts != "val"), Plan(steps=1))


def looks(probabilities, *, kinds, sources):
    """One look at each picture, its own probabilities given."""
    n = len(probabilities)
    table = np.zeros((n, len(kinds_of(DRAW))), np.float32)
    table[:, 1] = probabilities
    pictures = Pictures(
        images=np.zeros((n, 1, 1, 3), np.uint8), extents=np.ones((n, 2), np.float32), kinds=np.array(kinds),
        shows=np.array(kinds), sources=np.array(sources), parts=np.full(n, "train"),
    )  # fmt: skip
    scores = Scores(
        picture=np.arange(n), view=np.full(n, "as it is"), left_out=np.full(n, "source"), probabilities=table,
        distances=np.ones((n, 2, 3), np.float32),
    )  # fmt: skip
    return pictures, scores


def test_a_threshold_is_the_greatest_that_keeps_proper_pictures_and_sources_count_alike():
    pictures, scores = looks(
        np.array([0.8] * 900 + [0.8] * 90 + [0.3] * 10),
        kinds=["fracture"] * 1000,
        sources=["large"] * 900 + ["small"] * 100,
    )
    one = Scores(**{**vars(scores), "probabilities": scores.probabilities[:, 1:2]})
    # above 0.3 the small source keeps 90 %, and the mean of both 95 %; pooled it would be 99 %
    assert thresholds(pictures, one, ["fracture", "ct"])["fracture"]["probability"] == pytest.approx(0.3)


def test_a_kind_is_named_only_where_it_is_mostly_taken_for_it_when_it_is_so():
    kinds = kinds_of(DRAW)
    pictures, scores = looks(np.zeros(40), kinds=["ct"] * 10 + ["mri"] * 12 + ["skull"] * 18, sources=["far"] * 40)
    taken = ["ct"] * 10 + ["mri"] * 12 + ["mri"] * 9 + ["skull"] * 9
    scores.probabilities[np.arange(40), [kinds.index(kind) for kind in taken]] = 1
    assert named(pictures, scores, kinds) == ["ct", "skull"]  # MRI is said of every MRI, but of half the skulls too
