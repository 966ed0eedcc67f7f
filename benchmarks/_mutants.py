"""Wrong files for the fuzzer: what damages the valid ones (_mutant_seeds.py), the same for the same number.

Some damage is blind (bits, bytes, pieces cut, doubled or stitched together), some knows the format: it changes lengths,
counts and sizes where the format keeps them (_mutant_fields.py), and mends what would hide the change (a PNG chunk's
checksum, a deflated data set).
"""

import random
import zlib
from functools import cache

from tests.crafted import png_chunk, png_chunks

from benchmarks._mutant_fields import Field, fields_of
from benchmarks._mutant_seeds import seeds_of

_TELLING = (0, 1, 2, 3, 7, 8, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000)
_MOST = 0xFFFFFFFFFFFFFFFF
_TELLING += (0xFFFFFFFE, 0xFFFFFFFF, 0x100000000, 0x7FFFFFFFFFFFFFFF, _MOST)


def mutant(family: str, number: int) -> tuple[str, bytes]:
    """Case `number` of a family, 'images' or 'archives': the seed it came from, and the bytes."""
    rng = random.Random(f"{family}-{number}")
    name, seeds = seed_name(family, number), seeds_of(family)
    data = seeds[name]
    if rng.random() < 0.5:
        data = _by_format(name, data, rng)
    if rng.random() < 0.6 or data == seeds[name]:
        for _ in range(rng.choice((1, 1, 1, 2, 4))):
            data = rng.choice(_BLIND)(data, rng, family)
    return name, data


def seed_name(family: str, number: int) -> str:
    """Of the seed that a case comes from."""
    turns = _turns(family)
    return turns[number % len(turns)]


@cache
def _turns(family: str) -> tuple[str, ...]:
    """Seeds in the order they are taken: DICOM costs ten times as much to parse as the others and comes less often, and
    JPEG-LS another ten times, since a process of its own decodes it.
    """
    times = dict.fromkeys(seeds_of(family), 64 if family == "images" else 1)
    times |= {name: 1 if "jpegls" in name else 8 for name in times if name.startswith("dicom")}
    order = random.Random(0)
    turns = [name for name, n in times.items() for _ in range(n)]
    order.shuffle(turns)
    return tuple(turns)


# --- damage that knows the format ------------------------------------------------------------------------------------


def _by_format(name: str, data: bytes, rng: random.Random) -> bytes:
    if name.startswith("png"):
        return _png(data, rng)
    if name == "dicom-deflated" and rng.random() < 0.7:
        return _inflated(data, rng)
    return _numbers_at(data, rng, fields_of(name))


def _numbers_at(data: bytes, rng: random.Random, fields: tuple[Field, ...]) -> bytes:
    """Telling numbers, or others near by, in one to three of these fields."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 3)) if fields else 0):
        at, wide, order = fields[rng.randrange(len(fields))]
        old = int.from_bytes(changed[at : at + wide], order)  # type: ignore[arg-type]
        new = rng.choice(
            (rng.choice(_TELLING), old + rng.randint(-4, 4), old * 2, old ^ (1 << rng.randrange(8 * wide)))
        )
        changed[at : at + wide] = (new % 256**wide).to_bytes(wide, order)  # type: ignore[arg-type]
    return bytes(changed)


def _png(data: bytes, rng: random.Random) -> bytes:
    """One chunk changed, repeated, moved or left out; or its pixels, deflated anew; all checksums right."""
    chunks = png_chunks(data)
    at = rng.randrange(len(chunks))
    kind, body = chunks[at]
    way = rng.randrange(6)
    if way == 0 and kind == b"IDAT":
        chunks[at] = (kind, zlib.compress(_flip(zlib.decompress(body), rng, "images"), 1))
    elif way == 1:
        chunks.insert(rng.randrange(len(chunks)), chunks[at])
    elif way == 2:
        del chunks[at]
    elif way == 3:
        chunks[at], other = chunks[rng.randrange(len(chunks))], chunks[at]
        chunks.append(other)
    elif way == 4:
        header = chunks[0][1]
        place = tuple(zip((0, 4, 8, 9, 10, 11, 12), (4, 4, 1, 1, 1, 1, 1), ["big"] * 7, strict=True))
        chunks[0] = (b"IHDR", _numbers_at(header, rng, place))
    elif body:
        chunks[at] = (kind, rng.choice((_flip, _number, _cut))(body, rng, "images"))
    return data[:8] + b"".join(png_chunk(*chunk) for chunk in chunks)


def _inflated(data: bytes, rng: random.Random) -> bytes:
    """The data set of a deflated DICOM file changed, and deflated again."""
    at = 144 + int.from_bytes(data[140:144], "little")
    inside = zlib.decompress(data[at:], -15)
    changed = rng.choice((_flip, _number, _cut, _remove))(inside, rng, "images")
    deflate = zlib.compressobj(1, zlib.DEFLATED, -15)
    return data[:at] + deflate.compress(changed) + deflate.flush()


# --- blind damage ----------------------------------------------------------------------------------------------------


def _place(data: bytes, rng: random.Random) -> int:
    """A position; half of them in the first kilobyte, where the headers are."""
    most = min(len(data), 1024) if rng.random() < 0.5 else len(data)
    return rng.randrange(max(1, most))


def _cut(data: bytes, rng: random.Random, _: str) -> bytes:
    return data[: rng.randrange(max(1, len(data)))]


def _flip(data: bytes, rng: random.Random, _: str) -> bytes:
    changed = bytearray(data)
    for _n in range(rng.choice((1, 1, 2, 4, 16)) if data else 0):
        changed[_place(data, rng)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _overwrite(data: bytes, rng: random.Random, _: str) -> bytes:
    at, length = _place(data, rng), rng.choice((1, 2, 8, 64))
    new = rng.choice((bytes(length), b"\xff" * length, rng.randbytes(length)))
    return (data[:at] + new + data[at + length :])[: len(data)]


def _number(data: bytes, rng: random.Random, _: str) -> bytes:
    wide = rng.choice((1, 2, 4, 8))
    at = _place(data, rng)
    new = (rng.choice(_TELLING) % 256**wide).to_bytes(wide, rng.choice(("little", "big")))
    return (data[:at] + new + data[at + wide :])[: len(data)]


def _double(data: bytes, rng: random.Random, _: str) -> bytes:
    first, last = sorted((_place(data, rng), _place(data, rng)))
    return data[:last] + data[first:last] * rng.randint(1, 3) + data[last:]


def _remove(data: bytes, rng: random.Random, _: str) -> bytes:
    first, last = sorted((_place(data, rng), _place(data, rng)))
    return data[:first] + data[last:]


def _append(data: bytes, rng: random.Random, _: str) -> bytes:
    return data + rng.randbytes(rng.choice((1, 4, 64, 1024)))


def _stitch(data: bytes, rng: random.Random, family: str) -> bytes:
    """The head of one file, the tail of another."""
    others = seeds_of(family)
    other = others[rng.choice(list(others))]
    return data[: _place(data, rng)] + other[_place(other, rng) :]


_BLIND = (_cut, _flip, _flip, _flip, _overwrite, _overwrite, _number, _number, _double, _remove, _append, _stitch)
