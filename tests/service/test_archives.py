"""Archives made to cost much, to lie or to break: refused in words, as a whole or file by file, and cheaply."""

import bz2
import io
import lzma
import random
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from secondread.errors import UploadRefused
from secondread.service import ReadingRequest, Service
from secondread.service.archives import Bounds, members
from tests.service.conftest import ANNA
from tests.service.stubs import image_bytes

GOOD = ("good.png", b"good" * 50)


class Counted(io.BytesIO):
    """Knows how many of its bytes were read."""

    n_read = 0

    def read(self, size: int | None = -1, /) -> bytes:
        got = super().read(size)
        self.n_read += len(got)
        return got


def zipped(*files: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytearray:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as archive:
        for name, data in files:
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return bytearray(target.getvalue())


def packed(*files: tuple[bytes, int, bytes, int, int], flags: int = 0) -> bytes:
    """By hand, so that it may lie: name, method, packed bytes, size unpacked, checksum."""
    body, table = b"", b""
    for name, method, data, size, crc in files:
        facts = struct.pack("<3H4x3I2H", 20, flags, method, crc, len(data), size, len(name), 0)
        table += struct.pack("<4sH", b"PK\x01\x02", 0) + facts + struct.pack("<3H2I", 0, 0, 0, 0, len(body)) + name
        body += b"PK\x03\x04" + facts + name + data
    return body + table + end_of(len(files), len(table), len(body))


def end_of(n: int, size: int, start: int, *, disk: int = 0, comment: bytes = b"") -> bytes:
    return struct.pack("<4s4H2IH", b"PK\x05\x06", disk, 0, n, n, size, start, len(comment)) + comment


def content(data: bytes | bytearray, bounds: Bounds | None = None) -> dict[str, bytes | str]:
    """By name: the bytes, or the code of the refusal."""
    found = members(io.BytesIO(bytes(data)), bounds or Bounds())
    return {name: got.code if isinstance(got, UploadRefused) else got for name, got in found}


def refusal(data: bytes | bytearray, bounds: Bounds | None = None) -> UploadRefused:
    with pytest.raises(UploadRefused) as caught:
        content(data, bounds)
    return caught.value


def put(data: bytearray, signature: bytes, offset: int, layout: str, value: int, *, which: int = 0) -> bytearray:
    """With another number in one of the records that begin with this signature."""
    at = -1
    for _ in range(which + 1):
        at = data.index(signature, at + 1)
    struct.pack_into(layout, data, at + offset, value)
    return data


def peak_of(call: Callable[[], object]) -> int:
    """Bytes that it held at most, as far as Python knows of them."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


# --- honest ones ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 400_000])
def test_every_usual_method_gives_the_bytes_back(method: int, size: int) -> None:
    mixed = zlib.compress(bytes(range(256)) * 2000)  # hardly compressible, then zeros
    data = (mixed[: size // 2] + bytes(size))[:size]
    assert content(zipped(("a.png", data), GOOD, method=method)) == {"a.png": data, GOOD[0]: GOOD[1]}


def test_sizes_in_64_bits_comments_streams_and_folders_are_read() -> None:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.comment = b"sent by ward 7, see PK\x05\x06 below"
        archive.mkdir("ward")
        with archive.open("ward/ä.png", "w", force_zip64=True) as member:
            member.write(GOOD[1])
    assert content(target.getvalue()) == {"ward/ä.png": GOOD[1]}
    old = packed((b"Men\x81\\", 0, b"", 0, 0), (b"Men\x81\\1.png", 0, b"x", 1, zlib.crc32(b"x")))  # code page 437
    assert content(old) == {"Menü\\1.png": b"x"}


def test_an_end_record_in_64_bits_is_read() -> None:
    data = bytes(zipped(GOOD))
    at = data.rindex(b"PK\x05\x06")
    n, size, start = struct.unpack("<H2I", data[at + 10 : at + 20])
    record = struct.pack("<4sQ2H2I4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, n, n, size, start)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, at, 1)
    end = end_of(0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF)
    assert content(data[:at] + record + locator + end) == {GOOD[0]: GOOD[1]}
    elsewhere = struct.pack("<4sIQI", b"PK\x06\x07", 0, at + 1, 1)
    assert refusal(data[:at] + record + elsewhere + end).code == "archive_damaged"


# --- refused before the list is parsed --------------------------------------------------------------------------------


def test_a_list_of_millions_is_refused_by_its_end_record_alone() -> None:
    entry = bytes(zipped(("a", b"")))[31:-22]
    table = entry * 300_000
    at = len(table)
    record = struct.pack("<4sQ2H2I4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 300_000, 300_000, len(table), 0)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, at, 1)
    file = Counted(table + record + locator + end_of(0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF))
    with pytest.raises(UploadRefused, match="lists 300000 files") as caught:
        list(members(file, Bounds()))
    assert caught.value.code == "too_many_files"
    assert file.n_read < 70_000


def test_a_list_that_claims_few_files_and_is_long_is_refused_unparsed() -> None:
    file = Counted(bytes(20_000_000) + end_of(1, 20_000_000, 0))
    with pytest.raises(UploadRefused):
        list(members(file, Bounds()))
    assert file.n_read < 70_000


@pytest.mark.parametrize("claimed", [0, 1, 3, 2000])
def test_an_end_record_that_miscounts_is_refused(claimed: int) -> None:
    data = zipped(GOOD, ("b.png", b"b"))
    put(data, b"PK\x05\x06", 8, "<H", claimed)
    put(data, b"PK\x05\x06", 10, "<H", claimed)
    assert refusal(data).code == "archive_damaged"


@pytest.mark.parametrize("offset", [12, 16])  # size of the list, and its place
@pytest.mark.parametrize("change", [-1, 1, 46, 2**31])
def test_a_list_that_is_not_where_it_is_said_to_be_is_refused(offset: int, change: int) -> None:
    data = zipped(GOOD)
    (old,) = struct.unpack_from("<I", data, data.index(b"PK\x05\x06") + offset)
    put(data, b"PK\x05\x06", offset, "<I", old + change)
    assert refusal(data).code in ("archive_damaged", "too_many_files")


def test_one_part_of_several_says_so() -> None:
    assert "one part of several" in str(refusal(put(zipped(GOOD), b"PK\x05\x06", 4, "<H", 1)))


def test_something_in_front_of_or_behind_an_archive_is_refused() -> None:
    """What two programs could read in two ways is read in none."""
    assert refusal(b"PK\x03\x04 something" + zipped(GOOD)).code == "archive_damaged"
    assert refusal(zipped(GOOD) + b"\0").code == "archive_damaged"


# --- refused file by file ---------------------------------------------------------------------------------------------

FAULTS: dict[str, tuple[bytearray, str]] = {
    "lzma damaged": (zipped(("a", b"film" * 99), method=zipfile.ZIP_LZMA), "archive_damaged"),
    "bzip2 damaged": (zipped(("a", b"film" * 99), method=zipfile.ZIP_BZIP2), "archive_damaged"),
    "deflate damaged": (zipped(("a", b"film" * 99)), "archive_damaged"),
    "stored damaged": (zipped(("a", b"film" * 99), method=zipfile.ZIP_STORED), "archive_damaged"),
    "checksum": (put(zipped(("a", b"film")), b"PK\x01\x02", 16, "<I", 7), "archive_damaged"),
    "too short": (put(zipped(("a", b"film")), b"PK\x01\x02", 24, "<I", 5), "archive_damaged"),
    "too long": (put(zipped(("a", b"film")), b"PK\x01\x02", 24, "<I", 3), "archive_damaged"),
    "packed bytes beyond the next": (put(zipped(("a", b"film")), b"PK\x01\x02", 20, "<I", 9999), "archive_damaged"),
    "header elsewhere": (put(zipped(("a", b"film")), b"PK\x01\x02", 42, "<I", 2**32 - 2), "archive_damaged"),
    "header in 64 bits, not there": (put(zipped(("a", b"")), b"PK\x01\x02", 42, "<I", 2**32 - 1), "archive_damaged"),
    "another name in its header": (put(zipped(("a", b"film")), b"PK\x03\x04", 30, "<B", 98), "archive_damaged"),
    "method 9": (put(zipped(("a", b"film")), b"PK\x01\x02", 10, "<H", 9), "archive_packing"),
    "method 93": (put(zipped(("a", b"film")), b"PK\x01\x02", 10, "<H", 93), "archive_packing"),
    "method 4711": (put(zipped(("a", b"film")), b"PK\x01\x02", 10, "<H", 4711), "archive_packing"),
    "encrypted": (put(zipped(("a", b"film")), b"PK\x01\x02", 8, "<H", 1), "archive_encrypted"),
    "a link": (put(zipped(("a", b"/etc/passwd")), b"PK\x01\x02", 38, "<I", 0o120777 << 16), "archive_path"),
    "a device": (put(zipped(("a", b"")), b"PK\x01\x02", 38, "<I", 0o060666 << 16), "archive_path"),
}
for _kind in ("lzma", "bzip2", "deflate", "stored"):
    _data = FAULTS[f"{_kind} damaged"][0]
    for _at in range(42, 46) if _kind != "deflate" else range(32, 36):  # in the middle of what is packed
        _data[_at] ^= 0xFF


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_one_file_leaves_the_others(name: str) -> None:
    """The wrong file behind a good one, its list's entry first."""
    wrong, code = FAULTS[name]
    assert content(joined(wrong, zipped(GOOD))) == {"a": code, GOOD[0]: GOOD[1]}


def joined(*archives: bytearray) -> bytes:
    """Their files in one archive, each as its own list describes it."""
    body, table = b"", b""
    for data in archives:
        end = data.rindex(b"PK\x05\x06")
        size, start = struct.unpack_from("<2I", data, end + 12)
        entry = bytearray(data[start : start + size])
        (place,) = struct.unpack_from("<I", entry, 42)
        struct.pack_into("<I", entry, 42, min(place + len(body), 2**32 - 1))
        body, table = body + bytes(data[:start]), table + bytes(entry)
    return body + table + end_of(len(archives), len(table), len(body))


def test_files_that_share_their_bytes_are_refused_and_the_others_read() -> None:
    """Fifield 2019: one kernel, packed once and listed again and again, or quoted by the file before it."""
    data = zipped(("a", b"kernel" * 50), ("b", b"x"), GOOD)
    at = data.index(b"PK\x01\x02")
    same = data[at : data.index(b"PK\x01\x02", at + 1)]
    table = same + data[at : data.rindex(b"PK\x05\x06")]
    shared = bytes(data[:at]) + bytes(table) + end_of(4, len(table), at)
    assert list(members(io.BytesIO(shared), Bounds()))[3] == GOOD
    assert content(shared) == {"a": "archive_name", "b": b"x", GOOD[0]: GOOD[1]} | {"a": content(shared)["a"]}
    assert {type(got) for name, got in members(io.BytesIO(shared), Bounds()) if name == "a"} == {UploadRefused}
    second = data.index(b"PK\x03\x04", 4)
    quoting = put(data, b"PK\x01\x02", 20, "<I", second + 40)  # the first one's bytes reach into the second's
    assert content(quoting)["a"] == "archive_damaged"
    assert content(quoting)[GOOD[0]] == GOOD[1]


@pytest.mark.parametrize(
    ("method", "pack"),
    [
        (8, lambda data: zlib.compress(data, 9)[2:-4]),
        (12, bz2.compress),
        (14, lambda data: b"\x09\x04\x05\x00" + _lzma(data)),
    ],
)
def test_what_unpacks_to_more_than_it_says_is_stopped_within_a_step(
    method: int, pack: Callable[[bytes], bytes]
) -> None:
    """A few kB that stand for 10 MB, and claim to be 60 kB: no decoder may make them all at once."""
    data = packed((b"bomb.png", method, pack(bytes(10_000_000)), 60_000, 0), (b"b", 0, b"x", 1, zlib.crc32(b"x")))
    peak = peak_of(lambda: content(data))
    assert content(data) == {"bomb.png": "archive_damaged", "b": b"x"}
    assert peak < 2_000_000


def _lzma(data: bytes, dictionary: int = 1 << 16) -> bytes:
    """The properties and the stream, as in a zip archive (APPNOTE 5.8)."""
    filters = [{"id": lzma.FILTER_LZMA1, "dict_size": dictionary}]
    head = struct.pack("<BI", 93, dictionary)  # lc 3, lp 0, pb 2
    return head + lzma.compress(data, lzma.FORMAT_RAW, filters=filters)


def test_a_dictionary_of_gigabytes_is_refused_before_it_is_asked_for() -> None:
    stream = _lzma(b"film" * 20)
    data = packed((b"a", 14, b"\x09\x04\x05\x00" + stream[:1] + b"\xff\xff\xff\xff" + stream[5:], 80, 0))
    assert content(data) == {"a": "archive_packing"}


def test_a_file_that_is_large_as_a_whole_is_read_in_one_copy() -> None:
    file = io.BytesIO(bytes(zipped(("a", random.Random(0).randbytes(10_000_000)))))
    assert peak_of(lambda: [len(got) for _, got in members(file, Bounds())]) < 16_000_000  # type: ignore[arg-type]


def test_one_size_that_lies_does_not_refuse_the_whole() -> None:
    wrong = put(zipped(("a", b"film")), b"PK\x01\x02", 24, "<I", 2**32 - 2)
    assert content(joined(wrong, zipped(GOOD))) == {"a": "too_large", GOOD[0]: GOOD[1]}


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"../up.png", "archive_path"),
        (b"/etc/passwd", "archive_path"),
        (b"c:\\win.png", "archive_path"),
        (b"a\\..\\..\\b.png", "archive_path"),
        (b"a.png\0.exe", "archive_name"),
        (b"", "archive_name"),
        (b".", "archive_name"),
        (b"a" * 60_000, "archive_name"),
    ],
)
def test_a_name_that_is_none_is_refused_by_itself(raw: bytes, code: str) -> None:
    found = list(members(io.BytesIO(packed((raw, 0, b"x", 1, zlib.crc32(b"x")), (b"b", 0, b"", 0, 0))), Bounds()))
    assert isinstance(found[0][1], UploadRefused)
    assert found[0][1].code == code
    assert len(found[0][0]) <= 1000
    assert found[1] == ("b", b"")


def test_of_two_files_with_one_name_the_second_is_refused() -> None:
    one = zlib.crc32(b"1")
    found = list(members(io.BytesIO(packed((b"a", 0, b"1", 1, one), (b"a", 0, b"1", 1, one))), Bounds()))
    assert found[0] == ("a", b"1")
    assert isinstance(found[1][1], UploadRefused)
    assert "has this name" in str(found[1][1])


def test_names_that_would_deceive_or_break_the_store_are_kept_as_text(service: Service) -> None:
    names = ["a\u202egnp.exe", "b\0.png", "c\x1b[31m.png", "d\ud800.png", "e" * 5000]
    files = [(name, image_bytes(index)) for index, name in enumerate(names)]
    batch = service.intake.take(files, ReadingRequest("auto"), actor=ANNA)
    *kept, long = sorted(item.name for item in service.queue.items(batch))
    assert kept == ["a\\u202egnp.exe", "b\\x00.png", "c\\x1b[31m.png", "d\\ud800.png"]
    assert set(long) == {"e"}
    assert len(long) <= 1000


# --- the way of an upload ---------------------------------------------------------------------------------------------


def test_an_upload_with_a_damaged_member_keeps_the_others(service: Service) -> None:
    film = image_bytes(1)
    data = joined(FAULTS["lzma damaged"][0], FAULTS["header in 64 bits, not there"][0], zipped(("film.png", film)))
    batch = service.intake.take([("all.zip", data)], ReadingRequest("auto"), actor=ANNA)
    states = sorted((item.name, item.state, item.code) for item in service.queue.items(batch))
    wrong = ("a", "refused", "archive_damaged")
    assert states[0] == wrong
    assert states[1][:2] == ("a", "refused")
    assert states[2] == ("film.png", "queued", "")


def test_a_file_that_is_too_large_is_refused_without_being_held(service: Service, tmp_path: Path) -> None:
    large = tmp_path / "large.bin"
    with large.open("wb") as file:
        file.truncate(service.intake.bounds.max_file_bytes + 1)
    with large.open("rb") as file:
        peak = peak_of(lambda: service.intake.take([("large.bin", file)], ReadingRequest("auto"), actor=ANNA))
    assert peak < 20_000_000
    (batch,) = service.queue.batches()
    assert [item.code for item in service.queue.items(batch.id)] == ["too_large"]
