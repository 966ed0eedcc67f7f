"""The seed paper's classical learners: shallow ones on hand-made features, or on those of a pretrained network."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np

from secondread.data import PreparedSet
from secondread.errors import TrainingError, UnknownName

_SIZE = 128  # pixels at which every image is described, whatever the recipe prepared
_CELL = 16  # pixels of a cell of the histograms of gradients and of patterns
_PATTERNS = 10  # uniform patterns of eight neighbours: nine of them, and all others together
_PERCENTILES = (5, 25, 50, 75, 95)


def hand_made_features(images: np.ndarray) -> np.ndarray:
    """uint8 (n, size, size, channels) → float32 (n, n_features), one row an image; colour is averaged away.

    Histograms of oriented gradients (Dalal & Triggs, CVPR 2005), histograms of local binary patterns (Ojala et al.,
    IEEE PAMI 2002), the histogram of grey values, and their moments and percentiles.
    """
    return np.stack([_describe(_grey(image)) for image in images]).astype(np.float32)


def _describe(grey: np.ndarray) -> np.ndarray:
    return np.concatenate([_gradients(grey), _patterns(grey), _grey_values(grey)])


def _grey(image: np.ndarray) -> np.ndarray:
    """(size, size, channels) → uint8 (128, 128)."""
    mean = np.array(image).mean(axis=2).round().astype(np.uint8)
    return mean if mean.shape == (_SIZE, _SIZE) else cv2.resize(mean, (_SIZE, _SIZE), interpolation=cv2.INTER_AREA)


def _gradients(grey: np.ndarray) -> np.ndarray:
    from skimage.feature import hog

    return hog(grey, orientations=9, pixels_per_cell=(_CELL, _CELL), cells_per_block=(2, 2))


def _patterns(grey: np.ndarray) -> np.ndarray:
    """The share of each pattern in every cell of 32 pixels: a cell of 16 would hold too few of the rare ones."""
    from skimage.feature import local_binary_pattern

    codes = local_binary_pattern(grey, P=8, R=1, method="uniform").astype(np.intp)
    side = 2 * _CELL
    cells = codes.reshape(_SIZE // side, side, _SIZE // side, side).swapaxes(1, 2).reshape(-1, side * side)
    return np.concatenate([np.bincount(cell, minlength=_PATTERNS) / side**2 for cell in cells])


def _grey_values(grey: np.ndarray) -> np.ndarray:
    shares = np.bincount(grey.ravel() // 8, minlength=32) / grey.size
    values = grey.astype(np.float64) / 255
    spread = max(float(values.std()), 1e-6)  # of a blank image nothing is divided by zero
    standard = (values - values.mean()) / spread
    moments = [values.mean(), spread, (standard**3).mean(), (standard**4).mean()]
    return np.concatenate([shares, moments, np.percentile(values, _PERCENTILES)])


_FOLDS = 5
_COMPONENTS = 100  # principal components: distances in two thousand features are mostly noise
_LEAST = 21  # images of a fold's training part: as many as the most neighbours asked
_NEAR_0_OR_1 = 0.01  # a tree's certainty counts as this much doubt
_BATCH = 64  # images through the network at once

Features = Callable[[np.ndarray], np.ndarray]  # uint8 (n, size, size, channels) → float32 (n, n_features)


class Classical(Protocol):
    """A fitted learner. It lives in memory alone: only what it scored is kept."""

    @property
    def chosen(self) -> dict[str, Any]:
        """Hyper-parameters, by cross-validation."""
        ...

    @property
    def cv_auc(self) -> float:
        """Mean ROC AUC of these over the folds."""
        ...

    def scores(self, images: np.ndarray) -> np.ndarray:
        """uint8 (n, size, size, channels) → float64 (n,): the larger, the likelier disease; near a log-odds."""
        ...


@dataclass(frozen=True)
class _Learner:
    summary: str
    make: Callable[[int, int], Any]  # random state, principal components → scikit-learn estimator
    grid: dict[str, list[Any]]
    features: Callable[[], Features] = lambda: hand_made_features


def list_classical() -> dict[str, str]:
    """Name → one line that says what the learner is."""
    return {name: learner.summary for name, learner in _LEARNERS.items()}


def fit_classical(name: str, train: PreparedSet, groups: Sequence[str], random_state: int) -> Classical:
    """The learner of that name, its hyper-parameters chosen by ROC AUC in cross-validation by group on `train` alone.

    groups: what must stay together, for each image of `train`.
    Raises UnknownName, TrainingError for too few groups, or ExtraMissing where 'cnn-svm' lacks its network's weights.
    """
    if name not in _LEARNERS:
        raise UnknownName.of("classical model", name, _LEARNERS)
    from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold

    learner, codes = _LEARNERS[name], np.unique(groups, return_inverse=True)[1]
    folds = StratifiedGroupKFold(_folds(train.labels, codes), shuffle=True, random_state=random_state)
    parts = list(folds.split(codes, train.labels, codes))
    smallest = min(len(train_part) for train_part, _ in parts)
    if smallest < _LEAST:
        raise TrainingError(f"a fold of the train split has {smallest} images to learn from; {_LEAST} are needed")
    features = learner.features()
    x = features(train.images)
    estimator = learner.make(random_state, min(_COMPONENTS, smallest, x.shape[1]))
    search = GridSearchCV(estimator, learner.grid, scoring="roc_auc", cv=parts, error_score="raise")
    search.fit(x, train.labels)
    chosen = {key.rpartition("__")[2]: value for key, value in search.best_params_.items()}
    return _Fitted(features, search.best_estimator_, chosen, round(float(search.best_score_), 6))


@dataclass(frozen=True, eq=False)
class _Fitted:
    features: Features
    estimator: Any
    chosen: dict[str, Any]
    cv_auc: float

    def scores(self, images: np.ndarray) -> np.ndarray:
        x = self.features(images)
        if hasattr(self.estimator, "decision_function"):
            return np.asarray(self.estimator.decision_function(x), dtype=np.float64)
        share = np.asarray(self.estimator.predict_proba(x)[:, 1], dtype=np.float64)
        return np.log((share + _NEAR_0_OR_1) / (1 - share + _NEAR_0_OR_1))


def _folds(labels: np.ndarray, codes: np.ndarray) -> int:
    """As many as the groups of the rarer class allow."""
    possible = min(len(np.unique(codes[labels])), len(np.unique(codes[~labels])))
    if possible < 2:
        raise TrainingError("cross-validation by group needs two groups of each class in the train split")
    return min(_FOLDS, possible)


def _network_features() -> Features:
    """Means over the last features of EfficientNet-Lite 0 as ImageNet taught it: (n, 1280)."""
    import torch

    from secondread.models import create_model

    networks: dict[int, Any] = {}  # by number of channels

    def features(images: np.ndarray) -> np.ndarray:
        channels = images.shape[3]
        if channels not in networks:
            networks[channels] = create_model("efficientnet-lite0", in_chans=channels, pretrained=True).eval()
        parts = []
        with torch.inference_mode():
            for start in range(0, len(images), _BATCH):
                batch = torch.from_numpy(np.array(images[start : start + _BATCH])).permute(0, 3, 1, 2).float() / 255
                parts.append(networks[channels].features(batch).mean(dim=(2, 3)).numpy())
        return np.concatenate(parts)

    return features


def _svm(random_state: int, components: int) -> Any:
    from sklearn.decomposition import PCA
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    reduced = PCA(components, svd_solver="randomized", random_state=random_state)
    return make_pipeline(StandardScaler(), reduced, SVC(kernel="rbf", class_weight="balanced"))


def _nearest(random_state: int, components: int) -> Any:
    from sklearn.decomposition import PCA
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    reduced = PCA(components, svd_solver="randomized", random_state=random_state)
    return make_pipeline(StandardScaler(), reduced, KNeighborsClassifier(weights="distance"))


def _tree(random_state: int, components: int) -> Any:
    from sklearn.tree import DecisionTreeClassifier

    return DecisionTreeClassifier(class_weight="balanced", random_state=random_state)


def _forest(random_state: int, components: int) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(200, class_weight="balanced", random_state=random_state)


_SVM_GRID: dict[str, list[Any]] = {"svc__C": [0.3, 1.0, 3.0, 10.0], "svc__gamma": ["scale", 0.001]}
_LEARNERS = {
    "svm": _Learner("support vectors with a radial kernel, on hand-made features", _svm, _SVM_GRID),
    "decision-tree": _Learner(
        "one decision tree, on hand-made features", _tree, {"max_depth": [3, 6, 12], "min_samples_leaf": [1, 5, 20]}
    ),
    "knn": _Learner(
        "the nearest neighbours, on hand-made features", _nearest, {"kneighborsclassifier__n_neighbors": [3, 9, 21]}
    ),
    "random-forest": _Learner(
        "200 decision trees, on hand-made features",
        _forest,
        {"min_samples_leaf": [1, 5]},
    ),
    "cnn-svm": _Learner(
        "support vectors on the features of EfficientNet-Lite 0, as ImageNet taught it",
        _svm,
        _SVM_GRID,
        _network_features,
    ),
}
