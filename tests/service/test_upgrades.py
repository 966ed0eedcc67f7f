"""A bundle is tried, runs in the shadow, is switched to and back; no answer changes before a person says so."""

from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pytest
from sqlalchemy import update

from secondread.errors import Conflict, UsageError
from secondread.reading import Bundle, load_bundle, load_named
from secondread.service import Actor, Counting, Pair, Readers, ReadingRequest, Service
from secondread.service.shadow import Shadows
from secondread.service.upgrade_tables import ShadowAnswerRow
from secondread.testing.phantoms import brain_phantom, chest_phantom, dicom_bytes, encode
from tests.service.conftest import ANNA

PAPER, BEST = load_bundle("tuberculosis/paper"), load_bundle("tuberculosis/best")
TASK = "tuberculosis"


def readers_of(service: Service) -> Readers:
    def load(name, **more):
        return load_named(name, gate=False, **more)

    return Readers(limits=service.limits, parallel=1, load=load).follow(
        service.upgrades.chosen, service.points.active_point
    )


def send(service: Service, readers: Readers, number: int, task: str = TASK):
    data = encode(chest_phantom(96, random_state=number), "PNG")
    asked = ReadingRequest(task)
    return service.desk(readers.get).answer(data, asked, name=f"{number}.png", actor=ANNA).stored


def actions(service: Service) -> list[str]:
    return [
        line["action"] for line in service.trail.lines() if "bundle" in line["action"] or "shadow" in line["action"]
    ]


def test_a_switch_decides_what_answers_until_it_is_taken_back(service: Service) -> None:
    readers = readers_of(service)
    assert send(service, readers, 1).bundle == BEST.id
    service.upgrades.switch(PAPER, beside=BEST, note="a trial", actor=ANNA)
    assert readers.bundle(TASK).sha256 == PAPER.sha256
    assert send(service, readers, 1).bundle == PAPER.id
    assert readers.get(TASK, "tuberculosis/best").bundle.sha256 == BEST.sha256, "a bundle that is named is that one"
    assert service.upgrades.back(TASK, actor=ANNA) is None
    assert send(service, readers, 1).bundle == BEST.id
    with pytest.raises(Conflict):
        service.upgrades.back(TASK, actor=ANNA)
    assert actions(service) == ["bundle.switched", "bundle.switched_back"]


def test_another_process_sees_a_switch(service: Service) -> None:
    other = readers_of(service)
    service.upgrades.switch(PAPER, beside=BEST, actor=ANNA)
    assert Readers.follow(other, type(service.upgrades)(service.database).chosen).bundle(TASK).id == PAPER.id


def test_a_second_switch_is_taken_back_to_the_first(service: Service) -> None:
    third = _retrained(PAPER)
    service.upgrades.switch(PAPER, beside=BEST, actor=ANNA)
    service.upgrades.switch(third, beside=PAPER, actor=ANNA)
    back = service.upgrades.back(TASK, actor=ANNA)
    assert back is not None
    assert back.bundle_sha256 == PAPER.sha256
    assert service.upgrades.back(TASK, actor=ANNA) is None


def test_the_sites_own_threshold_never_passes_to_other_weights(service: Service) -> None:
    readers = readers_of(service)
    site = service.points.choose(BEST, threshold=0.001, actor=ANNA)
    assert send(service, readers, 2).operating_point == site.name
    service.upgrades.switch(PAPER, beside=BEST, actor=ANNA)
    after = send(service, readers, 2)
    assert (after.bundle, after.operating_point) == (PAPER.id, PAPER.operating_point().name)
    assert after.threshold == PAPER.operating_point().threshold
    service.upgrades.back(TASK, actor=ANNA)
    assert send(service, readers, 2).operating_point == site.name, "it holds again for what it was chosen for"


def test_weights_exchanged_on_the_disk_answer_for_nobody(service: Service) -> None:
    service.upgrades.switch(_retrained(PAPER), beside=BEST, actor=ANNA)
    with pytest.raises(Conflict, match="switch"):
        readers_of(service).get(TASK)


def test_what_was_switched_to_answers_where_the_file_says_the_task(service: Service) -> None:
    readers = readers_of(service)
    auto = readers.get("auto")
    assert auto._reader(TASK).bundle.sha256 == BEST.sha256
    service.upgrades.switch(PAPER, beside=BEST, actor=ANNA)
    assert auto._reader(TASK).bundle.sha256 == PAPER.sha256


def test_all_frames_of_a_file_are_read_by_one_bundle_whatever_is_switched_meanwhile(service: Service) -> None:
    readers = readers_of(service)
    auto, first, other = (readers.get(*name) for name in (("auto",), (TASK, "best"), (TASK, "paper")))
    given = iter([first])
    auto.take_readers_from(lambda task: next(given, other))
    frames = np.stack([chest_phantom(96, random_state=number) for number in range(4)])
    data = dicom_bytes(frames, multi_frame=True, BodyPartExamined="CHEST", PatientPosition="FFS")
    found, alone = auto.read(data), first.read(data)
    assert found.bundle == first.bundle.id
    assert [one.probability for one in found.frames] == [one.probability for one in alone.frames]
    assert len(found.frames) == 4


def test_a_shadow_reads_what_comes_after_it_and_changes_no_answer(service: Service) -> None:
    readers = readers_of(service)
    before = send(service, readers, 3)
    choice = service.upgrades.shade(PAPER, beside=BEST, actor=ANNA)
    shown = [send(service, readers, number) for number in (4, 5)]
    assert {one.bundle for one in shown} == {BEST.id}
    look = service.desk(readers.get).look
    steps = [service.shadows.step(look) for _ in range(3)]
    assert steps == [True, True, False], "what was read before it began is not read again"
    changes = service.shadows.changes(choice)
    assert changes.n == 2
    assert before.id not in {one.reading_id for one in changes.examples}
    for one in shown:
        kept = service.readings.get(one.id, actor=ANNA)
        assert (kept.bundle, kept.probability, kept.decision) == (one.bundle, one.probability, one.decision)
    alone = readers.get(TASK, "tuberculosis/paper")
    said = alone.read(encode(chest_phantom(96, random_state=4), "PNG"))
    assert sum(changes.table.values()) == 2
    assert any(new == str(said.decision) for _, new in changes.table)


def test_what_follows_a_task_is_asked_after_the_bundle_that_was_switched_to(service: Service) -> None:
    first, other = load_bundle("brain-tumour/best"), load_bundle("brain-tumour/paper")
    picture, reader = brain_phantom(256, random_state=3), readers_of(service).get("tumour-malignancy")
    assert first.id in reader.read(picture).refusal.message
    service.upgrades.switch(other, beside=first, actor=ANNA)
    said = load_named(f"brain-tumour/{other.name}", gate=False).read(picture).decision
    refusal = reader.read(picture).refusal
    assert refusal is None if str(said) != "negative" else other.id in refusal.message


def test_readings_whose_answer_is_withheld_are_not_named_and_others_are_noted_as_shown(service: Service) -> None:
    readers = readers_of(service)
    choice = service.upgrades.shade(PAPER, beside=BEST, actor=ANNA)
    one = send(service, readers, 4)
    assert service.shadows.step(service.desk(readers.get).look)
    with service.database.begin() as session:
        session.execute(update(ShadowAnswerRow).values(decision="uncertain"))
    blind, open_eyed = Actor("bert", opinion_first=True), Actor("carl")
    found = service.shadows.changes(choice, actor=blind)
    assert (found.n, found.examples) == (1, ())
    assert [pair.reading_id for pair in service.shadows.changes(choice, actor=open_eyed).examples] == [one.id]
    assert service.readings.get(one.id, actor=blind).hidden
    assert not service.readings.get(one.id, actor=replace(open_eyed, opinion_first=True)).hidden


def test_a_shadow_reads_no_more_than_it_may_and_ends_with_a_switch(service: Service) -> None:
    readers = readers_of(service)
    service.upgrades.shade(PAPER, beside=BEST, actor=ANNA)
    for number in (6, 7):
        send(service, readers, number)
    look = service.desk(readers.get).look
    bounded = Shadows(service.database, service.upgrades, per_hour=1)
    assert [bounded.step(look) for _ in range(3)] == [True, False, False]
    assert not Shadows(service.database, service.upgrades, per_hour=0).step(look)
    service.upgrades.switch(PAPER, beside=BEST, actor=ANNA)
    assert service.upgrades.shadows() == {}
    assert not service.shadows.step(look)
    assert actions(service) == ["shadow.begun", "shadow.read", "shadow.ended", "bundle.switched"]


def test_workers_read_in_the_shadow_while_nothing_waits(service: Service) -> None:
    readers = readers_of(service)
    choice = service.upgrades.shade(PAPER, beside=BEST, actor=ANNA)
    send(service, readers, 8)
    worker = service.worker(readers.get, poll_seconds=0.01)
    idle = worker._idle

    def then_stop() -> bool:
        found = idle()
        worker.stop()
        return found

    worker._idle = then_stop
    worker.run()
    assert service.shadows.changes(choice).n == 1


def test_an_image_that_was_erased_is_passed_over(service: Service) -> None:
    readers = readers_of(service)
    choice = service.upgrades.shade(PAPER, beside=BEST, actor=ANNA)
    reading = send(service, readers, 9)
    found = service.erasure.look(reading=reading.id, actor=ANNA)
    service.erasure.erase(reading=reading.id, key=found.key, actor=ANNA)
    look = service.desk(readers.get).look
    while service.shadows.step(look):
        pass
    assert service.shadows.changes(choice).n == 0


def test_trying_stores_nothing_and_can_be_stopped_and_gone_on_with(service: Service) -> None:
    readers = readers_of(service)
    made = [send(service, readers, number).id for number in (10, 11, 12)]
    lines = len(list(service.trail.lines()))
    trial = service.trial(readers.get)
    pairs = trial.pairs("tuberculosis/paper", beside_sha256=BEST.sha256)
    first = next(pairs)
    rest = list(trial.pairs("tuberculosis/paper", beside_sha256=BEST.sha256, before=first.reading_id))
    assert [first.reading_id, *(one.reading_id for one in rest)] == made[::-1]
    assert len(list(service.trail.lines())) == lines
    assert trial.before(TASK, PAPER.sha256) == (BEST.id, BEST.sha256)
    assert trial.before(TASK, BEST.sha256) is None


def test_neither_another_task_nor_the_same_weights_can_be_chosen(service: Service) -> None:
    with pytest.raises(UsageError):
        service.upgrades.switch(BEST, beside=BEST, actor=ANNA)
    with pytest.raises(UsageError):
        service.upgrades.shade(load_bundle("fracture/paper"), beside=BEST, actor=ANNA)


def test_changes_are_counted_with_intervals_and_against_what_reviewers_concluded() -> None:
    counting = Counting()
    for number in range(40):
        ill = number % 2
        new = "positive" if ill else ("positive" if number < 8 else "negative")
        counting.add(Pair(number, f"p{number}", "positive" if ill else "negative", new, finding=ill))
    counting.add(Pair(99, "p99", "refused", "negative", finding=1))
    found = counting.result()
    assert found.n == 41
    assert found.table["negative", "positive"] == 4
    assert found.changed.value == pytest.approx(5 / 41)
    assert found.changed.low < 5 / 41 < found.changed.high
    assert found.judged is not None
    assert (found.judged.n, found.judged.old.specificity.value, found.judged.new.specificity.value) == (40, 1.0, 0.8)
    assert [one.reading_id for one in found.examples] == [0, 2, 4, 6, 99]
    assert "patient" not in found.to_dict()["examples"][0]
    assert Counting().result().changed.value is None


def _retrained(bundle: Bundle) -> Bundle:
    """The same name with another hash."""
    return replace(bundle, record=MappingProxyType({**bundle.record, "sha256": "f" * 64}))
