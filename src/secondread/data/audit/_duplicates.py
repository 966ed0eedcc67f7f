"""Images that are there more than once: how alike they are, and what that breaks."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from secondread.data.audit._candidates import candidate_pairs
from secondread.data.audit._looks import Looks, Progress
from secondread.data.audit._pixels import proven
from secondread.data.audit._rings import ring_spectra

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
