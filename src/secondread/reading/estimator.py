"""A reader as scikit-learn's tools know a classifier: probabilities and classes of many images as arrays."""

from collections.abc import Iterable, Iterator
from os import PathLike, fspath
from typing import Literal, Protocol

import numpy as np

from secondread.errors import ExtraMissing, ReadingRefused, UnknownName, UsageError
from secondread.reading.bundle import Bundle
from secondread.reading.operating_point import OperatingPoint
from secondread.reading.reading import Reading
from secondread.reading.sources import Source

Refused = Literal["raise", "nan"]
_WAYS = ("raise", "nan")


class ReadsMany(Protocol):
    """What is asked of a Reader here."""

    bundle: Bundle
    operating_point: OperatingPoint

    def read_many(self, sources: Iterable[Source], *, workers: int | None = None) -> Iterator[Reading]:
        """Readings in the order of the sources."""
        ...


def probabilities_of(
    reader: ReadsMany, images: Iterable[Source], *, on_refusal: Refused, workers: int | None
) -> np.ndarray:
    """See `Reader.predict_proba`."""
    if on_refusal not in _WAYS:
        raise UnknownName.of("way to treat a refused image", on_refusal, _WAYS)
    found = [
        np.nan if reading.probability is None else reading.probability
        for reading in _readings(reader, images, raising=on_refusal == "raise", workers=workers)
    ]
    positive = np.array(found, dtype=np.float64)
    return np.stack([1 - positive, positive], axis=1)


def classes_of(reader: ReadsMany, images: Iterable[Source], *, workers: int | None) -> np.ndarray:
    """See `Reader.predict`."""
    point = reader.operating_point
    if point.low is not None:
        raise UsageError(
            f"the operating point '{point.name}' may answer 'uncertain', which is no class; take another one with "
            f"`at`: {', '.join(name for name, one in reader.bundle.operating_points.items() if one.low is None)}"
        )
    readings = _readings(reader, images, raising=True, workers=workers)
    return np.array([int(reading.decision == "positive") for reading in readings], dtype=np.int64)


def _readings(reader: ReadsMany, images: Iterable[Source], *, raising: bool, workers: int | None) -> Iterator[Reading]:
    _check_many(images)
    names: list[str] = []

    def named() -> Iterator[Source]:
        for image in images:
            names.append(f" ('{fspath(image)}')" if isinstance(image, str | PathLike) else "")
            yield image

    for index, reading in enumerate(reader.read_many(named(), workers=workers)):
        if raising and reading.refusal is not None:
            code, why = reading.refusal.code, reading.refusal.message
            raise ReadingRefused(
                f"image {index}{names[index]} was refused ({code}): {why}; leave it out, or take "
                "predict_proba(…, on_refusal='nan')",
                index=index,
                code=code,
            )
        yield reading


def _check_many(images: object) -> None:
    """One image in place of many would be taken apart into letters or rows."""
    one = isinstance(images, str | bytes | PathLike) or hasattr(images, "read") or not isinstance(images, Iterable)
    if isinstance(images, np.ndarray):
        one = images.dtype.kind in "uifb" and (images.ndim < 3 or (images.ndim == 3 and images.shape[2] in (1, 3, 4)))
    if one:
        raise TypeError("give several images, as a list or an array (n, height, width); of a single one, [image]")


def tags() -> object:
    """scikit-learn's description of a classifier of two classes. Raises ExtraMissing."""
    try:
        from sklearn.utils import ClassifierTags, InputTags, Tags, TargetTags
    except ImportError as error:
        raise ExtraMissing.of("scikit-learn's view of a reader", "train") from error
    return Tags(
        estimator_type="classifier",
        target_tags=TargetTags(required=False),
        classifier_tags=ClassifierTags(multi_class=False),
        transformer_tags=None,
        regressor_tags=None,
        input_tags=InputTags(one_d_array=True, two_d_array=False, string=True),
    )
