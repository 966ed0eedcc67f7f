"""What of a series is its stack of slices, in order of position; and one series that is due, read as one.

Beside the slices scanners send localisers, field maps, projections and pictures of whole mosaics under the same series,
and every slice perhaps several times over: echoes, repetitions, the same object twice (PS3.3 C.7.6.2, C.8.3).
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from secondread.errors import Busy, Conflict, DatabaseUnusable, DiskFull, NotThere, SecondReadError, StorageAway
from secondread.service import Actor, DicomObject, Draft, ReadingDesk, ReadingRequest, Service, Slice, Waiting, holding

SAME_PLANE = float(np.cos(np.deg2rad(5)))  # cosine between normals, and between rows, of slices that belong together
_SAME_PLACE = 0.01  # mm along the normal
_LOG = logging.getLogger("secondread.dicom")

_Left = tuple[DicomObject, str]


@dataclass(frozen=True)
class Stack:
    """The slices of a series in order, and what is no part of them, with why."""

    slices: tuple[DicomObject, ...]  # along the normal of their plane (PS3.3 C.7.6.2.1.1)
    left: tuple[_Left, ...] = ()

    @property
    def positions(self) -> list[float]:
        """Of each along the normal, mm; empty where the headers do not say."""
        axes = _axes(self.slices[0]) if self.slices else None
        if axes is None or any(one.position is None or one.n_frames > 1 for one in self.slices):
            return []
        return [round(float(np.array(one.position) @ axes[2]), 1) for one in self.slices]


def stack_of(objects: Iterable[DicomObject]) -> Stack:
    """Sort a series out; whatever the order in which its objects came, the same comes out.

    Of several planes or sizes the one with the most pictures counts; of several pictures of one place the one of the
    lowest number, which is the first echo or the first repetition. Without positions the numbers order the slices.
    """
    left: list[_Left] = []
    kept: list[DicomObject] = []
    seen: set[str] = set()
    for one in sorted(objects, key=_number):
        why = "the same picture is there already" if one.image_sha256 in seen else _why_not(one)
        if why:
            left.append((one, why))
        else:
            kept.append(one)
            seen.add(one.image_sha256 or "")
    groups = _planes(kept)
    if not groups:
        return Stack((), tuple(left))
    chosen = max(groups, key=lambda group: sum(one.n_frames for one in group))  # of equal ones the first
    left += [
        (one, "another plane or size than most of the series")
        for group in groups
        if group is not chosen
        for one in group
    ]
    whole = max(chosen, key=lambda one: one.n_frames)
    if whole.n_frames > 1:  # an enhanced object is a stack by itself
        left += [(one, "beside a picture of several frames") for one in chosen if one is not whole]
        return Stack((whole,), tuple(left))
    slices, again = _in_order(chosen)
    return Stack(tuple(slices), (*left, *((one, "another picture of the same place") for one in again)))


def read_next(service: Service, desk: ReadingDesk, *, actor: Actor) -> int | None:
    """Read the series that is due longest; the number of its reading, None where none is due.

    Raises Busy, DatabaseUnusable, StorageAway or DiskFull where none can be read now; the series is due again then.
    """
    while (claim := service.dicom_series.claim()) is not None:
        try:
            with holding(partial(service.dicom_series.renew, claim), service.dicom_series.lease, "a series"):
                found = _read(service, desk, claim, actor)
        except Busy as error:
            service.dicom_series.give_back(claim, seconds=error.retry_after)
            raise
        except (DatabaseUnusable, StorageAway, DiskFull, OSError):
            raise  # the lease runs out
        except SecondReadError as error:
            service.dicom_series.fail(claim, str(error), actor=actor)
            continue
        if found is not None:
            return found
    return None


def _read(service: Service, desk: ReadingDesk, claim: Waiting, actor: Actor) -> int | None:
    stack = stack_of(claim.objects)
    if not stack.slices:
        why = "; ".join(dict.fromkeys(why for _, why in stack.left)) or "nothing of it is kept"
        service.dicom_series.leave(claim, stack.left, f"no stack of slices: {why}", actor=actor)
        return None
    slices = [Slice(one.image_sha256 or "", frame) for one in stack.slices for frame in range(one.n_frames)]
    if len({one.study_uid for one in stack.slices}) > 1:
        raise Conflict("slices of several studies came under the number of one series; none of it is read")
    first = stack.slices[0]
    asked = ReadingRequest(first.task or "auto", operating_point=first.operating_point, source=first.calling_aet)
    try:
        found = desk.look_at(service.dicom_series.stage(slices), asked)
        if isinstance(found, Draft) and stack.positions:
            found = replace(found, facts=found.facts | {"positions": stack.positions})
        return service.dicom_series.finish(
            claim,
            slices,
            stack.slices,
            stack.left,
            found,
            name=_name(first, len(slices)),
            source=asked.source,
            actor=actor,
        )
    except NotThere as error:
        service.dicom_series.fail(claim, f"a slice was erased while the series was read: {error}", actor=actor)
        return None


def _name(one: DicomObject, n: int) -> str:
    """What the reading is called in lists: nothing that identifies."""
    number = "" if one.series_number is None else f" {one.series_number}"
    said = f"{one.modality or 'DICOM'} series{number}", one.series_description, f"{n} slices"
    return ", ".join(filter(None, said))


_LOCALISER = {"LOC", "LOCALIZER", "LOCALISER", "SCOUT", "SURVEY", "PLAN"}
_FIELD_MAP = {"FIELDMAP", "FIELD", "B0", "B1", "SHIM", "FIELD_MAP"}
_REASONS: tuple[tuple[str, Callable[[set[str], set[str]], bool]], ...] = (
    ("a localiser", lambda types, words: "LOCALIZER" in types or bool(words & _LOCALISER)),
    ("a field map", lambda types, words: "FIELD_MAP" in types or bool(words & _FIELD_MAP)),
    ("a phase, real or imaginary image", lambda types, words: bool(types & {"P", "PHASE", "R", "I"})),
    ("a projection", lambda types, words: bool(types & {"PROJECTION", "MIP", "MINIP"})),
    (
        "a mosaic, many slices in one picture; send them one by one or as an enhanced object",
        lambda types, words: "MOSAIC" in types,
    ),
)


def _why_not(one: DicomObject) -> str:
    """Why an object is no slice to be read; empty for one that is."""
    if one.image_sha256 is None:
        return one.reason or "it is not kept"
    types, words = set(one.image_type.upper().split("\\")), set(one.series_description.upper().split())
    return next((why for why, is_so in _REASONS if is_so(types, words)), "")


def _planes(objects: Sequence[DicomObject]) -> list[list[DicomObject]]:
    """Those of one plane and size together."""
    groups: list[list[DicomObject]] = []
    for one in objects:
        group = next((group for group in groups if _alike(group[0], one)), None)
        if group is None:
            groups.append([one])
        else:
            group.append(one)
    return groups


def _alike(one: DicomObject, other: DicomObject) -> bool:
    if (one.rows, one.columns) != (other.rows, other.columns):
        return False
    mine, theirs = (_axes(each) for each in (one, other))
    if mine is None or theirs is None:
        return mine is None and theirs is None
    return all(float(a @ b) >= SAME_PLANE for a, b in zip(mine, theirs, strict=True))


def _axes(one: DicomObject) -> np.ndarray | None:
    """Directions of rows, columns and normal, float (3, 3), of length 1; None where the header does not say them."""
    if one.orientation is None or not np.isfinite(one.orientation).all():
        return None
    row, column = np.array(one.orientation[:3]), np.array(one.orientation[3:])
    axes = np.stack([row, column, np.cross(row, column)])
    lengths = np.linalg.norm(axes, axis=1)
    return None if lengths.min() < 1e-3 else axes / lengths[:, None]


def _in_order(objects: Sequence[DicomObject]) -> tuple[list[DicomObject], list[DicomObject]]:
    """Along the normal; and what shows a place that another shows already. objects: by number."""
    axes = _axes(objects[0])
    if axes is None or any(one.position is None or not np.isfinite(one.position).all() for one in objects):
        return list(objects), []
    along = [float(np.array(one.position) @ axes[2]) for one in objects]
    slices: list[tuple[float, DicomObject]] = []
    again = []
    for place, one in sorted(zip(along, objects, strict=True), key=lambda pair: pair[0]):  # stable: by number
        if slices and place - slices[-1][0] < _SAME_PLACE:
            again.append(one)
            if _number(one) < _number(slices[-1][1]):
                again[-1] = slices[-1][1]
                slices[-1] = (slices[-1][0], one)
        else:
            slices.append((place, one))
    return [one for _, one in slices], again


def _number(one: DicomObject) -> tuple[int, str]:
    """Its number, and what tells those without one apart the same way each time."""
    return (2**31 if one.instance_number is None else one.instance_number, one.sop_instance_uid)
