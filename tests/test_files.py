"""Files are whole or not there, and a disk that is full or a name that is too long is said in a sentence."""

import errno
import os
from pathlib import Path

import pytest

from secondread.errors import BundleError, CannotWrite, DiskFull
from secondread.files import shortened, shown, write_bytes, write_folder, write_json, writing


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_full_disk_is_named_and_leaves_the_old_file_and_no_half_of_the_new(small_disk: Path) -> None:
    target = small_disk / "map.png"
    write_bytes(target, b"old")
    with pytest.raises(DiskFull, match=r"no room left to write .*map\.png") as told:
        write_bytes(target, bytes(1_000_000))
    assert "another disk" in str(told.value)
    assert target.read_bytes() == b"old"
    assert files_in(small_disk) == ["map.png"]


def test_a_folder_is_written_whole_or_the_old_one_stays(small_disk: Path) -> None:
    bundle = small_disk / "mine"
    write_folder(bundle, {"bundle.json": b"{}", "model.onnx": b"old"}, marker="bundle.json")
    with pytest.raises(DiskFull, match="mine"):
        write_folder(bundle, {"bundle.json": b"{}", "model.onnx": bytes(1_000_000)}, marker="bundle.json")
    assert (bundle / "model.onnx").read_bytes() == b"old"
    assert files_in(small_disk) == ["mine/bundle.json", "mine/model.onnx"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_no_room_has_one_error_whatever_the_system_calls_it(tmp_path: Path, number: int) -> None:
    with pytest.raises(DiskFull, match="x"), writing(tmp_path / "x"):
        raise OSError(number, os.strerror(number))


def test_other_errors_pass(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), writing(tmp_path / "x"):
        raise PermissionError(errno.EACCES, "denied")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "other").write_text("")
    with pytest.raises(BundleError, match="other files"):
        write_folder(tmp_path / "mine", {}, marker="bundle.json")


@pytest.mark.parametrize("stem", ["a" * 250, "\u0905" * 85, "x" * 240 + ".dcm"])
def test_the_longest_names_of_a_disk_can_be_written(tmp_path: Path, stem: str) -> None:
    """The file that is written aside has a longer name, in which no letter may be cut in two."""
    target = tmp_path / stem
    write_json(target, {"a": 1})
    assert [path.name for path in tmp_path.iterdir()] == [stem]


def test_a_name_that_is_too_long_is_said(tmp_path: Path) -> None:
    with pytest.raises(CannotWrite, match="too long"):
        write_bytes(tmp_path / ("a" * 300), b"")


@pytest.mark.parametrize(
    ("stem", "expected"),
    [
        ("film", "film.heatmap.png"),
        ("a" * 300, "a" * 243 + ".heatmap.png"),
        ("\u0905" * 100, "\u0905" * 81 + ".heatmap.png"),
        ("\udcff" * 300, "\udcff" * 243 + ".heatmap.png"),
    ],
)
def test_names_are_cut_to_what_a_disk_takes(stem: str, expected: str) -> None:
    found = shortened(stem, ".heatmap.png")
    assert found == expected
    assert len(os.fsencode(found)) <= 255


def test_names_that_are_not_utf_8_can_be_shown() -> None:
    assert shown(os.fsdecode(b"film-\xff.png")) == "film-\\xff.png"
    assert shown(Path("ordinary.png")) == "ordinary.png"
    shown(os.fsdecode(b"\xff")).encode("utf-8")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_device_or_a_folder_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    for name in ("folder", "pipe", "link"):
        with pytest.raises(CannotWrite, match="no file"):
            write_bytes(tmp_path / name, b"new")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["folder", "link", "pipe"]
    assert (tmp_path / "pipe").is_fifo()
