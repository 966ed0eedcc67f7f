"""The same measures for parts of a split: where a model is good, where it is not, and where too few images can tell."""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from secondread.errors import DataInvalid
from secondread.evidence._evidence import Prediction, summarise

if TYPE_CHECKING:  # reading imports this package, and must not import the data package
    from secondread.data import Manifest

FEW = 20  # images of a class below which a part's figures are marked
LESION_SIZE = "lesion size"
_MOST_PARTS = 12  # a note with more different texts is no body part


def subgroups(
    predictions: Sequence[Prediction],
    facts: Mapping[str, Sequence[str]],
    *,
    threshold: float,
    of_positives: Collection[str] = (LESION_SIZE,),
) -> dict[str, list[dict[str, Any]]]:
    """Fact → its parts, by name: {value, n, n_positive, n_groups, metrics, …, few}, see `summarise`.

    facts: what is known of every image, in the order of the predictions; '' where it is not, and such images are in no
    part. of_positives: facts that only diseased images have; each part is then set against all negatives.
    few: which class has less than 20 images, as 'positives', 'negatives' or 'both', else None: such a part's figures
    are a hint, not a finding. Raises DataInvalid for a fact of another length.
    """
    for name, values in facts.items():
        if len(values) != len(predictions):
            raise DataInvalid(f"'{name}' is given for {len(values)} images, not for the {len(predictions)} predicted")
    return {name: _parts(predictions, values, threshold, name in of_positives) for name, values in facts.items()}


def facts_of(
    manifest: "Manifest",
    *,
    image_sizes: Sequence[tuple[int, int]] | None = None,
    lesion_shares: Sequence[float | None] | None = None,
) -> dict[str, list[str]]:
    """What a manifest says of its images, for `subgroups`; facts that all images share are left out.

    source; body part (the manifest's note up to the first ';', where a dozen texts at most occur); image size, by the
    longer side of image_sizes [(width, height)]; lesion size, by lesion_shares: the lesion's share of the image's area,
    None without a lesion.
    """
    facts = {"source": [row.source for row in manifest.rows], "body part": [_part(row.note) for row in manifest.rows]}
    if image_sizes is not None:
        facts["image size"] = bands([float(max(size)) for size in image_sizes], unit="px")
    if lesion_shares is not None:
        shares = [None if share is None else 100 * share for share in lesion_shares]
        facts[LESION_SIZE] = bands(shares, unit="% of the image")
    if len(set(facts["body part"])) > _MOST_PARTS:
        del facts["body part"]
    return {name: values for name, values in facts.items() if len({value for value in values if value}) > 1}


def bands(values: Sequence[float | None], *, unit: str, n_bands: int = 3) -> list[str]:
    """Each value's band, '1: up to 0.4 px' to '3: above 2.1 px', of about equal numbers; '' for None.

    Equal values share a band, so there may be fewer.
    """
    known = np.array([value for value in values if value is not None], dtype=np.float64)
    if not len(known):
        return [""] * len(values)
    edges = np.unique(np.quantile(known, np.linspace(0, 1, n_bands + 1)[1:-1], method="inverted_cdf"))
    edges = edges[edges < known.max()]
    texts = [f"{edge:.3g}" for edge in edges]
    names = [f"{number}: up to {text} {unit}" for number, text in enumerate(texts, start=1)]
    names.append(f"{len(names) + 1}: above {texts[-1]} {unit}" if texts else f"1: {known.max():.3g} {unit}")
    return ["" if value is None else names[int(np.searchsorted(edges, value))] for value in values]


def _parts(
    predictions: Sequence[Prediction], values: Sequence[str], threshold: float, of_positives: bool
) -> list[dict[str, Any]]:
    table = []
    for value in sorted(set(values) - {""}):
        rows = [
            row
            for row, own in zip(predictions, values, strict=True)
            if (of_positives and not row.label) or (own == value and (row.label or not of_positives))
        ]
        found = summarise(rows, threshold)
        table.append({"value": value, **found, "few": _few(found["n_positive"], found["n"] - found["n_positive"])})
    return table


def _few(n_positive: int, n_negative: int) -> str | None:
    if n_positive < FEW:
        return "both" if n_negative < FEW else "positives"
    return "negatives" if n_negative < FEW else None


def _part(note: str) -> str:
    return note.split(";")[0].strip()
