"""Readers: one image, many images, bad images, and where the heat map lies."""

import html
import io
import threading
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image as PillowImage

from secondread.errors import CannotOpen, UnknownName
from secondread.images import Image, Limits, decode
from secondread.reading import Decision, Reader, Reading, load
from secondread.reading.in_order import read_in_order
from secondread.reading.reader import decide
from secondread.tasks import load_task, next_step
from secondread.testing.phantoms import bone_phantom, brain_phantom, chest_phantom, dicom_bytes, encode, film

MEANING = ["likelihood_ratio", "likelihood_ratio_measured", "local"]  # that evidence and a service add
CONTRACT = [
    "path",
    "task",
    "bundle",
    "probability",
    "score",
    "decision",
    "operating_point",
    "warnings",
    "heatmap",
    "refusal",
    "next_step",
    "findings",
]


@pytest.fixture(scope="module")
def reader(phantom_bundle):
    return Reader.load(phantom_bundle)


def test_disease_scores_higher_and_the_heat_map_finds_it(reader):
    sick, well = (reader.read(film(128, 5000, disease=disease)) for disease in (True, False))
    assert sick.probability > well.probability
    assert sick.heatmap.strength().shape == (128, 128)


def test_path_bytes_array_and_image_give_one_reading(reader, tmp_path):
    array = film(200, 1, disease=True)
    path = tmp_path / "film.png"
    path.write_bytes(encode(array, "PNG"))
    sources = [path, str(path), path.read_bytes(), array, decode(path.read_bytes())]
    assert len({reader.read(source).probability for source in sources}) == 1


def test_reading_has_the_shape_of_the_contract(reader):
    reading = reader.read(film(128, 2, disease=True))
    row = reading.to_dict(path="a.png")
    assert list(row) == CONTRACT
    assert row["refusal"] is None
    assert row["task"] == "tuberculosis"
    assert row["decision"] in ("positive", "negative", "uncertain")
    assert row["score"] == round(100 * row["probability"])
    assert row["bundle"].startswith("tuberculosis/phantom@")


def test_refused_reading_has_nulls_for_all_that_a_model_says(reader):
    row = reader.read(b"not an image at all").to_dict(path="a.png")
    assert list(row) == CONTRACT
    assert row["refusal"]["code"] == "not_an_image"
    assert all(row[key] is None for key in CONTRACT if key not in ("path", "refusal", "next_step"))


def test_a_reading_says_what_to_do_now_as_pages_and_api_do(reader):
    answered, refused = reader.read(film(128, 2, disease=True)), reader.read(b"not an image at all")
    step = answered.next_step
    assert step == next_step(decision=answered.decision, task=load_task("tuberculosis"))
    assert (step.code, step.action) == (f"tuberculosis.{answered.decision}", "review")
    assert answered.to_dict()["next_step"] == step.to_dict()
    assert refused.next_step == next_step(code="not_an_image")
    assert refused.to_dict()["next_step"]["code"] == "not_an_image"
    unknown = replace(answered, task="of-another-machine").next_step
    assert (unknown.code, unknown.message) == (str(answered.decision), next_step(decision=answered.decision).message)
    for one in (answered, refused):
        assert one.next_step.message in html.unescape(one._repr_html_())


REFUSED = {
    "text": (b"hello", "not_an_image"),
    "empty": (b"", "not_an_image"),
    "pdf": (b"%PDF-1.7 ...", "unsupported"),
    "cut": (encode(chest_phantom(256, random_state=0), "PNG")[:3000], "truncated"),
    "tiny": (encode(chest_phantom(16, random_state=0), "PNG"), "too_small"),
    "black": (np.zeros((300, 200), np.uint8), "blank"),
    "grey": (np.full((300, 200), 130, np.uint8), "blank"),
    "white noise of one level": (np.random.default_rng(0).integers(99, 102, (300, 200), dtype=np.uint8), "blank"),
    "MR for a chest task": (dicom_bytes(brain_phantom(64, random_state=0), Modality="MR"), "wrong_kind"),
    "hand for a chest task": (
        dicom_bytes(bone_phantom(64, random_state=0), Modality="DX", BodyPartExamined="HAND"),
        "wrong_part",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_have_a_code_and_a_sentence(reader, name):
    source, code = REFUSED[name]
    reading = reader.read(source)
    assert reading.refusal.code == code
    assert len(reading.refusal.message) > 20
    assert reading.probability is None


def test_an_image_over_the_limits_is_refused_before_decoding(phantom_bundle):
    small = Reader.load(phantom_bundle, limits=Limits(max_pixels=100 * 100))
    assert small.read(encode(chest_phantom(128, random_state=0), "PNG")).refusal.code == "too_large"


def test_a_path_that_cannot_be_opened_is_an_error(reader, tmp_path):
    with pytest.raises(CannotOpen, match="cannot open"):
        reader.read(tmp_path / "missing.png")
    with pytest.raises(CannotOpen):
        reader.read(tmp_path)


def test_unknown_operating_point_names_the_known_ones(reader, phantom_bundle):
    with pytest.raises(UnknownName, match="paper"):
        reader.read(film(128, 0, disease=False), operating_point="papper")
    with pytest.raises(UnknownName):
        Reader.load(phantom_bundle, operating_point="screning")


def test_read_many_keeps_the_order_and_reports_what_it_cannot_open(reader, tmp_path):
    arrays = [film(128, number, disease=number % 3 == 0) for number in range(12)]
    sources = [*arrays[:6], tmp_path / "missing.png", b"junk", tmp_path / "a\0b.png", *arrays[6:]]
    many = list(reader.read_many(sources))
    assert many[6].refusal.code == "cannot_open"
    assert many[7].refusal.code == "not_an_image"
    assert many[8].refusal.code == "cannot_open", "no file has such a name"
    alone = [reader.read(array).probability for array in arrays]
    assert [reading.probability for reading in many if reading.refusal is None] == alone


def test_read_many_holds_a_few_images_at_a_time():
    """Sources are drawn only as readings are taken, and never more than two a worker ahead."""
    drawn = []

    class Slow:
        def read(self, source, **options):
            return Reading("none")

    def sources():
        for number in range(100):
            drawn.append(number)
            yield b""

    readings = read_in_order(Slow(), sources(), operating_point=None, keep_image=False, workers=2)
    for taken in range(1, 20):
        next(readings)
        assert len(drawn) <= taken + 4
    readings.close()
    assert len(drawn) < 30


def test_read_many_uses_every_worker():
    seen, gate = set(), threading.Barrier(2, timeout=10)

    class Meeting:
        def read(self, source, **options):
            seen.add(threading.get_ident())
            gate.wait()  # passes only if two images are read at once
            return Reading("none")

    assert len(list(read_in_order(Meeting(), [b""] * 6, operating_point=None, keep_image=False, workers=2))) == 6
    assert len(seen) == 2


@pytest.mark.parametrize(
    ("probability", "decision"),
    [(0.7, Decision.NEGATIVE), (0.700001, Decision.POSITIVE), (0.2, Decision.NEGATIVE)],
)
def test_positive_is_above_the_threshold(reader, probability, decision):
    assert decide(probability, replace(reader.operating_point, threshold=0.7)) == decision


def test_band_between_thresholds_is_uncertain(reader):
    point = replace(reader.operating_point, threshold=0.7, low=0.3, high=0.7)
    found = [decide(probability, point) for probability in (0.2, 0.3, 0.31, 0.7, 0.71)]
    assert found == ["negative", "negative", "uncertain", "uncertain", "positive"]


@pytest.mark.parametrize(
    ("modality", "part", "expected"),
    [("DX", "CHEST", "tuberculosis"), ("CR", "WRIST", "fracture"), ("MR", "BRAIN", "brain-tumour")],
)
def test_auto_takes_the_task_from_dicom_facts(modality, part, expected):
    data = dicom_bytes(chest_phantom(96, random_state=0), Modality=modality, BodyPartExamined=part)
    assert load("auto", gate=False).read(data).task == expected


def test_auto_names_no_task_for_what_is_too_small_for_any():
    refused = load("auto").read(np.zeros((1, 1), np.uint8))
    assert refused.refusal.code == "too_small"
    assert "full size" in refused.next_step.message


@pytest.mark.parametrize(
    "source",
    [
        encode(chest_phantom(64, random_state=0), "PNG"),
        dicom_bytes(chest_phantom(64, random_state=0), Modality="CT", BodyPartExamined="LEG"),
    ],
)
def test_auto_refuses_what_does_not_say_what_it_is(source):
    refusal = load("auto", gate=False).read(source).refusal
    assert refusal.code == "task_unknown"
    assert "tuberculosis" in refusal.message


def test_sixteen_bit_and_eight_bit_read_alike(reader):
    array = film(128, 3, disease=True)
    deep = array.astype(np.uint16) * 257
    assert reader.read(deep).probability == pytest.approx(reader.read(array).probability, abs=1e-5)


def test_heat_map_points_at_what_tells_the_phantoms_apart(reader):
    """The opacity lies in rows 32 to 64 and columns 25 to 64; a cell of the map is 25 pixels wide."""
    strength = np.mean([reader.read(film(128, seed, disease=True)).heatmap.strength() for seed in range(6)], axis=0)
    row, column = np.unravel_index(strength.argmax(), strength.shape)
    assert 20 <= row <= 76
    assert 13 <= column <= 76


def test_heat_map_and_pictures_fit_an_image_that_is_not_square(reader):
    array = np.repeat(np.repeat(film(128, 4, disease=True), 2, axis=0), 3, axis=1)  # (256, 384)
    reading = reader.read(array, keep_image=True)
    strength = reading.heatmap.strength()
    assert strength.shape == array.shape
    assert 0 <= strength.min() <= strength.max() <= 1.0 + 1e-6
    overlay = PillowImage.open(io.BytesIO(reading.heatmap.overlay_png(longest_side=192)))
    assert (overlay.size, overlay.mode) == ((192, 128), "RGBA")
    blended = PillowImage.open(io.BytesIO(reading.heatmap.blended_png(reading.image)))
    assert (blended.size, blended.mode) == ((384, 256), "RGB")


def test_what_a_reader_should_know_is_a_warning(reader):
    deep = encode((film(128, 3, disease=True).astype(np.uint16) * 16), "PNG")
    assert any("12 bits" in warning for warning in reader.read(deep).warnings)
    image = replace(Image.from_array(film(128, 3, disease=True)), n_frames=7)
    assert "only frame 1 of 7 was read" in reader.read(image).warnings
