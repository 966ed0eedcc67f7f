"""Images that are there more than once: which pairs are worth comparing, how alike they are, what that breaks."""

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from secondread.auditing.likeness import proven, ring_features, ring_spectra
from secondread.auditing.looks import SIDE, Looks, Progress
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


HOW = ("bytes", "pixels", "near")  # same file; same pixels in another file; the same picture, changed
_MEMBERS = 16  # of a set of exact copies that are paired with the members of another


@dataclass(frozen=True)
class Pair:
    """Two rows that show one image; numbers count the readable rows."""

    first: int
    second: int
    how: str  # one of HOW
    correlation: float
    mirrored: bool
    degrees: float
    across_splits: bool
    across_groups: bool
    two_labels: bool

    @property
    def kinds(self) -> tuple[str, ...]:
        """What is wrong with it; nothing, if it stays inside one group and one split.

        Near copies of one group with two labels are slices that lie side by side; exact copies never are.
        """
        kinds = []
        if self.across_splits:
            kinds.append("leakage")
        elif self.across_groups:
            kinds.append("duplicates")
        if self.two_labels and (self.across_groups or self.how != "near"):
            kinds.append("labels")
        return tuple(kinds)

    @property
    def said(self) -> str:
        """How the second looks beside the first, in words."""
        if self.how != "near":
            return "the same file" if self.how == "bytes" else "the same pixels in another file"
        words = ["mirrored"] if self.mirrored else []
        if abs(self.degrees) >= 1.5:  # less is within what the comparison can tell
            words.append(f"turned by {abs(self.degrees):.0f}°")
        return ", ".join(words or ["the same view, saved otherwise"])


def find_pairs(looks: Looks, *, progress: Progress | None = None) -> tuple[Pair, ...]:
    """Every exact copy, and near copies between images that differ. Raises ExtraMissing."""
    members = _by_pixels(looks.pixel_digests)
    pairs = [pair for same in members for pair in _exact(looks, same)]
    distinct = np.array([same[0] for same in members], dtype=int)
    thumbnails = looks.thumbnails[distinct]
    if len(distinct) > 1:
        spectra = ring_spectra(thumbnails)
        candidates = candidate_pairs(thumbnails, spectra)
        for like in proven(thumbnails, spectra, candidates, progress=progress):
            facts: dict[str, Any] = {
                "correlation": like.correlation,
                "mirrored": like.mirrored,
                "degrees": like.degrees,
            }
            for first in members[like.first][:_MEMBERS]:
                pairs += [_pair(looks, first, second, "near", **facts) for second in members[like.second][:_MEMBERS]]
    return tuple(sorted(pairs, key=lambda pair: (HOW.index(pair.how), -pair.correlation, pair.first, pair.second)))


def clusters(n: int, pairs: Iterable[tuple[int, int]]) -> np.ndarray:
    """A number for each of n rows, the same for all that are joined by pairs: int (n,)."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    joined = np.array(list(pairs), dtype=int).reshape(-1, 2)
    graph = coo_array((np.ones(len(joined), dtype=bool), (joined[:, 0], joined[:, 1])), shape=(n, n))
    return np.asarray(connected_components(graph, directed=False)[1])


def count_pairs(n: int, pairs: tuple[Pair, ...]) -> dict[str, Any]:
    """How many pairs there are of each sort, and how many images would go if each picture were kept once."""
    where: Counter[tuple[str, str]] = Counter()
    for pair in pairs:
        place = "across_splits" if pair.across_splits else "across_groups" if pair.across_groups else "inside_group"
        where[pair.how, place] += 1
    joined = [(pair.first, pair.second) for pair in pairs]
    places = ("across_splits", "across_groups", "inside_group")
    return {
        "pairs": {how: {place: where[how, place] for place in places} for how in HOW},
        "superfluous_images": n - len(np.unique(clusters(n, joined))),
    }


def _by_pixels(digests: tuple[str, ...]) -> list[list[int]]:
    """Rows with the same pixels together, in order of appearance."""
    same: dict[str, list[int]] = defaultdict(list)
    for number, digest in enumerate(digests):
        same[digest].append(number)
    return list(same.values())


def _exact(looks: Looks, same: list[int]) -> list[Pair]:
    """Each copy with the first one, and with the first of another split or label, so that no breach goes unseen."""
    pairs = []
    for place, second in enumerate(same[1:], start=1):
        row, earlier = looks.rows[second], same[:place]
        partners = {same[0]}
        partners |= set([e for e in earlier if looks.rows[e].split != row.split][:1])
        partners |= set([e for e in earlier if looks.rows[e].label != row.label][:1])
        for first in sorted(partners):
            how = "bytes" if looks.file_digests[first] == looks.file_digests[second] else "pixels"
            pairs.append(_pair(looks, first, second, how))
    return pairs


def _pair(
    looks: Looks,
    first: int,
    second: int,
    how: str,
    *,
    correlation: float = 1.0,
    mirrored: bool = False,
    degrees: float = 0.0,
) -> Pair:
    one, other = looks.rows[first], looks.rows[second]
    return Pair(
        first,
        second,
        how,
        correlation,
        mirrored,
        degrees,
        across_splits=bool(one.split and other.split and one.split != other.split),
        across_groups=looks.groups[first] != looks.groups[second],
        two_labels=one.label != other.label,
    )
