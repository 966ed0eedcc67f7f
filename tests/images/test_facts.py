"""What a file says about itself, and the hash that stays when it is saved again."""

import numpy as np
import pytest

from secondread.images import perceptual_hash, quantisation
from secondread.testing.phantoms import chest_phantom, encode

FILM = chest_phantom(96, random_state=0)


def test_tables_tell_one_jpeg_quality_from_another() -> None:
    found = {quality: quantisation(encode(FILM, "JPEG", quality=quality)) for quality in (30, 75, 95)}
    assert len(set(found.values())) == 3
    assert found[75] == quantisation(encode(chest_phantom(64, random_state=1), "JPEG", quality=75))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WebP", "BMP"])
def test_other_formats_have_no_tables(kind: str) -> None:
    assert quantisation(encode(FILM, kind)) == ""


def test_any_cut_and_any_damage_still_gives_an_answer() -> None:
    data = encode(FILM, "JPEG")
    rng = np.random.default_rng(0)
    for end in range(0, 700, 7):
        quantisation(data[:end])
    for _ in range(300):
        damaged = bytearray(data)
        damaged[rng.integers(2, 700)] = rng.integers(0, 256)
        quantisation(bytes(damaged))
    assert quantisation(b"\xff\xd8\xff\xdb\x00\x00" * 50)  # a length of 0 does not stop the reading


def test_a_hash_stays_near_when_a_film_is_saved_again_and_not_when_it_is_another() -> None:
    pytest.importorskip("imagehash")
    dim = (FILM * 0.7 + 20).astype(np.uint8)
    turned = np.ascontiguousarray(np.rot90(FILM))
    assert (perceptual_hash(FILM) ^ perceptual_hash(dim)).bit_count() <= 8
    assert (perceptual_hash(FILM) ^ perceptual_hash(turned)).bit_count() > 8
    assert 0 <= perceptual_hash(FILM) < 2**64
