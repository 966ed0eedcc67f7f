"""Thumbnails in polar coordinates, where turning an image is a shift and mirroring it is a reversal."""

import cv2
import numpy as np

from secondread.data.audit._looks import SIDE

ANGLES = 64  # samples of a full turn
_CENTRE = (SIDE - 1) / 2
_RADII = np.linspace(3, SIDE / 2 - 2, 12)  # pixels; the corners are left out, turning cuts them off
_TURNS = np.arange(ANGLES) * 2 * np.pi / ANGLES
_X = (_CENTRE + _RADII[:, None] * np.cos(_TURNS)).astype(np.float32)
_Y = (_CENTRE + _RADII[:, None] * np.sin(_TURNS)).astype(np.float32)
_WEIGHTS = np.sqrt(_RADII)[:, None]  # by area: outer rings hold more pixels
_HARMONICS = 9  # of the angle; higher ones are noise at this size
_COMPONENTS = 16  # 78 to 88 % of the variance on the benchmark's radiographs and slices; a k-d tree is still quick


def ring_spectra(thumbnails: np.ndarray) -> np.ndarray:
    """Complex64 (n, rings, frequencies) of uint8 (n, SIDE, SIDE): brightness and contrast taken out."""
    return np.stack([np.fft.rfft(_unrolled(one), axis=1) for one in thumbnails]).astype(np.complex64)


def ring_features(spectra: np.ndarray) -> np.ndarray:
    """float64 (n, at most 16): the same for an image however it is mirrored or turned.

    A shift changes the phases of a spectrum and a reversal conjugates them; magnitudes keep what is left.
    """
    size = np.abs(spectra[:, :, :_HARMONICS]).astype(np.float64)
    size[:, :, 1:] *= np.sqrt(2)  # frequencies above 0 stand for two
    flat = size.reshape(len(size), -1)
    flat /= np.linalg.norm(flat, axis=1, keepdims=True) + 1e-9
    flat -= flat.mean(axis=0)
    values, vectors = np.linalg.eigh(flat.T @ flat)
    return flat @ vectors[:, np.argsort(values)[::-1][:_COMPONENTS]]


def best_turns(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How the second of each pair must be turned to lie on the first: once as it is, once mirrored.

    first, second: spectra (n, rings, frequencies). Returns correlations and degrees, both (n, 2);
    column 1 is for the second mirrored.
    """
    correlations, degrees = [], []
    for other in (np.conj(second), second):
        curve = np.fft.irfft((first * other).sum(axis=1), n=ANGLES, axis=1)  # (n, ANGLES)
        top = curve.argmax(axis=1)
        rows = np.arange(len(curve))
        before, at, after = curve[rows, top - 1], curve[rows, top], curve[rows, (top + 1) % ANGLES]
        bend = before - 2 * at + after
        shift = np.divide(before - after, 2 * bend, out=np.zeros_like(bend), where=np.abs(bend) > 1e-9)
        correlations.append(at)
        degrees.append((top + np.clip(shift, -0.5, 0.5)) * 360 / ANGLES)
    return np.stack(correlations, axis=1), np.stack(degrees, axis=1)


def _unrolled(thumbnail: np.ndarray) -> np.ndarray:
    """float32 (rings, ANGLES) of mean 0 and length 1, so that a product of two is their correlation."""
    smooth = cv2.GaussianBlur(thumbnail, (0, 0), 1).astype(np.float32)
    rings = cv2.remap(smooth, _X, _Y, cv2.INTER_LINEAR) * _WEIGHTS
    rings -= _WEIGHTS * (rings * _WEIGHTS).sum() / (ANGLES * (_WEIGHTS**2).sum())
    return rings / (np.linalg.norm(rings) + 1e-6)
