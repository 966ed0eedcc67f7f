"""Memory for decoding: asked for before pixels are, given back after, never more than the bound."""

import gc
import threading
import tracemalloc
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from pydicom.uid import RLELossless

from secondread.errors import Busy, ImageError, ImageTooLarge
from secondread.images import Image, Limits, decode, open_frames, whole_range
from secondread.images import budget as module
from secondread.images.budget import Budget
from secondread.testing.phantoms import chest_phantom, dicom_bytes, encode

PICTURE = chest_phantom((300, 400), random_state=0)
DEEP = PICTURE.astype(np.uint16) * 250
FILES = {
    "PNG": encode(PICTURE, "PNG"),
    "PNG, 16 bits": encode(DEEP, "PNG"),
    "JPEG": encode(PICTURE, "JPEG"),
    "JPEG in colour": encode(np.dstack([PICTURE] * 3), "JPEG", progressive=True),
    "TIFF": encode(PICTURE.astype(np.float32), "TIFF"),
    "WebP": encode(np.dstack([PICTURE] * 3), "WebP"),
    "BMP": encode(PICTURE, "BMP"),
    "DICOM": dicom_bytes(DEEP),
    "DICOM of run lengths": dicom_bytes(DEEP, syntax=RLELossless),
}


@pytest.fixture
def bound(monkeypatch: pytest.MonkeyPatch) -> Budget:
    """That of this process, for one test: bounded, and nobody waits."""
    found = Budget(50_000_000, patience=0.0)
    monkeypatch.setattr(module, "_PROCESS", found)
    return found


def test_bytes_are_given_back_when_the_block_ends_however_it_ends() -> None:
    budget = Budget(100, patience=0.0)
    used = []

    def broken() -> None:
        with budget.reserve(60):
            used.append(budget.used)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        broken()
    assert (*used, budget.used) == (60, 0)


def test_an_image_larger_than_the_whole_budget_is_refused_with_what_to_do() -> None:
    with pytest.raises(ImageTooLarge, match="decode_memory_mb"), Budget(100).reserve(101):
        pass


def test_who_finds_no_memory_in_time_is_told_when_to_come_again() -> None:
    budget = Budget(100, patience=0.0)
    with budget.reserve(60):
        with pytest.raises(Busy) as told, budget.reserve(41):
            pass
        with budget.reserve(40):  # another one in the same thread
            assert budget.used == 100
    assert told.value.retry_after == budget.patience
    assert budget.used == 0


def test_a_share_leaves_the_rest_to_others() -> None:
    budget = Budget(100, patience=0.0)
    with budget.reserve(30, share=0.5):
        with pytest.raises(Busy), budget.reserve(30, share=0.5):
            pass
        with budget.reserve(70):
            pass
    with budget.reserve(80, share=0.5):  # alone it may be more, else it could never be
        pass


def test_who_waits_goes_on_as_soon_as_there_is_room() -> None:
    budget = Budget(100, patience=60.0)
    inside, done = threading.Event(), threading.Event()

    def second() -> None:
        inside.set()
        with budget.reserve(100):
            done.set()

    waiting = threading.Thread(target=second)
    with budget.reserve(1):
        waiting.start()
        inside.wait()
        assert not done.is_set()
    waiting.join(timeout=30)
    assert done.is_set()
    assert budget.used == 0


def test_nobody_new_begins_before_a_large_image_that_has_waited_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AGED", 0.0)
    budget, order = Budget(100, patience=60.0), []

    def one(name: str, n_bytes: int, share: float) -> None:
        with budget.reserve(n_bytes, share=share):
            order.append(name)

    small, large = ("small", 10, 0.9), ("large", 100, 1.0)
    threads = [threading.Thread(target=one, args=arguments) for arguments in (large, small)]
    with budget.reserve(60):
        for n, thread in enumerate(threads, start=1):
            thread.start()
            while len(budget._waiting) < n:
                threading.Event().wait(0.001)
        with budget.reserve(10, share=0.9, inside=True):  # who is in already goes on, or nobody would ever end
            assert order == []
    for thread in threads:
        thread.join(timeout=30)
    assert order == ["large", "small"]
    assert budget.used == 0


def test_until_then_small_images_pass_a_large_one() -> None:
    budget, used = Budget(100, patience=60.0), []

    def all_of_it() -> None:
        with budget.reserve(100):
            used.append(budget.used)

    large = threading.Thread(target=all_of_it)
    with budget.reserve(60):
        large.start()
        while not budget._waiting:
            threading.Event().wait(0.001)
        with budget.reserve(10, share=0.9):
            assert budget.used == 70
    large.join(timeout=30)
    assert used == [100]


def test_many_threads_never_pass_the_bound_and_leave_nothing() -> None:
    budget, most = Budget(100, patience=60.0), []

    def some() -> None:
        for n in (30, 60, 100, 1):
            with budget.reserve(n):
                most.append(budget.used)

    threads = [threading.Thread(target=some) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) <= 100
    assert len(most) == 32
    assert budget.used == 0


def test_without_a_bound_nothing_is_counted() -> None:
    budget = Budget()
    with budget.reserve(10**15):
        assert budget.used == 0


@pytest.mark.parametrize("kind", FILES)
def test_every_decode_asks_before_it_decodes(kind: str, bound: Budget) -> None:
    with bound.reserve(bound.total or 0), pytest.raises(Busy):
        decode(FILES[kind])
    with bound.reserve(bound.total or 0), pytest.raises(Busy):
        open_frames(FILES[kind]).frame(0)
    with bound.reserve(bound.total or 0), pytest.raises(Busy):
        whole_range(FILES[kind])
    assert bound.used == 0


@pytest.mark.parametrize("kind", FILES)
def test_pixels_count_for_as_long_as_they_live(kind: str, bound: Budget) -> None:
    image = decode(FILES[kind])
    assert bound.used == image.pixels.nbytes
    pixels = image.pixels
    del image
    assert bound.used == pixels.nbytes
    del pixels
    gc.collect()
    assert bound.used == 0


@pytest.mark.parametrize("kind", FILES)
def test_an_image_that_takes_more_than_all_memory_is_too_large(kind: str, bound: Budget) -> None:
    bound.total = 100_000
    with pytest.raises(ImageTooLarge):
        decode(FILES[kind])
    assert bound.used == 0


def test_a_damaged_file_leaves_nothing_reserved(bound: Budget) -> None:
    for data in FILES.values():
        for cut in (data[: len(data) // 2], data[:200]):
            with suppress(ImageError):
                decode(cut)
    gc.collect()
    assert bound.used == 0


def test_frames_are_counted_one_at_a_time(bound: Budget) -> None:
    data = dicom_bytes(np.stack([DEEP] * 5), multi_frame=True)
    frames = open_frames(data)
    held = bound.used
    assert held >= DEEP.nbytes * 5, "the data set is a copy of the file"
    for image in frames:
        assert isinstance(image, Image)
        assert bound.used == held + image.pixels.nbytes
        del image
    del frames
    gc.collect()
    assert bound.used == 0


def _peak(data: bytes) -> int:
    """Bytes that Python and NumPy held at most while it was decoded, beside what was there."""
    limits = Limits()
    decode(data, limits=limits)  # what is loaded once
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    decode(data, limits=limits)
    peak = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    return peak


WIDE = np.repeat(np.linspace(0, 60_000, 25), 120)[None, :].repeat(2000, 0).astype(np.uint16)
CASES: dict[str, dict[str, Any]] = {
    "no window": {},
    "a window": {"WindowCenter": 20_000, "WindowWidth": 30_000},
    "padding": {"PixelPaddingValue": 0, "PhotometricInterpretation": "MONOCHROME1"},
    "values beyond the bits": {"bits_stored": 12},
    "signed": {"bits_stored": 13, "PixelRepresentation": 1},
    "a rescale": {"RescaleSlope": "1.5", "RescaleIntercept": "-1024"},
}


def _run_lengths(pixels: np.ndarray) -> bytes:
    """A frame of run lengths, of 16-bit values that change every 120 columns at most (PS3.5 annex G)."""
    planes = [(pixels >> 8).astype(np.uint8), (pixels & 255).astype(np.uint8)]
    runs = [plane.ravel()[::120] for plane in planes]
    segments = [np.stack([np.full(one.size, 257 - 120, np.uint8), one], axis=1).tobytes() for one in runs]
    return np.array([2, 64, 64 + len(segments[0]), *[0] * 13], "<u4").tobytes() + b"".join(segments)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("syntax", [None, RLELossless])
def test_a_deep_film_takes_five_bytes_a_pixel_beside_its_file(name: str, syntax: str | None) -> None:
    packed = {"syntax": syntax, "codestreams": [_run_lengths(WIDE)]} if syntax else {}
    data = dicom_bytes(WIDE, **CASES[name], **packed)
    peak = _peak(data)
    copy = 2 * len(data)  # of the file, in the data set and as one frame
    assert peak < 5 * WIDE.size + copy + 14_000_000, f"{(peak - copy) / WIDE.size:.1f} bytes a pixel"


def test_run_lengths_unpack_to_no_more_than_the_picture(bound: Budget) -> None:
    """A segment whose run lengths go on for ever: pydicom would unpack all of it."""
    small = np.zeros((64, 64), np.uint8)
    endless = np.full(4000, 129, np.uint8).tobytes()  # 2,000 times 128 bytes, of a picture of 4,096
    stream = np.array([1, 64, *[0] * 14], "<u4").tobytes() + endless
    data = dicom_bytes(small, syntax=RLELossless, codestreams=[stream])
    tracemalloc.start()
    tracemalloc.reset_peak()
    image = decode(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert image.pixels.shape == (64, 64)
    assert peak < 10_000_000
