"""Readings with boxes: on every kind of file they land where the spots lie, and they and the answer are one."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image as PillowImage

from secondread.errors import BundleDamaged, BundleForeign
from secondread.images import PrepareSpec
from secondread.reading import Decision, FrameAnswer, Reader, Refusal, drawn_from, with_boxes
from secondread.stats.interval import Interval
from secondread.testing.phantoms import dicom_bytes, encode
from tests.boxed import POINTS, SIZE, boxed_bundle, boxed_network, spotted

SPOTS = ((48, 64, 255), (160, 144, 194))  # x, y, brightness of squares of 48 pixels, on the film of 256 × 256


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    return Reader.load(boxed_bundle(tmp_path_factory.mktemp("boxed") / "boxes"))


def overlap(one, other) -> float:
    """Shared area over the area of both, of x, y, width, height."""
    wide = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    high = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    shared = max(wide, 0) * max(high, 0)
    return shared / (one[2] * one[3] + other[2] * other[3] - shared)


def test_two_spots_are_two_findings_the_brighter_first_and_it_is_the_answer(reader):
    reading = reader.read(spotted(*SPOTS))
    bright, faint = reading.findings
    assert bright.box == pytest.approx((48, 64, 48, 48), abs=1)
    assert faint.box == pytest.approx((160, 144, 48, 48), abs=1)
    assert bright.score == reading.probability > POINTS["confirm"] > faint.score > POINTS["screening"]
    told = json.loads(json.dumps(reading.to_dict(path="a.png")))
    assert [one["score"] for one in told["findings"]] == [bright.score, faint.score]
    assert told["findings"][0] == {"box": pytest.approx([48, 64, 48, 48], abs=1), "score": bright.score,
                                   "label": "fractured"}  # fmt: skip


@pytest.mark.parametrize("brightness", [0, 150, 170, 180, 186, 190, 200, 215, 255])
@pytest.mark.parametrize("threshold", [0.001, 0.05, 0.2, 0.5, 0.81, 0.999])
def test_an_image_is_positive_exactly_where_a_box_reaches_the_operating_point(reader, brightness, threshold):
    point = replace(reader.operating_point, threshold=threshold)
    own = Reader(reader.bundle, reader._session, operating_point=point, limits=reader.limits, gate=None)
    reading = own.read(spotted((96, 96, brightness)))
    positive = reading.decision is Decision.POSITIVE
    assert positive == any(one.score > threshold for one in reading.findings)
    assert positive == (reading.probability > threshold)


def test_a_healthy_film_has_no_finding_and_a_bundle_without_boxes_says_null(reader):
    healthy = reader.read(spotted())
    assert healthy.findings == ()
    assert healthy.to_dict(path=None)["findings"] == []
    without = Reader.load("fracture/paper", gate=False).read(spotted())
    assert without.findings is None
    assert without.to_dict(path=None)["findings"] is None
    frame = FrameAnswer(1, refusal=Refusal("blank", "it is blank"))
    assert frame.to_dict().keys() == FrameAnswer(1, found=healthy.found).to_dict().keys()


def test_in_an_uncertain_band_there_is_a_box_to_look_at(reader):
    point = replace(reader.operating_point, threshold=0.999, low=0.01, high=0.999, sensitivity=Interval(0.9))
    own = Reader(reader.bundle, reader._session, operating_point=point, limits=reader.limits, gate=None)
    reading = own.read(spotted((96, 96, 166)))
    assert reading.decision is Decision.UNCERTAIN
    assert reading.probability < POINTS["screening"]
    assert [one.score for one in reading.findings] == [reading.probability]


def turned(film: np.ndarray, orientation: int) -> bytes:
    """A JPEG whose pixels lie so that a viewer that heeds its EXIF entry shows the film upright."""
    ways = {
        1: film, 2: film[:, ::-1], 3: film[::-1, ::-1], 4: film[::-1], 5: film.T, 6: np.rot90(film, 1),
        7: film[::-1, ::-1].T, 8: np.rot90(film, 3),
    }  # fmt: skip
    exif = PillowImage.Exif()
    exif[0x0112] = orientation
    target = io.BytesIO()
    PillowImage.fromarray(np.ascontiguousarray(ways[orientation])).save(target, "JPEG", quality=95, exif=exif)
    return target.getvalue()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_of_a_photograph_lie_on_it_as_it_is_shown(reader, orientation):
    reading = reader.read(turned(spotted(SPOTS[0], size=(256, 192)), orientation), keep_image=True)
    assert (reading.image.width, reading.image.height) == (192, 256)
    assert overlap(reading.findings[0].box, (48, 64, 48, 48)) > 0.75


def film_and_spot(kind: str) -> tuple[np.ndarray, tuple[int, int, int, int]]:
    film, (x, y, _) = spotted(SPOTS[0]), SPOTS[0]
    if kind == "a quarter turn":
        return np.ascontiguousarray(np.rot90(film)), (y, 256 - x - 48, 48, 48)
    if kind == "twice the size":
        return film.repeat(2, 0).repeat(2, 1), (2 * x, 2 * y, 96, 96)
    if kind == "stretched":
        return film.repeat(2, 1), (2 * x, y, 96, 48)
    if kind == "cropped":
        return film[32:, 16:], (x - 16, y - 32, 48, 48)
    if kind == "padded":
        return np.pad(film, ((20, 100), (60, 0))), (x + 60, y + 20, 48, 48)
    return film, (x, y, 48, 48)


KINDS = ("as it is", "a quarter turn", "twice the size", "stretched", "cropped", "padded")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("aspect", ["pad", "squash"])
@pytest.mark.parametrize("trim", [False, True])
def test_boxes_of_a_changed_film_land_where_they_belong(tmp_path, kind, aspect, trim):
    spec = PrepareSpec(size=SIZE, channels=1, aspect=aspect, trim_border=trim).to_dict()
    film, spot = film_and_spot(kind)
    (found, *_) = Reader.load(boxed_bundle(tmp_path / "b", prepare=spec)).with_faint_boxes().read(film).findings
    centre = found.box[0] + found.box[2] / 2, found.box[1] + found.box[3] / 2
    wanted = spot[0] + spot[2] / 2, spot[1] + spot[3] / 2
    cell = 8 * max(film.shape) / SIZE
    assert np.hypot(centre[0] - wanted[0], centre[1] - wanted[1]) < cell
    assert overlap(found.box, spot) > 0.3


def test_boxes_end_at_the_border_of_the_image_and_stay_few(reader):
    film = spotted(*((x, y, 255) for x in range(-16, 256, 32) for y in range(0, 256, 64)), size=(256, 256), side=32)
    film[:32, :32] = 255
    found = reader.with_faint_boxes().read(film).findings
    assert 1 < len(found) <= 20
    for one in found:
        x, y, wide, high = one.box
        assert min(x, y) >= 0
        assert min(wide, high) >= 1
        assert max(x + wide, y + high) <= 256 + 1e-6


def test_every_frame_has_its_own_boxes_and_the_file_those_of_the_worst(reader):
    frames = np.stack([spotted(), spotted(SPOTS[1]), spotted(*SPOTS), spotted()])
    reading = reader.read(dicom_bytes(frames, multi_frame=True, BodyPartExamined="HAND"))
    told = reading.to_dict(path="a.dcm")
    assert [len(one["findings"]) for one in told["frames"]] == [0, 1, 2, 0]
    assert told["worst_frame"] == 3
    assert told["findings"] == told["frames"][2]["findings"]
    assert [one["score"] == max(found["score"] for found in one["findings"] or [{"score": one["score"]}])
            for one in told["frames"]] == [True, False, False, True]  # fmt: skip
    assert told["findings"][0]["score"] == reading.probability


def test_the_peak_of_the_map_lies_in_a_box(reader):
    for seed in range(6):
        x, y = np.random.default_rng(seed).integers(0, 200, 2)
        reading = reader.with_faint_boxes().read(spotted((int(x), int(y), 240), random_state=seed))
        strength = reading.heatmap.strength()
        row, column = np.unravel_index(int(strength.argmax()), strength.shape)
        assert strength.max() > 0
        left, top, wide, high = reading.findings[0].box
        assert left <= column <= left + wide
        assert top <= row <= top + high


def test_the_same_from_a_file_and_from_its_pixels(reader):
    film = spotted(*SPOTS)
    assert reader.read(encode(film, "PNG")).findings == reader.read(film).findings


def test_a_bundle_whose_boxes_are_not_what_answers_is_none_of_ours(tmp_path):
    with pytest.raises(BundleForeign, match="logit and cam and box"):
        boxed_bundle(tmp_path / "without", model=boxed_network(boxes=False))
    import onnx

    network = onnx.load_from_string(boxed_network())
    (node,) = (node for node in network.graph.node if node.output[0] == "logit")
    node.op_type = "ReduceSum"
    with pytest.raises(BundleDamaged, match="not the score of the strongest"):
        Reader.load(boxed_bundle(tmp_path / "other", model=network.SerializeToString()))
    with pytest.raises(BundleForeign, match="label"):
        boxed_bundle(tmp_path / "nameless", boxes={"label": ""})


def test_a_drawn_box_is_a_closed_line_where_it_is_sure_and_dots_where_it_is_in_doubt():
    film = np.full((400, 400, 3), 90, np.uint8)
    box = (50.0, 60.0, 60.0, 40.0)
    for solid in (True, False):
        drawn = with_boxes(film, [(box, solid)], width=200)
        assert (film == 90).all()  # the picture itself stays
        top = drawn[120, 101:220].astype(int)
        bright = (top[:, 0] > 180) & (top[:, 2] < 160)
        assert bright.all() if solid else 0.2 < bright.mean() < 0.8
        assert (drawn[150:170, 130:200] == 90).all()
    assert with_boxes(film, [], width=200) is film


@pytest.mark.parametrize(
    ("thresholds", "threshold", "low", "lines"),
    [
        ({"screening": 0.2, "confirm": 0.8}, 0.2, None, (0.2, 0.8)),
        ({"screening": 0.2, "confirm": 0.8}, 0.8, None, (0.2, 0.8)),
        ({"screening": 0.2, "confirm": 0.8}, 0.1, None, (0.1, 0.8)),  # a site's own: a positive has a box
        ({"screening": 0.2, "confirm": 0.8}, 0.8, 0.15, (0.15, 0.8)),
        ({"screening": 0.5, "confirm": 0.3}, 0.5, None, (0.5, 0.5)),  # one that confirms nothing
        ({}, 0.4, None, (0.4, 0.4)),
    ],
)
def test_from_where_boxes_are_drawn(thresholds, threshold, low, lines):
    assert drawn_from(thresholds, threshold, low) == lines
