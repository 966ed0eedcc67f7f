"""Pictures drawn for viewers: once, kept within a bound, and gone with their image."""

import os
import threading
from pathlib import Path

import numpy as np
import pytest

from secondread.errors import Busy, NotThere
from secondread.images import Limits, budget, decode, encode_depth, encode_png, to_display, whole_range
from secondread.images import decode as decode_image
from secondread.service import picture_cache
from secondread.service.image_store import PICTURES, ImageStore
from secondread.service.picture_cache import PictureCache
from secondread.testing.phantoms import chest_phantom, encode

GREY = chest_phantom((120, 160), random_state=0)
FILM = encode(GREY, "PNG")
DEEP = encode(GREY.astype(np.uint16) * 250, "PNG")


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    images = ImageStore(tmp_path)
    images.prepare()
    return images


@pytest.fixture
def cache(store: ImageStore) -> PictureCache:
    return PictureCache(store, max_bytes=10**7, limits=Limits())


def files(store: ImageStore) -> list[Path]:
    return sorted((store.folder / PICTURES).glob("??/*"))


def test_a_picture_is_drawn_once_and_is_the_same_each_time(
    store: ImageStore, cache: PictureCache, draws: list[int]
) -> None:
    sha256 = store.add(FILM)
    first = cache.shown(sha256, 0, longest_side=80)
    assert first == encode_png(to_display(decode(FILM), longest_side=80))
    assert cache.shown(sha256, 0, longest_side=80) == first
    again = PictureCache(store, max_bytes=10**7, limits=Limits())  # the next start, or another process
    assert again.shown(sha256, 0, longest_side=80) == first
    assert draws == [0]
    assert cache.shown(sha256, 0, longest_side=40) != first
    assert draws == [0, 0]


def test_depth_comes_with_its_facts(store: ImageStore, cache: PictureCache) -> None:
    sha256, expected = store.add(DEEP), whole_range(DEEP)
    assert expected is not None
    for _ in range(2):
        found = cache.depth(sha256, 0, longest_side=100)
        assert found is not None
        assert found.png == encode_depth(expected, longest_side=100)
        assert found.facts == {name: getattr(expected, name) for name in ("black", "white", "centre", "width", "unit")}


def test_that_there_is_no_depth_is_kept_too(
    store: ImageStore, cache: PictureCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha256 = store.add(FILM)
    assert cache.depth(sha256, 0, longest_side=100) is None
    monkeypatch.setattr(picture_cache, "whole_range", None)
    assert cache.depth(sha256, 0, longest_side=100) is None


def test_many_who_ask_at_once_decode_once(store: ImageStore, cache: PictureCache, draws: list[int]) -> None:
    sha256, pictures, together = store.add(FILM), [], threading.Barrier(8)

    def ask() -> None:
        together.wait()
        pictures.append(cache.shown(sha256, 0, longest_side=80))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert draws == [0]
    assert len(set(pictures)) == 1
    assert len(pictures) == 8


def test_who_waits_too_long_for_another_is_told_to_come_again(store: ImageStore) -> None:
    cache = PictureCache(store, max_bytes=10**7, limits=Limits(), patience=0.0)
    name = f"{store.add(FILM)}-image-f0-80-v{picture_cache._DRAWING}"
    with cache._one_at_a_time(name), pytest.raises(Busy):
        cache.shown(name[:64], 0, longest_side=80)
    assert cache.shown(name[:64], 0, longest_side=80)
    assert not cache._making


def test_the_least_recently_used_go_first(store: ImageStore, draws: list[int]) -> None:
    shas = [store.add(encode(GREY + number, "PNG")) for number in range(6)]
    one = len(encode_png(GREY))
    cache = PictureCache(store, max_bytes=4 * one, limits=Limits())
    for at, sha256 in enumerate(shas[:3]):
        cache.shown(sha256, 0, longest_side=200)
        [path] = (store.folder / PICTURES / sha256[:2]).glob(f"{sha256}-*")
        os.utime(path, (at, at))
    for sha256 in shas[3:]:
        cache.shown(shas[0], 0, longest_side=200)  # used again: now the latest
        cache.shown(sha256, 0, longest_side=200)
    left = {path.name[:64] for path in files(store)}
    assert shas[0] in left
    assert shas[1] not in left
    assert sum(path.stat().st_size for path in files(store)) <= 4 * one


def test_nothing_is_kept_where_nothing_may_be(store: ImageStore, draws: list[int]) -> None:
    cache, sha256 = PictureCache(store, max_bytes=0, limits=Limits()), store.add(FILM)
    assert cache.shown(sha256, 0, longest_side=80) == cache.shown(sha256, 0, longest_side=80)
    assert draws == [0, 0]
    assert files(store) == []


def test_pictures_go_with_their_image(store: ImageStore, cache: PictureCache) -> None:
    sha256, other = store.add(FILM), store.add(DEEP)
    for one in (sha256, other):
        cache.shown(one, 0, longest_side=80)
        cache.depth(one, 0, longest_side=80)
    store.forget(sha256)
    assert {path.name[:64] for path in files(store)} == {other}
    with pytest.raises(NotThere):
        cache.shown(sha256, 0, longest_side=80)
    assert cache.forget(other) == 2
    assert files(store) == []


def test_an_image_that_is_erased_while_it_is_drawn_leaves_no_picture(
    store: ImageStore, cache: PictureCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha256 = store.add(FILM)

    def erasing(data: bytes, *, frame: int, limits: Limits) -> object:
        store.storage.delete(f"images/{sha256[:2]}/{sha256}")
        return decode_image(data, frame=frame, limits=limits)

    monkeypatch.setattr(picture_cache, "decode", erasing)
    cache.shown(sha256, 0, longest_side=80)
    assert files(store) == []


def test_a_damaged_file_is_drawn_anew(store: ImageStore, cache: PictureCache, draws: list[int]) -> None:
    sha256 = store.add(FILM)
    first = cache.shown(sha256, 0, longest_side=80)
    [path] = files(store)
    whole = path.read_bytes()
    for damaged in (b"", whole[:-9], whole[:10], b"[]\n" + whole, bytes(len(whole))):
        path.write_bytes(damaged)
        assert cache.shown(sha256, 0, longest_side=80) == first
    assert len(draws) == 6


def test_files_are_the_owners_alone(store: ImageStore, cache: PictureCache) -> None:
    cache.shown(store.add(FILM), 0, longest_side=80)
    [path] = files(store)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert path.parent.parent.stat().st_mode & 0o777 == 0o700


def test_drawing_takes_from_the_memory_for_decoding(
    store: ImageStore, cache: PictureCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound = budget.Budget(200_000_000, patience=0.0)
    monkeypatch.setattr(budget, "_PROCESS", bound)
    sha256 = store.add(FILM)
    with bound.reserve(200_000_000), pytest.raises(Busy):
        cache.shown(sha256, 0, longest_side=80)
    assert cache.shown(sha256, 0, longest_side=80)
    assert bound.used == 0
