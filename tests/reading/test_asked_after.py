"""A task that follows another is asked only where the other one's answer is not no."""

from dataclasses import replace
from functools import partial

import pytest

from secondread.images import Limits
from secondread.reading import Reader, load_named
from secondread.reading import reader as reader_module
from secondread.service import Readers
from secondread.testing.phantoms import brain_phantom


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader.load("tumour-malignancy", gate=False)


def test_it_is_asked_where_the_first_sees_something(reader: Reader) -> None:
    reading = reader.read(brain_phantom(256, random_state=3, lesion=True))
    assert reading.refusal is None
    assert reading.task == "tumour-malignancy"
    assert reading.bundle is not None
    assert reading.bundle.startswith("tumour-malignancy/best@")


def test_it_is_not_asked_where_the_first_sees_nothing(reader: Reader) -> None:
    picture = brain_phantom(256, random_state=3)
    assert str(Reader.load("brain-tumour", gate=False).read(picture).decision) == "negative"
    refusal = reader.read(picture).refusal
    assert refusal is not None
    assert refusal.code == "not_asked"
    assert "brain-tumour/best" in refusal.message
    assert "no answer is given" in refusal.message


def test_between_the_thresholds_of_the_first_it_is_asked(reader: Reader) -> None:
    assert reader._first is not None
    first = reader._first()
    picture = brain_phantom(256, random_state=3)
    own, first.operating_point = first.operating_point, first.bundle.operating_point("triage")
    try:
        probability = first.read(picture).probability or 0.0
        low = replace(first.operating_point, low=probability / 2, high=2 * probability, threshold=2 * probability)
        first.operating_point = low
        assert reader.read(picture).refusal is None
    finally:
        first.operating_point = own


def test_the_first_tasks_network_is_loaded_once_for_both(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    real = reader_module.open_session
    monkeypatch.setattr(
        reader_module, "open_session", lambda path, **more: (opened.append(str(path)), real(path, **more))[1]
    )
    readers = Readers(limits=Limits(), parallel=1, load=partial(load_named, gate=False))
    picture = brain_phantom(256, random_state=3)
    assert str(readers.get("brain-tumour").read(picture).decision) == "negative"
    refusal = readers.get("tumour-malignancy").read(picture).refusal
    assert refusal is not None
    assert refusal.code == "not_asked"
    assert len(opened) == len(set(opened)) == 2
