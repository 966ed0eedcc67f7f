"""The pictures that teach the gate: every task's images, the gate's own collection, and drawn outliers.

Each row of a task's manifest is in `train`, `val` or `test`; collections that no classifier may be fitted to
(`localisation`, `external-negatives`) are divided by group, 60 %, 20 % and 20 %. `test` and `external` teach nothing
and choose nothing. The gate's own collection (a folder `gate` beside the tasks' folders, if there is one) has a
manifest with the columns `path`, `kind`, `right_for` and `source`.
"""

import csv
import io
import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from secondread.data import Manifest
from secondread.data.split import part_of
from secondread.errors import DataInvalid
from secondread.files import write_bytes
from secondread.images import Image, PrepareSpec, decode, prepare
from secondread.tasks import list_tasks, load_task
from secondread.training.gate_pictures import draw_outliers

SIDE = 96  # pixels
SPEC = PrepareSpec(size=SIDE, channels=3, aspect="pad")
OTHER, INVERTED, TURNED = "other", "inverted", "turned"
# What the gate calls the kinds of its own collection, by how their names begin; all else is `other`.
KINDS = {
    "CT": "ct",
    "MRI": "mri",
    "lateral chest": "lateral",
    "skull": "skull",
    "ultrasound": "ultrasound",
    "child": "child",
}
DRAWN = "drawn"  # the source of outliers that were made
_MOST = 1200  # pictures of one source in one part: more of the same teach nothing
_QUALITY = 78  # of packed pictures


@dataclass(frozen=True, eq=False)
class Pictures:
    """Prepared pictures with what they are; index `i` is one picture in every field."""

    images: np.ndarray  # uint8 (n, SIDE, SIDE, 3)
    extents: np.ndarray  # float32 (n, 2): share of height and width that is no padding
    kinds: np.ndarray  # str (n,): a task's name, one of KINDS, or 'other'
    shows: np.ndarray  # str (n,): the same, as its collection says it ('CT knee', 'window')
    sources: np.ndarray  # str (n,)
    parts: np.ndarray  # str (n,): 'train', 'val', or 'gate' for the gate's own collection

    def __len__(self) -> int:
        return len(self.images)

    def take(self, chosen: np.ndarray) -> "Pictures":
        """Those of a mask or of indices."""
        return Pictures(**{name: value[chosen] for name, value in vars(self).items()})


@dataclass(frozen=True)
class _Entry:
    path: Path
    kind: str
    shows: str
    source: str
    part: str


def gather(
    manifests: Mapping[str, Manifest], extra: Path | None = None, *, n_outliers: int = 800, random_state: int = 0
) -> Pictures:
    """Everything that may teach the gate or set its thresholds, at most 1,200 of a source and part.

    extra: the manifest of the gate's own collection. n_outliers: pictures that are drawn (training/gate_pictures.py).
    Raises DataInvalid for a picture that cannot be read.
    """
    entries = [*_of_tasks(manifests, np.random.default_rng(random_state)), *(gate_entries(extra) if extra else ())]
    with ThreadPoolExecutor() as pool:
        prepared = list(pool.map(_prepared, entries))
    drawn = draw_outliers(n_outliers, held_out=False, random_state=random_state)
    prepared += [_laid_out(Image.from_array(picture)) for _, picture in drawn]
    return Pictures(
        images=np.stack([image for image, _ in prepared]),
        extents=np.array([extent for _, extent in prepared], np.float32),
        kinds=np.array([entry.kind for entry in entries] + [OTHER] * len(drawn)),
        shows=np.array([entry.shows for entry in entries] + [name for name, _ in drawn]),
        sources=np.array([entry.source for entry in entries] + [DRAWN] * len(drawn)),
        parts=np.array([entry.part for entry in entries] + ["train"] * len(drawn)),
    )


def gate_entries(manifest: Path) -> list[_Entry]:
    """The gate's own collection. Raises DataInvalid for a manifest that lacks a column."""
    with manifest.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    missing = {"path", "kind", "right_for", "source"} - set(rows[0] if rows else ())
    if missing:
        raise DataInvalid(f"'{manifest}' lacks: {', '.join(sorted(missing))}")
    return [
        _Entry(
            manifest.parent / row["path"], row["right_for"] or _kind(row["kind"]), row["kind"], row["source"], "gate"
        )
        for row in rows
    ]


def tasks_of(pictures: Pictures) -> list[str]:
    """The tasks that have pictures of their own."""
    return sorted(set(pictures.kinds.tolist()) & set(list_tasks()))


def upright(tasks: Iterable[str]) -> list[str]:
    """The tasks whose films have an upside: those that may not be flipped upside down."""
    return [task for task in tasks if "vertical_flip" not in load_task(task).augmentations]


def pack(pictures: Pictures, path: Path, *, fingerprints: Mapping[str, str]) -> None:
    """One small file, to train elsewhere: pictures as WebP, which loses a little; fingerprints: of the manifests."""
    streams = [_encode(image, extent) for image, extent in zip(pictures.images, pictures.extents, strict=True)]
    target = io.BytesIO()
    np.savez_compressed(
        target,
        streams=np.frombuffer(b"".join(streams), np.uint8),
        lengths=np.array([len(stream) for stream in streams]),
        fingerprints=np.array(json.dumps(dict(fingerprints))),
        **{name: value for name, value in vars(pictures).items() if name != "images"},
    )
    write_bytes(path, target.getvalue())


def unpack(path: Path) -> tuple[Pictures, dict[str, str]]:
    """The pictures of a packed file and the fingerprints of their manifests. Raises DataInvalid if it is none."""
    try:
        with np.load(path) as file:
            fields = {name: file[name] for name in file.files}
        streams, lengths = fields.pop("streams"), fields.pop("lengths")
        fingerprints = json.loads(str(fields.pop("fingerprints")))
        cuts = np.split(streams, np.cumsum(lengths)[:-1])
        with ThreadPoolExecutor() as pool:
            images = list(pool.map(_decode, cuts, fields["extents"]))
        return Pictures(images=np.stack(images), **fields), fingerprints
    except (KeyError, ValueError, TypeError, OSError) as error:
        raise DataInvalid(
            f"'{path}' holds no packed pictures ({error}); write it with `secondread gate pack`"
        ) from error


def _of_tasks(manifests: Mapping[str, Manifest], rng: np.random.Generator) -> list[_Entry]:
    found: dict[tuple[str, str, str], list[_Entry]] = {}
    for task, manifest in sorted(manifests.items()):
        for row, group in zip(manifest.rows, manifest.groups, strict=True):
            part = part_of(row.split, group)
            if part != "test":
                found.setdefault((task, row.source, part), []).append(_Entry(row.path, task, task, row.source, part))
    return [
        entries[index]
        for _, entries in sorted(found.items())
        for index in np.sort(rng.permutation(len(entries))[:_MOST])
    ]


def _kind(shows: str) -> str:
    return next((kind for begins, kind in KINDS.items() if shows.startswith(begins)), OTHER)


def _prepared(entry: _Entry) -> tuple[np.ndarray, tuple[float, float]]:
    try:
        return _laid_out(decode(entry.path.read_bytes()))
    except Exception as error:
        raise DataInvalid(f"'{entry.path}' cannot teach the gate: {error}") from error


def _laid_out(image: Image) -> tuple[np.ndarray, tuple[float, float]]:
    """As the gate sees it, and the share of height and width that is no padding."""
    longest = max(image.width, image.height)
    return prepare(image, SPEC).pixels, (image.height / longest, image.width / longest)


def _box(extent: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns that are no padding."""
    kept = np.clip(np.round(extent * SIDE), 1, SIDE).astype(int)
    top, left = ((SIDE - kept) // 2).tolist()
    return slice(top, top + int(kept[0])), slice(left, left + int(kept[1]))


def _encode(image: np.ndarray, extent: np.ndarray) -> bytes:
    cut = cv2.cvtColor(image[_box(extent)], cv2.COLOR_RGB2BGR)
    return cv2.imencode(".webp", cut, [cv2.IMWRITE_WEBP_QUALITY, _QUALITY])[1].tobytes()


def _decode(stream: np.ndarray, extent: np.ndarray) -> np.ndarray:
    cut = cv2.imdecode(stream, cv2.IMREAD_COLOR)
    if cut is None:
        raise ValueError("a picture in it is damaged")
    whole = np.zeros((SIDE, SIDE, 3), np.uint8)
    whole[_box(extent)] = cv2.cvtColor(cut, cv2.COLOR_BGR2RGB)
    return whole
