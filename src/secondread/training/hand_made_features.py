"""What was measured in images before networks learnt to: edges, textures and grey values."""

import cv2
import numpy as np

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
