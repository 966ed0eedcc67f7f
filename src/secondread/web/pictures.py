"""The pictures of a reading: the image to look at, its bytes, thumbnail and heat map. Each look is in the trail."""

import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from apiflask import APIBlueprint, Schema
from apiflask.fields import Boolean, Float, Integer, List, Nested, String
from apiflask.validators import Length, OneOf, Range
from flask import Response, request

from secondread.errors import ImageError, NotThere
from secondread.images import KINDS, encode_png
from secondread.reading import Region, regions_of
from secondread.service import HEAT_MAP_PIXELS, THUMBNAIL_PIXELS, StoredReading, bundle_of, check_shown, regions_on
from secondread.service.picture_cache import GREY, INFERNO
from secondread.web.auth import current_actor, require
from secondread.web.context import desk, service
from secondread.web.document import other
from secondread.web.shapes import LARGEST_ID, Text, said, shape_of

pictures = APIBlueprint("pictures", __name__, url_prefix="/api/v1", tag="pictures")
_TYPES = {
    "DICOM": ("application/dicom", "dcm"),
    "PNG": ("image/png", "png"),
    "JPEG": ("image/jpeg", "jpg"),
    "TIFF": ("image/tiff", "tiff"),
    "WebP": ("image/webp", "webp"),
    "BMP": ("image/bmp", "bmp"),
    "NIfTI": ("application/octet-stream", "nii"),
}


class FrameQuery(Schema):
    """Which frame of a file of several."""

    frame = Integer(
        load_default=None, validate=Range(1, LARGEST_ID), metadata=said("from 1; without it the one that answered")
    )


class ImageQuery(FrameQuery):
    """How large the picture is to be."""

    longest_side = Integer(load_default=4096, validate=Range(16, 16384), metadata=said("pixels, at most"))


class DepthQuery(FrameQuery):
    """How large the picture is to be."""

    longest_side = Integer(load_default=2048, validate=Range(16, 4096), metadata=said("pixels, at most"))


class HeatMapQuery(FrameQuery):
    """How the heat map is to be shown."""

    colours = Text(
        load_default=GREY,
        validate=OneOf([GREY, INFERNO]),
        metadata=said("grey: its strength, to be coloured by the client; inferno: to lay over the image as it is"),
    )


@shape_of(Region, "box outline peak area")
class RegionRow(Schema):
    """A place that looks diseased to the network; not the border of a lesion."""

    box = said("x, y, width, height in pixels of the image")
    outline = said("its corners (x, y) in turn")
    peak = said("its strongest point: 0 at the bundle's zero, 1 at full strength")
    area = said("share of the image")


class RegionsOut(Schema):
    """The strongest places first."""

    given = Boolean(required=True, metadata=said("false: this bundle's map names no places of disease, or is not here"))
    regions = List(Nested(RegionRow), required=True)


class GreyWindowRow(Schema):
    """A window that the file offers, in its own values."""

    centre = Float(required=True)
    width = Float(required=True)
    name = String(required=True, metadata=said("as the file calls it; may be empty"))


class GeometryOut(Schema):
    """How large a pixel is, and how the picture lies in the body, as the file says."""

    spacing = List(
        Float(),
        required=True,
        allow_none=True,
        validate=Length(equal=2),
        metadata=said("millimetres between rows and between columns; null where the file does not say"),
    )
    kind = String(
        required=True,
        validate=OneOf(("", *KINDS)),
        metadata=said(
            "where that length is true. body: in the plane of the body; calibrated: a projection, corrected for its "
            "magnification; detector: a projection, at the detector; unsaid: a projection that does not say; film: on "
            "the scanned film"
        ),
    )
    letters = List(
        String(),
        required=True,
        allow_none=True,
        validate=Length(equal=4),
        metadata=said("what of the body lies left, right, above and below: L R A P H F; null where not known"),
    )
    windows = List(Nested(GreyWindowRow), required=True)
    unit = String(required=True, metadata=said("of the file's values, as HU; empty where it does not say"))


_PNG = other("image/png", "A PNG file")


@pictures.get("/readings/<int:reading_id>/image")
@require("read")
@pictures.input(ImageQuery, location="query")
@pictures.doc(summary="Show the image of a reading", operation_id="getImage", responses=_PNG)
def image(reading_id: int, query_data: dict[str, Any]) -> Response:
    """Answer with a frame, the one that answered or another, as a PNG of 8 bits, upright, bright meaning bright."""
    return _shown(reading_id, query_data, longest_side=query_data["longest_side"])


@pictures.get("/readings/<int:reading_id>/depth")
@require("read")
@pictures.input(DepthQuery, location="query")
@pictures.doc(
    summary="Show all grey values of a reading's image",
    operation_id="getDepth",
    responses=other("image/png", "A PNG file with levels of 16 bits: red is the upper byte, green the lower"),
)
def depth(reading_id: int, query_data: dict[str, Any]) -> Response:
    """Answer with every value of a grey file of more than 8 bits, to lay a window over. 404 where there are no more.

    Headers tell what the levels mean in the file's own values: `Depth-Range` (at level 0 and at 65535), `Depth-Window`
    (centre and width that the file asks for) and, where known, `Depth-Unit`.
    """
    reading = service().readings.get(reading_id, actor=current_actor(), answer=False, stepping=True)
    sha256 = service().readings.look_at_image(reading_id, actor=current_actor())
    with _told_why():
        found = service().pictures.depth(sha256, index_of(reading, query_data), longest_side=query_data["longest_side"])
    if found is None:
        raise NotThere("this image has no more than the 8 bits that are shown")
    answer, facts = _picture(found.png), found.facts
    answer.headers["Depth-Range"] = f"{facts['black']:.6g} {facts['white']:.6g}"
    answer.headers["Depth-Window"] = f"{facts['centre']:.6g} {facts['width']:.6g}"
    if facts["unit"].isascii() and facts["unit"].isprintable():
        answer.headers["Depth-Unit"] = facts["unit"]
    return answer


@pictures.get("/readings/<int:reading_id>/geometry")
@require("read")
@pictures.input(FrameQuery, location="query")
@pictures.output(GeometryOut)
@pictures.doc(summary="Tell the size of a pixel and the way the body lies", operation_id="getGeometry")
def geometry(reading_id: int, query_data: dict[str, Any]) -> Any:
    """Answer with what a ruler and the letters at the sides of an image need; nothing of it is guessed."""
    reading = service().readings.get(reading_id, actor=current_actor(), answer=False, stepping=True)
    sha256 = service().readings.look_at_image(reading_id, actor=current_actor())
    with _told_why():
        return service().pictures.geometry(sha256, index_of(reading, query_data))


@pictures.get("/readings/<int:reading_id>/file")
@require("read")
@pictures.doc(
    summary="Download the file of a reading",
    operation_id="getFile",
    responses=other("application/octet-stream", "The file, without what identifies a person"),
)
def file(reading_id: int) -> Response:
    """Answer with the bytes as they are kept."""
    reading = service().readings.get(reading_id, actor=current_actor(), answer=False)
    data = service().readings.image(reading_id, actor=current_actor())
    if slices := service().dicom_series.slices(reading.image_sha256):
        return _zipped(reading, list(dict.fromkeys(one.sha256 for one in slices)))
    _, suffix = _TYPES.get(str(reading.facts.get("format", "")), ("", "bin"))
    headers = {"Content-Disposition": f'attachment; filename="{reading.image_sha256[:16]}.{suffix}"'}
    return Response(data, content_type="application/octet-stream", headers=headers)


@pictures.get("/readings/<int:reading_id>/thumbnail")
@require("read")
@pictures.input(FrameQuery, location="query")
@pictures.doc(summary="Show a small picture of a reading", operation_id="getThumbnail", responses=_PNG)
def thumbnail(reading_id: int, query_data: dict[str, Any]) -> Response:
    """Answer with a PNG of at most 256 pixels a side."""
    if query_data["frame"] is not None:
        return _shown(reading_id, query_data, longest_side=THUMBNAIL_PIXELS)
    found = service().readings.thumbnails([min(reading_id, LARGEST_ID)], actor=current_actor())
    if reading_id not in found:
        raise NotThere("this reading has no thumbnail")
    return _picture(found[reading_id])


@pictures.get("/readings/<int:reading_id>/heatmap")
@require("read")
@pictures.input(HeatMapQuery, location="query")
@pictures.doc(summary="Show the heat map of a reading", operation_id="getHeatMap", responses=_PNG)
def heatmap(reading_id: int, query_data: dict[str, Any]) -> Response:
    """Answer with where in the image the answer came from: what the model used, not where disease is.

    Of several frames the map of the one that answered is kept; another's is made now, by the bundle that read the file.
    """
    colours = query_data["colours"]
    if query_data["frame"] is None:
        return _picture(service().readings.heat_map(reading_id, actor=current_actor(), colours=colours))
    reading = service().readings.get(reading_id, actor=current_actor(), stepping=True)
    check_shown(reading)
    if (index := index_of(reading, query_data)) == reading.frame:
        return _picture(service().readings.heat_map(reading_id, actor=current_actor(), colours=colours))
    found = desk().map_of(reading, index, actor=current_actor())
    if colours == GREY:
        return _picture(encode_png(found.levels(longest_side=HEAT_MAP_PIXELS)))
    return _picture(found.overlay_png(longest_side=HEAT_MAP_PIXELS))


@pictures.get("/readings/<int:reading_id>/regions")
@require("read")
@pictures.input(FrameQuery, location="query")
@pictures.output(RegionsOut)
@pictures.doc(summary="List the places that a lesion map names", operation_id="getRegions")
def regions(reading_id: int, query_data: dict[str, Any]) -> Any:
    """Answer with boxes and outlines where the bundle scores places; with none where no place spoke for disease."""
    reading = service().readings.get(reading_id, actor=current_actor(), stepping=True)
    bundle = bundle_of(reading)
    if bundle is None or not bundle.maps_lesions or not reading.heat_map:
        return {"given": False, "regions": []}
    if (index := index_of(reading, query_data)) == reading.frame:
        levels = service().readings.map_of(reading_id, actor=current_actor()).levels(longest_side=HEAT_MAP_PIXELS)
        return {"given": True, "regions": regions_on(reading, levels)}
    found = desk().map_of(reading, index, actor=current_actor())
    levels = found.levels(longest_side=HEAT_MAP_PIXELS)
    return {"given": True, "regions": regions_of(levels, width=found.width, height=found.height, cell=found.cell)}


def _zipped(reading: StoredReading, images: list[str]) -> Response:
    """The files of a series in their order, one after the other: they may be large together."""

    def parts() -> Iterator[bytes]:
        pipe = _Pipe()
        with zipfile.ZipFile(pipe, "w") as archive:
            for number, sha256 in enumerate(images, 1):
                archive.writestr(f"{number:04}.dcm", kept.image(sha256))
                yield pipe.taken()
        yield pipe.taken()

    kept = service().images
    headers = {"Content-Disposition": f'attachment; filename="{reading.image_sha256[:16]}.zip"'}
    return Response(parts(), content_type="application/zip", headers=headers)


class _Pipe(io.RawIOBase):
    """What is written is given out again; nothing of it is kept."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        """Yes."""
        return True

    def write(self, data: Any, /) -> int:
        """Keep it until it is taken."""
        self._parts.append(bytes(data))
        return len(data)

    def taken(self) -> bytes:
        """All that was written since."""
        found, self._parts = b"".join(self._parts), []
        return found


def _shown(reading_id: int, query: dict[str, Any], *, longest_side: int) -> Response:
    reading = service().readings.get(reading_id, actor=current_actor(), answer=False, stepping=True)
    sha256 = service().readings.look_at_image(reading_id, actor=current_actor())
    with _told_why():
        return _picture(service().pictures.shown(sha256, index_of(reading, query), longest_side=longest_side))


@contextmanager
def _told_why() -> Iterator[None]:
    """A frame that is damaged has no picture, however well the others were read. Raises NotThere."""
    try:
        yield
    except ImageError as error:
        raise NotThere(f"this picture cannot be shown: {error}") from error


def index_of(reading: StoredReading, query: dict[str, Any]) -> int:
    """The frame that is asked for, from 0; the one that answered where none is. Raises NotThere."""
    frame, n = query["frame"], int(reading.facts.get("n_frames") or 1)
    if frame is None:
        return reading.frame
    if frame > n:
        raise NotThere(f"there is no frame {frame}; the file has {n}")
    return int(frame) - 1


def _picture(png: bytes) -> Response:
    """No browser keeps it, as no other answer; a program that has it already is told so in its place (RFC 9110 13)."""
    answer = Response(png, content_type="image/png")
    answer.add_etag()
    answer.make_conditional(request)
    return answer
