"""Boxes in the reading room: kept with the reading, drawn by its points, corrected by people, exported for training."""

import json
from dataclasses import replace

import numpy as np
import pytest

from secondread.data import read_manifest
from secondread.errors import NotAllowed, NotThere, UsageError
from secondread.evidence.localisation import boxes_of, load_lesions
from secondread.images import PrepareSpec
from secondread.reading import Reader, Reading, use_own_bundles
from secondread.service import Actor, ReadingRequest, Service, bundle_of, marks_of
from secondread.service.readers import Readers
from secondread.tasks import load_task
from secondread.testing.phantoms import dicom_bytes, encode
from tests.boxed import POINTS, boxed_bundle, spotted
from tests.service.conftest import ANNA
from tests.service.stubs import draft, image_bytes, stage

BERT = Actor("bert", "test")
SPOTS = ((48, 64, 255), (160, 144, 194))
FILM = encode(spotted(*SPOTS), "PNG")
FOUND = ({"box": [2.0, 2.0, 6.0, 6.0], "score": 0.9, "label": "diseased"},
         {"box": [9.0, 9.0, 5.0, 4.0], "score": 0.55, "label": "diseased"})  # fmt: skip


@pytest.fixture(scope="module")
def own_bundles(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    boxed_bundle(folder / "fracture" / "boxes")
    use_own_bundles(folder)
    yield folder
    use_own_bundles(None)


@pytest.fixture
def desk(service: Service, own_bundles):
    readers = Readers(limits=service.intake.limits, parallel=1)
    return service.desk(readers.get)


ASKED = ReadingRequest("fracture", "fracture/boxes")


def stored(service: Service, number: int = 0, *, name: str = "a.png", **more: object):
    one = draft(0.9, findings=FOUND, **more)
    sha = stage(service, image_bytes(number))
    return service.readings.add(one, image_sha256=sha, name=name, actor=ANNA)[0]


def test_boxes_are_kept_and_come_out_as_the_reader_gives_them(service: Service, desk, own_bundles) -> None:
    kept = desk.answer(FILM, ASKED, actor=ANNA).stored
    again = service.readings.get(kept.id, actor=ANNA)
    plain: Reading = Reader.load(own_bundles / "fracture" / "boxes").read(FILM)
    told, expected = again.contract(path="a", heatmap=None), plain.to_dict(path="a")
    assert told["findings"] == expected["findings"]
    assert len(told["findings"]) == 2
    from_store = desk.answer(FILM, ASKED, actor=ANNA)
    assert from_store.from_store
    assert from_store.outcome.findings == again.findings
    assert stored_without(service).contract(path="a", heatmap=None)["findings"] is None


def stored_without(service: Service):
    sha = stage(service, image_bytes(77))
    return service.readings.add(draft(0.9), image_sha256=sha, name="b", actor=ANNA)[0]


@pytest.mark.parametrize("threshold", [0.01, 0.3, 0.7, 0.9, 0.9999])
def test_a_positive_at_the_sites_own_point_has_a_box_and_a_negative_none_that_reaches_it(
    service: Service, desk, threshold, monkeypatch
) -> None:
    found = desk.answer(FILM, ASKED, actor=ANNA).stored
    bundle = bundle_of(found)
    assert bundle is not None
    point = replace(bundle.operating_point(), name="site", threshold=threshold)
    monkeypatch.setattr(service.points, "active_point", lambda bundle: point)
    kept = desk.answer(FILM, ASKED, actor=ANNA).stored
    assert kept.threshold == threshold
    assert (kept.decision == "positive") == any(one["score"] > threshold for one in kept.findings)
    marks = marks_of(kept, bundle)
    assert marks is not None
    assert [one.line for one in marks if one.probability > POINTS["confirm"]] == ["solid"]
    assert kept.decision == "negative" or marks


def test_every_frame_has_its_own_boxes(service: Service, desk) -> None:
    frames = np.stack([spotted(), spotted(*SPOTS), spotted(SPOTS[1])])
    film = dicom_bytes(frames, multi_frame=True, BodyPartExamined="HAND")
    kept = desk.answer(film, ASKED, actor=ANNA).stored
    bundle = bundle_of(kept)
    assert [len(marks_of(kept, bundle, frame=number) or ()) for number in range(3)] == [0, 2, 1]
    assert marks_of(kept, bundle) == marks_of(kept, bundle, frame=1)


def test_lines_are_solid_above_confirm_and_dotted_above_screening(service: Service, desk) -> None:
    kept = desk.answer(FILM, ASKED, actor=ANNA).stored
    sure, doubt = marks_of(kept, bundle_of(kept)) or ()
    assert (sure.line, sure.number, doubt.line, doubt.number) == ("solid", 1, "dotted", 2)
    assert sure.probability > POINTS["confirm"] > doubt.probability > POINTS["screening"]
    assert sure.score == kept.score > doubt.score
    assert marks_of(stored_without(service), None) is None
    gone = marks_of(kept, None)  # of a bundle that is not here any more its own point draws
    assert gone is not None
    assert {one.line for one in gone} == {"solid"}


def test_what_a_person_makes_of_boxes_is_kept_beside_the_networks(service: Service) -> None:
    reading = stored(service)
    mine = [{"box": [2.0, 2.0, 6.2, 6.0], "of": 1}, {"box": [-3, 10, 8, 40]}]
    made = service.boxes.add(reading.id, mine, bundle=None, actor=ANNA, role="reviewer")
    assert (made.kept, made.moved, made.deleted, made.added) == (1, 0, 1, 1)
    assert made.boxes[1].box == (0, 10, 5, 6)  # cut off at the border of 16 × 16 pixels
    moved = [{"box": [3, 2, 6, 6], "of": 1}, {"box": [9, 9, 5, 4], "of": 2}]
    other = service.boxes.add(reading.id, moved, bundle=None, actor=BERT, role="reviewer")
    assert (other.kept, other.moved, other.deleted, other.added) == (1, 1, 0, 0)
    service.boxes.add(reading.id, [], bundle=None, actor=ANNA, role="administrator")
    assert [(one.person, len(one.boxes), one.current) for one in service.boxes.of(reading.id)] == [
        ("anna", 2, False), ("bert", 2, True), ("anna", 0, True),
    ]  # fmt: skip
    assert service.readings.get(reading.id, actor=ANNA).findings == FOUND
    lines = list(service.trail.lines(action="boxes.drawn"))
    assert [line["actor"] for line in lines] == ["anna", "bert", "anna"]
    assert json.loads(lines[0]["detail"])["added"] == 1


@pytest.mark.parametrize(
    ("boxes", "told"),
    [
        ([{"box": [1, 1, 0.2, 5]}], "cover a pixel"),
        ([{"box": [20, 1, 5, 5]}], "cover a pixel"),
        ([{"box": [1, 1, float("nan"), 5]}], "four numbers"),
        ([{"box": [1, 1, 5]}], "four numbers"),
        ([{"box": [1, 1, 5, 5], "of": 3}], "names one of the 2 boxes"),
        ([{"box": [1, 1, 5, 5], "of": 1}, {"box": [2, 1, 5, 5], "of": 1}], "at most once"),
        ([{"box": [1, 1, 5, 5]}] * 51, "at most 50"),
    ],
)
def test_boxes_that_cannot_be_are_refused(service: Service, boxes, told) -> None:
    with pytest.raises(UsageError, match=told):
        service.boxes.add(stored(service).id, boxes, bundle=None, actor=ANNA, role="reviewer")


def test_who_may_not_review_draws_nothing_and_a_withheld_answer_stays_so(service: Service) -> None:
    reading = stored(service)
    with pytest.raises(NotAllowed, match="ask for the role"):
        service.boxes.add(reading.id, [], bundle=None, actor=ANNA, role="reader")
    with pytest.raises(NotThere):
        service.boxes.add(reading.id + 1, [], bundle=None, actor=ANNA, role="reviewer")
    blind = Actor("carl", "test", opinion_first=True)
    assert service.readings.get(reading.id, actor=blind).findings is None
    with pytest.raises(NotAllowed, match="your own opinion comes first"):
        service.boxes.add(reading.id, [], bundle=None, actor=blind, role="reviewer")


def test_reviewed_boxes_leave_as_a_manifest_that_training_reads(service: Service, tmp_path) -> None:
    pytest.importorskip("torch")
    from secondread.training.boxes import known_boxes

    drawn = {0: [{"box": [2.0, 2.0, 6.0, 6.0], "of": 1}, {"box": [9, 8, 5, 6]}], 1: [], 2: [{"box": [1, 1, 4, 4]}]}
    for number in range(5):
        reading = stored(service, number)
        finding = "disagree" if number == 2 else "agree"
        service.reviews.add(reading.id, verdict=finding, actor=ANNA, role="reviewer")
        if number in drawn:
            service.boxes.add(reading.id, drawn[number], bundle=None, actor=ANNA, role="reviewer")
    service.boxes.add(1, drawn[0][1:], bundle=None, actor=BERT, role="reviewer")  # the last word counts
    service.boxes.add(1, drawn[0], bundle=None, actor=ANNA, role="reviewer")
    n = service.exports.manifest(tmp_path / "out", task="tuberculosis", split="train", actor=ANNA)
    manifest = read_manifest(tmp_path / "out" / "manifest.csv", task=load_task("tuberculosis"))
    assert n == len(manifest) == 5
    lesions = load_lesions(manifest)
    (row,) = (row for row in manifest.rows if lesions.known(row))  # of what nobody saved nothing is known
    assert boxes_of(row, lesions).tolist() == [[2, 2, 8, 8], [9, 8, 14, 14]]
    raw = json.loads((tmp_path / "out" / "boxes.json").read_text(encoding="utf-8"))
    assert {one["category"] for one in raw[row.name]} == {load_task("tuberculosis").positive_class}
    known = known_boxes(manifest, manifest.rows, PrepareSpec(size=32, channels=1))
    taught = dict(zip([one.name for one in manifest.rows], known.counts().tolist(), strict=True))
    assert taught[row.name] == 2
    assert sum(known.known) == 2  # besides it the healthy one, which has none
    at = [one.name for one in manifest.rows].index(row.name)
    assert known.boxes[at, 0] == pytest.approx([4, 4, 16, 16])  # of an input of twice the size
