"""Pairs of images worth comparing pixel by pixel: found by sorting and by a tree, so not every pair is looked at."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np

from secondread.data.audit._looks import SIDE
from secondread.data.audit._rings import ring_features
from secondread.errors import ExtraMissing
from secondread.images import perceptual_hash

# Of 1,440 changed copies put among the 9,575 benchmark images (mirrored, turned by right angles or up to 10°, halved,
# saved at JPEG quality 30, brightened, other contrast or gamma) every one was a candidate of its original. Hashes alone
# lose what is turned by a few degrees; rings alone rank films that were brightened until parts are white 13th.
_NEIGHBOURS = 12
_BITS_APART = 8  # of 64; copies with other contrast, size or compression differ in 0 to 8
_BANDS = 8  # starting points in the hash; two hashes 8 bits apart nearly always agree at the start of some band
_WINDOW = 12  # entries compared after each one in sorted order
_FEATURELESS = 3.0  # grey levels of standard deviation: blank films are all alike, and none is a copy


def candidate_pairs(thumbnails: np.ndarray, spectra: np.ndarray) -> np.ndarray:
    """Index pairs, int (n_pairs, 2), each once with the lower first. Raises ExtraMissing.

    thumbnails: uint8 (n, SIDE, SIDE); spectra: of `ring_spectra`. The number of pairs grows as n does.
    """
    kept = np.flatnonzero(thumbnails.reshape(len(thumbnails), -1).std(axis=1) > _FEATURELESS)
    if len(kept) < 2:
        return np.zeros((0, 2), dtype=int)
    pairs = np.concatenate([_neighbours(spectra[kept]), _alike(_hashes(thumbnails[kept]))])
    return kept[np.unique(np.sort(pairs, axis=1), axis=0)]


def _neighbours(spectra: np.ndarray) -> np.ndarray:
    """Each image with those whose rings are nearest."""
    try:
        from sklearn.neighbors import NearestNeighbors
    except ImportError as error:
        raise ExtraMissing.of("finding near duplicates", "train") from error
    features = ring_features(spectra)
    n_neighbors = min(_NEIGHBOURS, len(features) - 1)
    tree = NearestNeighbors(n_neighbors=n_neighbors, algorithm="kd_tree", n_jobs=-1).fit(features)
    near = tree.kneighbors(return_distance=False)
    return np.stack([np.repeat(np.arange(len(near)), n_neighbors), near.ravel()], axis=1)


def _hashes(thumbnails: np.ndarray) -> np.ndarray:
    """uint64 (n, 8): the hash of each image mirrored and turned by right angles in all ways; column 0 as it is."""
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    corners = x**2 + y**2 > (SIDE / 2 - 1) ** 2
    half = thumbnails.copy()
    half[:, corners] = thumbnails.mean(axis=(1, 2)).astype(np.uint8)[:, None]
    half = np.stack([cv2.resize(one, (SIDE // 2, SIDE // 2), interpolation=cv2.INTER_AREA) for one in half])
    ways: list[Callable[[np.ndarray], np.ndarray]] = [
        lambda one, turns=turns, flip=flip: np.rot90(one[:, ::-1] if flip else one, turns)  # type: ignore[misc]
        for flip in (False, True)
        for turns in range(4)
    ]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = pool.map(lambda one: [perceptual_hash(way(one)) for way in ways], half)
        return np.array(list(found), dtype=np.uint64)


def _alike(hashes: np.ndarray) -> np.ndarray:
    """Pairs whose hashes, one of them turned in any way, differ in few bits.

    Sorted neighbourhoods: the hashes are sorted from several starting bits, and only entries close in order compared.
    """
    n, n_ways = hashes.shape
    entries, owners = hashes.ravel(), np.repeat(np.arange(n), n_ways)
    upright = np.tile(np.arange(n_ways) == 0, n)
    pairs = [np.zeros((0, 2), dtype=int)]
    for band in range(_BANDS):
        turn = np.uint64(64 // _BANDS * band)
        keys = (entries << turn) | (entries >> ((np.uint64(64) - turn) % np.uint64(64)))
        order = np.argsort(keys, kind="stable")
        for step in range(1, min(_WINDOW, len(order) - 1) + 1):
            first, second = order[:-step], order[step:]
            near = np.bitwise_count(entries[first] ^ entries[second]) <= _BITS_APART
            near &= (upright[first] | upright[second]) & (owners[first] != owners[second])
            pairs.append(np.stack([owners[first[near]], owners[second[near]]], axis=1))
    return np.concatenate(pairs)
