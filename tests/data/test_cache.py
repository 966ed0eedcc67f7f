"""The cache of prepared images: right, whole and built once, whatever happens to files and processes."""

import multiprocessing
import os
import subprocess
import sys
from dataclasses import replace
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from secondread.data import Manifest, prepared_cache
from secondread.data import cache as cache_module
from secondread.errors import CannotOpen, DataInvalid, ExtraMissing
from secondread.images import PrepareSpec, decode, prepare
from secondread.testing.phantoms import chest_phantom, encode
from tests.data.folders import manifest_of, write_images

SPEC = PrepareSpec(size=24)


class Steps(list[tuple[int, int]]):
    """Remembers the calls of a progress function; a cache that was only loaded reports once."""

    def __call__(self, done: int, total: int) -> None:
        self.append((done, total))


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    return manifest_of(write_images(tmp_path / "images", [f"{n}.png" for n in range(7)]), tmp_path / "images")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def files(folder: Path) -> list[str]:
    return sorted(path.suffix for path in folder.iterdir())


@pytest.mark.parametrize("spec", [SPEC, PrepareSpec(size=16, channels=3, aspect="pad", clahe=2.0)])
def test_images_are_what_prepare_gives_in_row_order(manifest: Manifest, folder: Path, spec: PrepareSpec) -> None:
    prepared = prepared_cache(manifest, spec, folder=folder)
    straight = [prepare(decode(row.path.read_bytes()), spec).pixels for row in manifest.rows]
    np.testing.assert_array_equal(prepared.images, straight)
    assert prepared.rows == manifest.rows
    assert prepared.labels.tolist() == manifest.labels.tolist()
    assert isinstance(prepared.images, np.memmap)
    assert not prepared.images.flags.writeable


def test_built_once_then_loaded(manifest: Manifest, folder: Path) -> None:
    first, second = Steps(), Steps()
    prepared_cache(manifest, SPEC, folder=folder, progress=first)
    prepared_cache(manifest, SPEC, folder=folder, progress=second)
    assert first == [(n, 7) for n in range(1, 8)]
    assert second == [(7, 7)]
    assert files(folder) == [".json", ".lock", ".npy"]


def test_a_changed_file_is_seen_even_with_the_same_size_and_time(manifest: Manifest, folder: Path) -> None:
    path = manifest.rows[2].path
    path.write_bytes(encode(chest_phantom(40, random_state=8), "BMP"))
    before, stat = prepared_cache(manifest, SPEC, folder=folder), path.stat()
    path.write_bytes(encode(chest_phantom(40, random_state=9), "BMP"))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    after = prepared_cache(manifest, SPEC, folder=folder)
    assert path.stat().st_size == stat.st_size
    assert [bool((before.images[n] != after.images[n]).any()) for n in range(7)] == [n == 2 for n in range(7)]


def test_a_changed_spec_version_or_order_makes_another(
    manifest: Manifest, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared_cache(manifest, SPEC, folder=folder)
    prepared_cache(manifest, replace(SPEC, denoise_sigma=1.0), folder=folder)
    prepared_cache(replace(manifest, rows=manifest.rows[::-1]), SPEC, folder=folder)
    monkeypatch.setattr(cache_module, "PREPROCESSING_VERSION", -1)
    prepared_cache(manifest, SPEC, folder=folder)
    assert files(folder).count(".npy") == 4


def test_labels_and_names_are_the_manifests(manifest: Manifest, folder: Path) -> None:
    prepared_cache(manifest, SPEC, folder=folder)
    turned = replace(manifest, rows=tuple(replace(row, label=1 - row.label, name="x") for row in manifest.rows))
    steps = Steps()
    prepared = prepared_cache(turned, SPEC, folder=folder, progress=steps)
    assert steps == [(7, 7)]
    assert prepared.labels.tolist() == (~manifest.labels).tolist()
    assert prepared.rows == turned.rows


@pytest.mark.parametrize("damage", ["cut", "longer", "garbage", "empty", "other shape", "no report", "odd report"])
def test_a_damaged_cache_is_rebuilt(manifest: Manifest, folder: Path, damage: str) -> None:
    right = np.array(prepared_cache(manifest, SPEC, folder=folder).images)
    array, report = next(folder.glob("*.npy")), next(folder.glob("*.json"))
    content = array.read_bytes()
    if damage == "other shape":
        np.save(array, right[:3])
    elif damage == "no report":
        report.unlink()
    elif damage == "odd report":
        report.write_text("[1]")
    else:
        array.unlink()  # not written over: the first set is still mapped
        damaged = {"cut": content[:-9], "longer": content + b"\0", "garbage": b"garbage" * 99, "empty": b""}
        array.write_bytes(damaged[damage])
    steps = Steps()
    again = prepared_cache(manifest, SPEC, folder=folder, progress=steps)
    assert len(steps) == 7
    np.testing.assert_array_equal(again.images, right)


@pytest.fixture
def with_bad(manifest: Manifest) -> Manifest:
    manifest.rows[1].path.write_bytes(b"not an image")
    manifest.rows[4].path.write_bytes(manifest.rows[4].path.read_bytes()[:200])
    return manifest


def test_unreadable_images_are_all_named(with_bad: Manifest, folder: Path) -> None:
    for _ in range(2):  # from the cache, too
        with pytest.raises(DataInvalid, match=r"2 of 7 images cannot be read \('1\.png': .*; '4\.png': "):
            prepared_cache(with_bad, SPEC, folder=folder)


def test_unreadable_images_are_skipped_and_reported(with_bad: Manifest, folder: Path) -> None:
    with_bad.rows[6].path.unlink()
    good = [0, 2, 3, 5]
    for expected in (6, 1):  # built, then loaded
        steps = Steps()
        prepared = prepared_cache(with_bad, SPEC, folder=folder, on_bad="skip", progress=steps)
        assert len(steps) == expected
        assert prepared.rows == tuple(with_bad.rows[n] for n in good)
        assert prepared.labels.tolist() == with_bad.labels[good].tolist()
        assert sorted(row.name for row, _ in prepared.skipped) == ["1.png", "4.png", "6.png"]
        straight = [prepare(decode(with_bad.rows[n].path.read_bytes()), SPEC).pixels for n in good]
        np.testing.assert_array_equal(prepared.images, straight)


def test_nothing_readable_is_an_error_even_when_skipping(manifest: Manifest, folder: Path) -> None:
    for row in manifest.rows:
        row.path.write_bytes(b"x")
    with pytest.raises(DataInvalid, match=r"7 of 7.*and 2 more"):
        prepared_cache(manifest, SPEC, folder=folder, on_bad="skip")
    with pytest.raises(DataInvalid, match="no images"):
        prepared_cache(replace(manifest, rows=()), SPEC, folder=folder)


def test_a_file_that_changes_while_it_is_read_is_not_cached(
    manifest: Manifest, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_module, "digest_of", lambda path: "as it was before")
    with pytest.raises(DataInvalid, match="changed while it was read"):
        prepared_cache(manifest, SPEC, folder=folder)
    assert files(folder) == [".lock"]


def test_no_space_is_said_before_anything_is_written(
    manifest: Manifest, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 10}))
    with pytest.raises(CannotOpen, match="SECONDREAD_CACHE"):
        prepared_cache(manifest, SPEC, folder=folder)
    assert files(folder) == [".lock"]


def test_a_folder_that_cannot_be_made_is_an_error(manifest: Manifest, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotOpen, match="SECONDREAD_CACHE"):
        prepared_cache(manifest, SPEC, folder=tmp_path / "file" / "cache")


def test_the_environment_names_the_default_folder(
    manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECONDREAD_CACHE", str(tmp_path / "named"))
    prepared_cache(manifest, SPEC)
    monkeypatch.delenv("SECONDREAD_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    prepared_cache(manifest, SPEC)
    assert len(list((tmp_path / "named").glob("*.npy"))) == 1
    assert len(list((tmp_path / "home").rglob("*.npy"))) == 1


@pytest.mark.parametrize("module", ["filelock", "platformdirs"])
def test_without_the_extra_its_name_is_told(manifest: Manifest, monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    monkeypatch.delenv("SECONDREAD_CACHE", raising=False)
    monkeypatch.setitem(
        sys.modules, "platformdirs", type("Fake", (), {"user_cache_path": lambda *_, **__: manifest.folder})
    )
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ExtraMissing, match=r"secondread\[train\]"):
        prepared_cache(manifest, SPEC)


def _build(manifest: Manifest, folder: Path, barrier: Barrier, answers: Any) -> None:
    steps = Steps()
    barrier.wait()
    prepared = prepared_cache(manifest, SPEC, folder=folder, progress=steps)
    answers.put((len(steps), int(prepared.images.astype(np.int64).sum())))


def test_two_processes_at_once_build_one_cache(tmp_path: Path, folder: Path) -> None:
    images = tmp_path / "images"
    manifest = manifest_of(write_images(images, [f"{n}.png" for n in range(60)], size=200), images)
    context = multiprocessing.get_context("spawn")
    barrier, answers = context.Barrier(2), context.Queue()
    both = [context.Process(target=_build, args=(manifest, folder, barrier, answers)) for _ in range(2)]
    for process in both:
        process.start()
    results = [answers.get(timeout=120) for _ in both]
    for process in both:
        process.join()
    expected = int(prepared_cache(manifest, SPEC, folder=folder).images.astype(np.int64).sum())
    assert sorted(results) == [(1, expected), (60, expected)]  # one built it, the other waited and loaded it
    assert files(folder) == [".json", ".lock", ".npy"]


KILLED = """
import os, sys
from pathlib import Path
from secondread.data import import_folder
from secondread.data import prepared_cache
from secondread.images import PrepareSpec
prepared_cache(import_folder(sys.argv[1]), PrepareSpec(size=24), folder=Path(sys.argv[2]),
               progress=lambda done, total: os._exit(9) if done == 3 else None)
"""


def test_a_killed_process_leaves_nothing_that_is_taken_for_a_cache(tmp_path: Path, folder: Path) -> None:
    from secondread.data import import_folder

    write_images(tmp_path / "images", [f"{n}_{n % 2}.png" for n in range(7)])
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "images"), str(folder)], check=False)
    assert killed.returncode == 9
    assert files(folder) == [".lock", ".part"]
    steps = Steps()
    prepared_cache(import_folder(tmp_path / "images"), SPEC, folder=folder, progress=steps)
    assert len(steps) == 7
    assert files(folder) == [".json", ".lock", ".npy"]
