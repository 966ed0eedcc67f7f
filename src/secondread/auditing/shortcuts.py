"""How far labels and sources can be told without reading the image, by looks that cannot see disease."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np

from secondread.auditing.looks import Looks, Progress, ring_of
from secondread.errors import ExtraMissing
from secondread.stats.metrics import weighted_roc_auc

_RING, _THUMBNAIL = 16, 16  # places along a side; pixels of a side


@dataclass(frozen=True)
class Probe:
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

PROBES = (
    # Size, format and compression were settled before anyone looked at the image: what they tell is where files came
    # from. 0.60 leaves room for a hospital that crops sick chests a little tighter.
    Probe("container", "size, format and compression", _container, _CONTAINER, note=0.55, alarm=0.60),
    # Bytes and border follow content too: a fuller slice compresses worse and shows more disease, which reaches 0.7
    # in collections whose files are otherwise alike. Hence the higher bar.
    Probe("facts", "all file facts with bytes and border brightness", _facts, _FACTS, note=0.65, alarm=0.80),
    # Margins, collimation and markers; but shoulders and the size of a head lie there as well.
    Probe("border", "the border ring (8 %)", _border, (), note=0.65, alarm=0.80),
    # A blurred picture may well show disease: this is the figure that a model must beat, no proof of a fault.
    Probe("thumbnail", "16 × 16 pixels", _small, (), note=0.75, alarm=None),
)
# Where the name of the source nearly gives the label, whatever tells sources apart is rewarded in training.
SOURCE_NAME = Probe("source name", "the name of the source", _source, (), note=0.60, alarm=0.75)
SOURCE_NOTE = 0.90  # sources told apart at a glance are usual; they harm where SOURCE_NAME tells the label


def _by_frequency(words: tuple[str, ...]) -> np.ndarray:
    """A number for each word, 0 for the commonest: trees then split off the rare ones, which are the odd ones."""
    ranks = {
        word: rank for rank, (word, _) in enumerate(sorted(Counter(words).items(), key=lambda one: (-one[1], one[0])))
    }
    return np.array([ranks[word] for word in words], dtype=np.float64)


_FOLDS = 5
_PER_CLASS = 20  # images of each class, in as many groups as folds: below, an interval says nothing
_RESAMPLES = 200

Level = Literal["alarm", "note", ""]


@dataclass(frozen=True)
class Shortcut:
    """How well one probe tells the label, or the source."""

    target: Literal["label", "source"]
    glance: str  # the name of the probe
    title: str
    where: str  # the splits looked at
    source: str  # the one source looked at; '' for all together
    n: int
    n_positive: int | None  # None where sources are told apart
    n_groups: int
    n_classes: int
    auc: float  # of sources: the mean of each against the rest
    low: float  # 95 % interval, bootstrap by group
    high: float
    strongest: str  # the fact that did most; '' for linear models
    level: Level


def label_shortcuts(
    looks: Looks,
    chosen: np.ndarray,
    groups: np.ndarray,
    *,
    where: str,
    random_state: int = 0,
    progress: Progress | None = None,
) -> tuple[Shortcut, ...]:
    """Every probe at the label, over all chosen rows and within each source that holds enough of both classes.

    chosen: bool (n,), the rows of the splits that `where` names; groups: int (n,), what must stay together.
    Raises ExtraMissing.
    """
    labels = np.array([row.label for row in looks.rows], dtype=int)
    sources = np.array([row.source for row in looks.rows])
    names = np.unique(sources[chosen])
    parts = {"": chosen}
    if len(names) > 1:
        parts |= {str(name): chosen & (sources == name) for name in names if name}  # unnamed is no source
    work = [
        (source, part, probe)
        for source, part in parts.items()
        for probe in (*((SOURCE_NAME,) if source == "" and len(names) > 1 else ()), *PROBES)
        if _enough(labels[part], groups[part]).all() and len(np.unique(labels[part])) == 2
    ]
    found = []
    for number, (source, part, probe) in enumerate(work):
        told = _tell(probe, probe.inputs(looks)[part], labels[part], groups[part], random_state)
        level = _level(probe, told["low"])
        n_positive = int(labels[part].sum())
        found.append(
            Shortcut("label", probe.name, probe.title, where, source, n_positive=n_positive, level=level, **told)
        )
        if progress is not None:
            progress("label shortcuts", number + 1, len(work))
    return tuple(found)


def source_shortcuts(
    looks: Looks, groups: np.ndarray, *, random_state: int = 0, progress: Progress | None = None
) -> tuple[Shortcut, ...]:
    """Every probe at the source, over all rows of sources that are large enough: no label is used.

    Empty where there are fewer than two such sources. Raises ExtraMissing.
    """
    names, sources = np.unique(np.array([row.source for row in looks.rows]), return_inverse=True)
    part = np.isin(sources, np.flatnonzero(_enough(sources, groups)))
    if len(np.unique(sources[part])) < 2:
        return ()
    found = []
    for number, probe in enumerate(PROBES):
        told = _tell(probe, probe.inputs(looks)[part], sources[part], groups[part], random_state)
        level: Level = "note" if told["low"] >= SOURCE_NOTE else ""
        where = ", ".join(str(names[one]) or "none" for one in np.unique(sources[part]))
        found.append(Shortcut("source", probe.name, probe.title, where, "", n_positive=None, level=level, **told))
        if progress is not None:
            progress("source shortcuts", number + 1, len(PROBES))
    return tuple(found)


def _level(probe: Probe, low: float) -> Level:
    if probe.alarm is not None and low >= probe.alarm:
        return "alarm"
    return "note" if low >= probe.note else ""


def _enough(classes: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """bool (n_classes,): whether each class that is there has images and groups enough."""
    return np.array(
        [
            (classes == one).sum() >= _PER_CLASS and len(np.unique(groups[classes == one])) >= _FOLDS
            for one in range(int(classes.max(initial=-1)) + 1)
        ]
    )


def _tell(
    probe: Probe, inputs: np.ndarray, classes: np.ndarray, groups: np.ndarray, random_state: int
) -> dict[str, Any]:
    """The cross-validated AUC with its interval, and what it was measured on."""
    present, classes = np.unique(classes, return_inverse=True)
    scores, strongest = _cross_validated(probe, inputs, classes, groups, random_state)
    members, group_of = np.unique(groups, return_inverse=True)
    rng = np.random.default_rng(random_state)
    drawn = rng.multinomial(len(members), np.full(len(members), 1 / len(members)), size=_RESAMPLES)
    weights = np.concatenate([np.ones((1, len(classes))), drawn[:, group_of]])
    asked = [1] if len(present) == 2 else range(len(present))  # of two classes, one says it all
    with np.errstate(invalid="ignore"):
        aucs = np.mean([weighted_roc_auc(classes == one, scores[:, one], weights) for one in asked], axis=0)
    low, high = np.nanpercentile(aucs[1:], [2.5, 97.5])
    return {
        "n": len(classes),
        "n_groups": len(members),
        "n_classes": len(present),
        "auc": round(float(aucs[0]), 4),
        "low": round(float(low), 4),
        "high": round(float(high), 4),
        "strongest": strongest,
    }


def _cross_validated(
    probe: Probe, inputs: np.ndarray, classes: np.ndarray, groups: np.ndarray, random_state: int
) -> tuple[np.ndarray, str]:
    """Each row's probabilities by a model that never saw its group: float (n, n_classes); and the strongest fact."""
    try:
        from sklearn.model_selection import StratifiedGroupKFold
    except ImportError as error:
        raise ExtraMissing.of("the audit of shortcuts", "train") from error
    n_classes = int(classes.max()) + 1
    scores = np.full((len(classes), n_classes), 1 / n_classes)
    importance = np.zeros(len(probe.columns))
    folds = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=random_state)
    for train, test in folds.split(inputs, classes, groups):
        if len(np.unique(classes[train])) < 2:
            continue
        model = _model(probe, n_classes, random_state).fit(inputs[train], classes[train])
        scores[test] = 0
        scores[np.ix_(test, model.classes_)] = model.predict_proba(inputs[test])
        if probe.columns:
            importance += model.feature_importances_
    return scores, probe.columns[int(importance.argmax())] if importance.any() else ""


def _model(probe: Probe, n_classes: int, random_state: int) -> Any:
    """A forest where facts work in combination and by exact value; else a linear model, firmly shrunk."""
    if probe.columns:
        from sklearn.ensemble import RandomForestClassifier

        return RandomForestClassifier(100, min_samples_leaf=3, random_state=random_state)
    if n_classes > 2:  # in one step, where logistic regression of many sources takes minutes
        from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

        return LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
