"""Looks at a file that cannot see disease: what each is given, and how much of the label it may tell."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from secondread.data.audit._looks import Looks, ring_of

_RING, _THUMBNAIL = 16, 16  # places along a side; pixels of a side


@dataclass(frozen=True)
class Glance:
    """One look: its inputs, and from which AUC on what it tells is a remark or an alarm.

    Levels count for the lower bound of the AUC's interval, so that small collections do not raise them by chance.
    """

    name: str
    title: str
    inputs: Callable[[Looks], np.ndarray]  # float (n, n_features)
    columns: tuple[str, ...]  # names of the features of a forest; none: a linear model
    note: float
    alarm: float | None  # None: never an alarm


def _container(looks: Looks) -> np.ndarray:
    """(n, 7): width, height, aspect; then format, mode, depth and tables numbered from the commonest."""
    sizes = np.array([(fact.width, fact.height, fact.width / fact.height) for fact in looks.facts])
    words = zip(*[(fact.format, fact.mode, str(fact.bit_depth), fact.tables) for fact in looks.facts], strict=True)
    return np.column_stack([sizes, *(_by_frequency(column) for column in words)])


def _facts(looks: Looks) -> np.ndarray:
    """(n, 10): the container, bytes, bytes a pixel and the mean of the border ring."""
    more = [(fact.n_bytes, fact.n_bytes / (fact.width * fact.height), fact.border_mean) for fact in looks.facts]
    return np.column_stack([_container(looks), np.array(more)])


def _border(looks: Looks) -> np.ndarray:
    """(n, 64): the ring's brightness at 16 places of each side."""
    ring = ring_of(looks.thumbnails)
    return ring.reshape(len(ring), 4, _RING, -1).mean(axis=3).reshape(len(ring), -1)


def _small(looks: Looks) -> np.ndarray:
    """(n, 256): the image at 16 × 16 pixels."""
    size = (_THUMBNAIL, _THUMBNAIL)
    small = [cv2.resize(one, size, interpolation=cv2.INTER_AREA).ravel() for one in looks.thumbnails]
    return np.array(small, dtype=np.float64)


def _source(looks: Looks) -> np.ndarray:
    """(n, n_sources): 1 in the column of the row's source."""
    names = np.array([row.source for row in looks.rows])
    return (names[:, None] == np.unique(names)).astype(np.float64)


_CONTAINER = ("width", "height", "aspect", "format", "mode", "bit depth", "quantisation tables")
_FACTS = (*_CONTAINER, "bytes", "bytes a pixel", "border brightness")

GLANCES = (
    # Size, format and compression were settled before anyone looked at the image: what they tell is where files came
    # from. 0.60 leaves room for a hospital that crops sick chests a little tighter.
    Glance("container", "size, format and compression", _container, _CONTAINER, note=0.55, alarm=0.60),
    # Bytes and border follow content too: a fuller slice compresses worse and shows more disease, which reaches 0.7
    # in collections whose files are otherwise alike. Hence the higher bar.
    Glance("facts", "all file facts with bytes and border brightness", _facts, _FACTS, note=0.65, alarm=0.80),
    # Margins, collimation and markers; but shoulders and the size of a head lie there as well.
    Glance("border", "the border ring (8 %)", _border, (), note=0.65, alarm=0.80),
    # A blurred picture may well show disease: this is the figure that a model must beat, no proof of a fault.
    Glance("thumbnail", "16 × 16 pixels", _small, (), note=0.75, alarm=None),
)
# Where the name of the source nearly gives the label, whatever tells sources apart is rewarded in training.
SOURCE_NAME = Glance("source name", "the name of the source", _source, (), note=0.60, alarm=0.75)
SOURCE_NOTE = 0.90  # sources told apart at a glance are usual; they harm where SOURCE_NAME tells the label


def _by_frequency(words: tuple[str, ...]) -> np.ndarray:
    """A number for each word, 0 for the commonest: trees then split off the rare ones, which are the odd ones."""
    ranks = {
        word: rank for rank, (word, _) in enumerate(sorted(Counter(words).items(), key=lambda one: (-one[1], one[0])))
    }
    return np.array([ranks[word] for word in words], dtype=np.float64)
