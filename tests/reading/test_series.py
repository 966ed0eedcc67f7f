"""Files of several pictures: the most suspicious answers, none is left out, and few are held at a time."""

import gc
import io
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit, RLELossless

from secondread.errors import TruncatedImage
from secondread.images import Image, Limits, decode, dicom, open_frames
from secondread.reading import AutoReader, Reader, Reading, Refusal, Series, load, read_series, runs
from secondread.testing.phantoms import chest_phantom, encode
from tests.reading.test_reader import CONTRACT
from tests.several import BLANK, BRAIN, bright_reader, dicom_of, picture, raster_of, slices_with_a_tumour, stack

FRAMES = stack()


@pytest.fixture(scope="module")
def reader() -> Reader:
    return bright_reader()


FILES = {
    "DICOM": lambda frames: dicom_of(frames),
    "DICOM, run lengths": lambda frames: dicom_of(frames, syntax=RLELossless),
    "DICOM, JPEG 2000": lambda frames: dicom_of(frames, syntax=JPEG2000Lossless),
    "DICOM, JPEG": lambda frames: dicom_of(
        frames, syntax=JPEGBaseline8Bit, codestreams=[encode(one, "JPEG", quality=95) for one in frames]
    ),
    "TIFF": lambda frames: raster_of(frames, "TIFF"),
    "APNG": lambda frames: raster_of(frames, "PNG"),
    "WebP": lambda frames: raster_of(np.repeat(frames[..., None], 3, axis=3), "WebP", lossless=True),
}


@pytest.mark.parametrize("kind", FILES)
def test_the_most_suspicious_frame_answers_and_a_blank_first_one_refuses_nothing(reader: Reader, kind: str) -> None:
    found = reader.read(FILES[kind](FRAMES), keep_image=True)
    alone = reader.read(picture(9, suspicious=True))
    assert (found.decision, found.worst_frame, found.refusal) == ("positive", 9, None)
    assert found.probability == pytest.approx(alone.probability, abs=0.01)
    row = found.to_dict(path="a")
    assert list(row) == [*CONTRACT, "frames", "worst_frame"]
    assert [one["frame"] for one in row["frames"]] == list(range(1, 13))
    assert [one["decision"] for one in row["frames"]] == [None, *["negative"] * 5, *["positive"] * 3, *["negative"] * 3]
    assert row["frames"][0] == {"frame": 1, "score": None, "decision": None, "refusal": "blank", "findings": None}
    assert row["frames"][8]["score"] == row["score"] == found.score
    assert found.image is not None
    assert found.image.frame == 8
    assert found.heatmap is not None
    assert any("11 frames were read; frame 9 has the highest score" in text for text in found.warnings)
    assert any("of 12 frames these could not be read: 1 (blank)" in text for text in found.warnings)


@pytest.mark.parametrize("kind", FILES)
def test_each_frame_scores_in_the_file_as_it_does_alone(reader: Reader, kind: str) -> None:
    data = FILES[kind](FRAMES)
    scores = [one.probability for one in reader.read(data).frames]
    assert scores == [reader.read(data, frame=frame).probability for frame in range(12)]


def test_the_only_frame_that_can_be_read_is_not_called_the_highest_of_many(reader: Reader) -> None:
    found = reader.read(dicom_of(FRAMES[[0, 8, 0]]))
    assert found.worst_frame == 2
    assert "only frame 2 could be read, and it answers for all" in found.warnings
    assert not any("highest" in text for text in found.warnings)


def test_one_frame_that_is_asked_for_is_read_alone_and_says_so(reader: Reader) -> None:
    found = reader.read(dicom_of(FRAMES), frame=2)
    assert (found.decision, found.frames, found.worst_frame) == ("negative", (), None)
    assert "only frame 3 of 12 was read" in found.warnings
    assert list(found.to_dict(path="a")) == CONTRACT
    refusal = reader.read(dicom_of(FRAMES), frame=12).refusal
    assert refusal is not None
    assert (refusal.code, refusal.message) == ("no_such_frame", "there is no frame 13; the file has 12")


@pytest.mark.parametrize("source", [encode(FRAMES[4], "PNG"), raster_of(FRAMES[4:5], "TIFF"), dicom_of(FRAMES[4:5])])
def test_a_file_of_one_frame_is_answered_as_ever(reader: Reader, source: bytes) -> None:
    found, alone = reader.read(source), reader.read(source, frame=0)
    assert list(found.to_dict(path="a")) == CONTRACT
    assert found.to_dict(path="a") == alone.to_dict(path="a")


def _damaged(kind: str) -> bytes:
    """The fifth of twelve frames is broken in its middle."""
    if kind == "DICOM":
        streams = [encode(one, "JPEG", quality=95) for one in FRAMES]
        streams[4] = streams[4][: len(streams[4]) // 3]
        return dicom_of(FRAMES, syntax=JPEGBaseline8Bit, codestreams=streams)
    data = bytearray(raster_of(FRAMES, "TIFF", compression="tiff_adobe_deflate"))
    whole = open_frames(bytes(data))
    assert whole.n == 12
    at = data.find(b"\x78\x9c")
    for _ in range(4):
        at = data.find(b"\x78\x9c", at + 2)
    data[at : at + 40] = bytes(40)
    return bytes(data)


@pytest.mark.parametrize("kind", ["DICOM", "TIFF"])
def test_a_damaged_frame_hides_no_other(reader: Reader, kind: str) -> None:
    found = reader.read(_damaged(kind))
    assert (found.decision, found.worst_frame) == ("positive", 9)
    refused = {one.frame: one.refusal.code for one in found.frames if one.refusal}
    assert refused == {1: "blank", 5: "truncated"}


def test_where_pictures_are_built_upon_each_other_those_behind_a_damaged_one_are_refused() -> None:
    data = bytearray(raster_of(FRAMES, "PNG"))
    at = data.find(b"fdAT", data.find(b"fdAT", data.find(b"fdAT") + 4) + 4)
    data[at + 12 : at + 60] = bytes(48)
    found = [type(one) for one in open_frames(bytes(data))]
    assert found == [Image] * 3 + [TruncatedImage] * 9


def test_a_file_of_which_no_frame_can_be_read_is_refused_for_the_reason_of_the_most(reader: Reader) -> None:
    tiny = np.stack([chest_phantom(96, random_state=0)[:20, :20]] * 3)
    found = reader.read(dicom_of(np.stack([BLANK] * 3)), keep_image=True)
    assert found.refusal == Refusal(
        "blank",
        "none of the 3 frames can be read; most of them: the image is blank (nearly one grey throughout); check the "
        "export and send the picture itself",
    )
    assert (found.probability, found.worst_frame, found.task) == (None, None, "tuberculosis")
    assert [one.to_dict()["refusal"] for one in found.frames] == ["blank"] * 3
    assert found.image is not None
    assert reader.read(dicom_of(tiny)).refusal.code == "too_small"  # type: ignore[union-attr]


def test_the_reason_of_the_most_counts_whatever_their_order() -> None:
    series = Series()
    for code in ["blank", "too_small", "too_small", "blank", "inverted", "too_small"]:
        series.add(Reading("tuberculosis", refusal=Refusal(code, f"it is {code}")))
    found = series.answer(elapsed=1.0).refusal
    assert found == Refusal("too_small", "none of the 6 frames can be read; most of them: it is too_small")


def test_a_series_is_of_any_pictures(reader: Reader) -> None:
    """As later of the files of an examination, one picture each."""
    pictures = [Image.from_array(one) for one in FRAMES]
    point = reader.operating_point
    series = read_series(
        [*pictures[:3], TruncatedImage("cut"), *pictures[3:]], lambda one: reader._read_image(one, point, 0.0, False)
    )
    found = series.answer(elapsed=0.0)
    assert (found.worst_frame, len(found.frames)) == (10, 13)
    assert found.frames[3].refusal == Refusal("truncated", "cut")


def test_more_frames_than_allowed_are_refused_politely_but_one_can_be_chosen() -> None:
    reader = bright_reader(limits=Limits(max_frames=11))
    refusal = reader.read(dicom_of(FRAMES)).refusal
    assert refusal is not None
    assert (refusal.code, "12 frames, more than the 11" in refusal.message) == ("too_large", True)
    assert reader.read(dicom_of(FRAMES), frame=8).decision == "positive"


def test_five_hundred_frames_are_read_with_a_few_in_memory(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    alive, most = 0, 0

    def counted(*args: Any, **facts: Any) -> Image:
        nonlocal alive, most
        image = Image(*args, **facts)
        alive, most = alive + 1, max(most, alive + 1)
        weakref.finalize(image, gone)
        return image

    def gone() -> None:
        nonlocal alive
        alive -= 1

    monkeypatch.setattr(dicom, "Image", counted)
    frames = np.stack([FRAMES[3]] * 499 + [picture(9, suspicious=True)])
    gc.disable()  # what a cycle would hold is held
    try:
        found = reader.read(dicom_of(frames[:, ::2, ::2]), keep_image=True)
    finally:
        gc.enable()
    assert (found.worst_frame, len(found.frames)) == (500, 500)
    assert most <= 3  # the one at hand, the worst so far, and one about to go


def test_a_file_is_parsed_once(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    whole = dicom.open_dicom
    monkeypatch.setattr(dicom, "open_dicom", lambda *args, **how: opened.append(1) or whole(*args, **how))
    reader.read(dicom_of(FRAMES))
    assert len(opened) == 1


def test_many_files_are_read_each_whole_or_each_at_one_frame(reader: Reader) -> None:
    sources = [dicom_of(FRAMES), encode(FRAMES[4], "PNG")]
    assert [one.worst_frame for one in reader.read_many(sources)] == [9, None]
    codes = [one.refusal.code if one.refusal else "" for one in reader.read_many(sources, frame=8)]
    assert codes == ["", "no_such_frame"]


@pytest.mark.parametrize("kind", ["TIFF", "PNG"])
def test_what_pillow_has_open_is_read_whole_as_its_file(reader: Reader, kind: str) -> None:
    data = raster_of(FRAMES, kind)
    by_path = reader.read(data)
    with PillowImage.open(io.BytesIO(data)) as opened:
        assert [one.score for one in reader.read(opened).frames] == [one.score for one in by_path.frames]
        assert reader.read(opened, frame=8).probability == by_path.probability
    assert reader.read(io.BytesIO(data)).worst_frame == 9
    assert reader.read(PillowImage.fromarray(FRAMES[8])).worst_frame is None


def test_auto_reads_all_frames_for_the_task_of_the_header(monkeypatch: pytest.MonkeyPatch) -> None:
    auto = AutoReader(gate=False)
    monkeypatch.setattr(auto, "_reader", lambda task: bright_reader(f"{task}/paper"))
    found = auto.read(dicom_of(FRAMES))
    assert (found.task, found.worst_frame, found.decision) == ("tuberculosis", 9, "positive")
    unknown = auto.read(raster_of(FRAMES, "TIFF"))
    assert unknown.refusal is not None
    assert unknown.refusal.code == "task_unknown"


def test_runs_of_frames_are_told_in_short() -> None:
    assert runs([1, 2, 3, 7, 9, 10]) == "1–3, 7, 9–10"
    assert runs([]) == ""
    assert runs(range(1, 60, 2)).endswith("21, 23, …")


def test_a_warning_of_many_frames_is_replaced_not_doubled(reader: Reader) -> None:
    image = replace(decode(dicom_of(FRAMES), frame=3))
    assert "only frame 4 of 12 was read" in reader.read(image).warnings
    assert not any("only frame" in text for text in reader.read(dicom_of(FRAMES)).warnings)


@pytest.mark.data
@pytest.mark.parametrize("kind", ["DICOM", "TIFF"])
@pytest.mark.parametrize("how", ["auto", "brain-tumour"])
def test_a_tumour_in_three_of_twenty_slices_is_found(data_folder: Path, how: str, kind: str) -> None:
    """Of a TIFF no header says what it shows: the gate does, by most of its pages."""
    frames = slices_with_a_tumour(data_folder)
    data = dicom_of(frames, **BRAIN) if kind == "DICOM" else raster_of(frames, "TIFF")
    found = load(how).read(data)
    assert (found.task, found.decision, found.refusal) == ("brain-tumour", "positive", None)
    assert found.worst_frame in (7, 8, 9)
    first = load("brain-tumour").read(data, frame=1)  # what answered for all before
    assert (first.decision, first.score) == ("negative", found.frames[1].score)
