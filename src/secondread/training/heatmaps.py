"""Measures the heat maps of a split as they are served, and those of the same network with its weights shuffled."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from secondread.data import Manifest, Row
from secondread.errors import ExtraMissing
from secondread.evidence.detection import Found
from secondread.evidence.evidence import Prediction
from secondread.evidence.localisation import (
    TOLERANCE,
    Lesions,
    MapMeasures,
    Target,
    baselines,
    body_of,
    boxes_of,
    localisation_table,
    rank_correlation,
    share_outside,
)
from secondread.images import Prepared, prepare, to_display
from secondread.reading import HeatMap, Reader, Reading
from secondread.reading.session import open_session
from secondread.stats.bootstrap import grouped_means

_BATCH = 64


def randomised_model(model: bytes, *, random_state: int) -> bytes:
    """The ONNX file with the numbers of every weight tensor shuffled within it.

    What was learnt is gone; the scale of the weights stays, so that activations stay in their range. A tensor that the
    file holds twice, also turned about (as the closed form of a heat map may need it), is shuffled once.
    """
    try:
        import onnx
        from onnx import numpy_helper
    except ModuleNotFoundError as error:
        raise ExtraMissing.of("the randomised-weights test of heat maps", "train") from error
    graph = onnx.load_from_string(model)
    rng = np.random.default_rng(random_state)
    done: list[tuple[np.ndarray, np.ndarray]] = []
    for tensor in graph.graph.initializer:
        values = numpy_helper.to_array(tensor)
        # shapes, indices and single factors are not weights; int8 holds those of `compress.in_int8`
        if not (values.dtype.kind == "f" or values.dtype == np.int8) or values.size < 2:
            continue
        tensor.CopyFrom(numpy_helper.from_array(_shuffled(values, done, rng), tensor.name))
    return graph.SerializeToString()


def maps_of(model: bytes, images: np.ndarray) -> np.ndarray:
    """The coarse maps of prepared images, uint8 (n, size, size, channels) → float32 (n, rows, columns)."""
    session = open_session(model, threads=1)
    parts = [session.run(["cam"], {"image": images[at : at + _BATCH]})[0] for at in range(0, len(images), _BATCH)]
    return np.concatenate(parts)


def _shuffled(values: np.ndarray, done: list[tuple[np.ndarray, np.ndarray]], rng: np.random.Generator) -> np.ndarray:
    for before, after in done:
        if before.size != values.size:
            continue
        if np.array_equal(before.ravel(), values.ravel()):
            return after.reshape(values.shape)
        if before.ndim == 2 and before.T.shape == values.shape and np.array_equal(before.T, values):
            return np.ascontiguousarray(after.T)
    shuffled = rng.permutation(values.ravel()).reshape(values.shape)
    done.append((values, shuffled))
    return shuffled


SIDE = 512  # pixels of the longer side at which maps are measured; smaller images stay as they are
RANDOM_STATES = (0, 1, 2, 3, 4)
_SANITY_IMAGES = 200  # enough for a mean; every one is read by every randomised network


@dataclass(frozen=True)
class Observation:
    """One image of a split: what was said of it, and how its heat map did."""

    prediction: Prediction
    size: tuple[int, int] | None  # (width, height); None: not decoded
    lesion_share: float | None = None  # of the image's area; None: not known
    maps: MapMeasures | None = None  # None: no lesion known, or no map
    guesses: dict[str, MapMeasures] | None = None
    outside: float | None = None  # share of the map outside the body
    body_share: float | None = None  # of the image's area
    header: Mapping[str, str] = field(default_factory=dict)  # DICOM: how and of whom it was taken
    found: Found | None = None  # boxes, of an image where it is known where its lesions lie, or that it has none


def observe(row: Row, prediction: Prediction, reading: Reading, lesions: Lesions) -> Observation:
    """reading: with its image kept. Raises CannotOpen or DataInvalid for a mask that cannot be used."""
    image = reading.image
    if image is None:
        return Observation(prediction, None)
    size = (image.width, image.height)
    header = dict(image.header)
    if reading.heatmap is None:
        return Observation(prediction, size, header=header)
    strength = reading.heatmap.strength(longest_side=SIDE)
    body = body_of(to_display(image, longest_side=SIDE))
    seen = Observation(
        prediction,
        size,
        outside=share_outside(strength, body),
        body_share=float(body.mean()),
        header=header,
        found=_boxes(row, prediction, reading, lesions),
    )
    if not lesions.known(row):
        return seen
    lesion = _lesion(row, lesions, strength, size)
    target = Target(lesion)
    return replace(
        seen,
        lesion_share=float(lesion.mean()),
        maps=target.measure(strength),
        guesses=baselines(target, body),
    )


def _boxes(row: Row, prediction: Prediction, reading: Reading, lesions: Lesions) -> Found | None:
    """None where the bundle finds none, or it is not known where the image's lesions lie."""
    if reading.findings is None or (row.label and not lesions.known(row)):
        return None
    corners = [(x, y, x + wide, y + high) for x, y, wide, high in (one.box for one in reading.findings)]
    return Found(
        truth=boxes_of(row, lesions) if row.label else np.zeros((0, 4)),
        boxes=np.array(corners, dtype=np.float64).reshape(-1, 4),
        scores=np.array([one.score for one in reading.findings], dtype=np.float64),
        group=prediction.group,
    )


def heatmap_table(reader: Reader, manifest: Manifest, seen: Sequence[Observation], lesions: Lesions) -> dict[str, Any]:
    """How the maps of a split did, as `results[split].heatmap` of the evidence has it: docs/reference/formats.md."""
    placed = [(row, one) for row, one in zip(manifest.rows, seen, strict=True) if one.maps is not None]
    found = [one for _, one in placed if (one.prediction.probability or 0) > reader.operating_point.threshold]
    known = [one for _, one in placed]
    given = sorted({lesions.given_as(row) for row, _ in placed})
    return {
        "tolerance": round(TOLERANCE, 6),
        "side": SIDE,
        "lesions_given_as": given,
        "n": len(known),
        "n_groups": len({one.prediction.group for one in known}),
        "n_without_map": sum(one.outside is None for one in known),
        "lesion_share": round(float(np.mean([one.lesion_share for one in known])), 6) if known else None,
        "measures": _table(known),
        "found": {"n": len(found), "measures": _table(found)},
        "outside_body": _outside(seen),
        "randomised_weights": randomised_weights(reader, [row for row, _ in placed], known, lesions),
    }


def randomised_weights(
    reader: Reader, rows: Sequence[Row], seen: Sequence[Observation], lesions: Lesions
) -> dict[str, Any] | None:
    """The sanity test of Adebayo et al., NeurIPS 2018, on up to 200 of the rows; None without rows.

    A map that hardly changes when all that was learnt is destroyed shows the image, not the model. Where the bundle's
    map has a zero of its own, the learnt map is counted from there, as it is served; to the others it means nothing and
    would leave most of them empty, so each of them is counted from its own lowest place: a harder test.
    """
    if not rows:
        return None
    rng = np.random.default_rng(0)
    chosen = np.sort(rng.choice(len(rows), min(_SANITY_IMAGES, len(rows)), replace=False))
    served = reader.bundle.model_path.read_bytes()
    cases = [_Case.of(reader, rows[number], lesions) for number in chosen]
    inputs = np.stack([case.prepared.pixels for case in cases])
    learnt = maps_of(served, inputs)
    drawn = [maps_of(randomised_model(served, random_state=state), inputs) for state in RANDOM_STATES]
    if reader.bundle.maps_lesions:
        learnt = learnt - np.float32(reader.bundle.heatmap.zero or 0)
        drawn = [maps - maps.min(axis=(1, 2), keepdims=True) for maps in drawn]
    per_image = [case.row_of([maps[at] for maps in drawn], learnt[at]) for at, case in enumerate(cases)]
    groups = [seen[number].prediction.group for number in chosen]
    columns = np.array(per_image)
    values = [*grouped_means(columns[:, :4], groups), *grouped_means(columns[:, 4:6], groups, bounds=(-1.0, 1.0))]
    defined = ~np.isnan(columns[:, 6])
    names = ("pointing", "energy", "pointing_randomised", "energy_randomised", "pointing_gain", "energy_gain")
    return {
        "n": len(cases),
        "random_states": list(RANDOM_STATES),
        **{name: value.to_dict() for name, value in zip(names, values, strict=True)},
        "n_correlated": int(defined.sum()),
        "rank_correlation": grouped_means(
            columns[defined, 6:], [g for g, ok in zip(groups, defined, strict=True) if ok], bounds=(-1.0, 1.0)
        )[0].to_dict(),
    }


@dataclass(frozen=True)
class _Case:
    """An image of the sanity test, ready for any network's map."""

    prepared: Prepared
    heatmap: HeatMap  # as served: its place on the image holds for every map
    target: Target

    @classmethod
    def of(cls, reader: Reader, row: Row, lesions: Lesions) -> "_Case":
        reading = reader.read(row.path, keep_image=True)
        assert reading.image is not None, "an image that was read before is decoded again"
        assert reading.heatmap is not None, "an image that was read before is read again"
        size = (reading.image.width, reading.image.height)
        lesion = _lesion(row, lesions, reading.heatmap.strength(longest_side=SIDE), size)
        return cls(prepare(reading.image, reader.bundle.prepare_spec), reading.heatmap, Target(lesion))

    def row_of(self, drawn: Sequence[np.ndarray], learnt: np.ndarray) -> list[float]:
        """Pointing and energy as learnt, as randomised, their differences; and the mean rank correlation."""
        own = self._measure(learnt)
        others = [self._measure(values) for values in drawn]
        pointing = float(np.mean([other.pointing for other in others]))
        energy = float(np.mean([other.energy for other in others]))
        correlations = np.array([rank_correlation(learnt, values) for values in drawn])
        known = correlations[~np.isnan(correlations)]
        return [
            own.pointing, own.energy, pointing, energy, own.pointing - pointing, own.energy - energy,
            float(known.mean()) if len(known) else float("nan"),
        ]  # fmt: skip

    def _measure(self, values: np.ndarray) -> MapMeasures:
        place = self.heatmap
        return self.target.measure(HeatMap(values, place.box, place.width, place.height).strength(longest_side=SIDE))


def _lesion(row: Row, lesions: Lesions, strength: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    height, width = strength.shape
    return lesions.coverage(row, width=width, height=height, image_size=size)


def _table(seen: Sequence[Observation]) -> dict[str, Any]:
    maps = [one.maps for one in seen if one.maps is not None]
    guesses = [one.guesses for one in seen if one.guesses is not None]
    return localisation_table(maps, guesses, [one.prediction.group for one in seen])


def _outside(seen: Sequence[Observation]) -> dict[str, Any]:
    """Over all images with a map; beside it the share of the image outside the body, which a uniform map would show."""
    known = [one for one in seen if one.outside is not None and one.body_share is not None]
    columns = np.array([[one.outside, 1 - one.body_share] for one in known]).reshape(len(known), 2)  # type: ignore[operator]
    share, uniform = grouped_means(columns, [one.prediction.group for one in known])
    return {"n": len(known), "share": share.to_dict(), "uniform": uniform.to_dict()}
