"""The pictures of a reading: the image to look at, its bytes, thumbnail and heat map. Each look is in the trail."""

from typing import Any

from apiflask import APIBlueprint, Schema
from apiflask.fields import Boolean, Integer, List, Nested
from apiflask.validators import OneOf, Range
from flask import Response

from secondread.errors import NotThere
from secondread.images import decode, encode_depth, encode_png, to_display, whole_range
from secondread.reading import Region, overlay_of, regions_of
from secondread.service import bundle_of
from secondread.web.auth import current_actor, require
from secondread.web.context import readers, service
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
}


class ImageQuery(Schema):
    """How large the picture is to be."""

    longest_side = Integer(load_default=4096, validate=Range(16, 16384), metadata=said("pixels, at most"))


class DepthQuery(Schema):
    """How large the picture is to be."""

    longest_side = Integer(load_default=2048, validate=Range(16, 4096), metadata=said("pixels, at most"))


class HeatMapQuery(Schema):
    """How the heat map is to be shown."""

    colours = Text(
        load_default="grey",
        validate=OneOf(["grey", "inferno"]),
        metadata=said("grey: its strength, to be coloured by the client; inferno: to lay over the image as it is"),
    )


@shape_of(Region, "box outline peak area")
class RegionRow(Schema):
    """A place that looks diseased to the network; not the border of a lesion."""

    box = said("x, y, width, height in pixels of the image")
    outline = said("its corners (x, y) in turn")
    peak = said("its strongest place, as a share of the map's strongest")
    area = said("share of the image")


class RegionsOut(Schema):
    """The strongest places first."""

    given = Boolean(required=True, metadata=said("false: this bundle's map names no places of disease, or is not here"))
    regions = List(Nested(RegionRow), required=True)


_PNG = other("image/png", "A PNG file")


@pictures.get("/readings/<int:reading_id>/image")
@require("read")
@pictures.input(ImageQuery, location="query")
@pictures.doc(summary="Show the image of a reading", operation_id="getImage", responses=_PNG)
def image(reading_id: int, query_data: dict[str, Any]) -> Response:
    """Answer with the frame that was read as a PNG of 8 bits, upright, bright meaning bright."""
    reading = service().readings.get(reading_id, actor=current_actor())
    data = service().readings.image(reading_id, actor=current_actor())
    shown = decode(data, frame=reading.frame, limits=readers().limits)
    return _picture(encode_png(to_display(shown, longest_side=query_data["longest_side"])))


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
    reading = service().readings.get(reading_id, actor=current_actor())
    data = service().readings.image(reading_id, actor=current_actor())
    found = whole_range(data, frame=reading.frame, limits=readers().limits)
    if found is None:
        raise NotThere("this image has no more than the 8 bits that are shown")
    answer = _picture(encode_depth(found, longest_side=query_data["longest_side"]))
    answer.headers["Depth-Range"] = f"{found.black:.6g} {found.white:.6g}"
    answer.headers["Depth-Window"] = f"{found.centre:.6g} {found.width:.6g}"
    if found.unit.isascii() and found.unit.isprintable():
        answer.headers["Depth-Unit"] = found.unit
    return answer


@pictures.get("/readings/<int:reading_id>/file")
@require("read")
@pictures.doc(
    summary="Download the file of a reading",
    operation_id="getFile",
    responses=other("application/octet-stream", "The file, without what identifies a person"),
)
def file(reading_id: int) -> Response:
    """Answer with the bytes as they are kept."""
    reading = service().readings.get(reading_id, actor=current_actor())
    data = service().readings.image(reading_id, actor=current_actor())
    _, suffix = _TYPES.get(str(reading.facts.get("format", "")), ("", "bin"))
    headers = {"Content-Disposition": f'attachment; filename="{reading.image_sha256[:16]}.{suffix}"'}
    return Response(data, content_type="application/octet-stream", headers=headers)


@pictures.get("/readings/<int:reading_id>/thumbnail")
@require("read")
@pictures.doc(summary="Show a small picture of a reading", operation_id="getThumbnail", responses=_PNG)
def thumbnail(reading_id: int) -> Response:
    """Answer with a PNG of at most 256 pixels a side."""
    found = service().readings.thumbnails([min(reading_id, LARGEST_ID)], actor=current_actor())
    if reading_id not in found:
        raise NotThere("this reading has no thumbnail")
    return _picture(found[reading_id])


@pictures.get("/readings/<int:reading_id>/heatmap")
@require("read")
@pictures.input(HeatMapQuery, location="query")
@pictures.doc(summary="Show the heat map of a reading", operation_id="getHeatMap", responses=_PNG)
def heatmap(reading_id: int, query_data: dict[str, Any]) -> Response:
    """Answer with where in the image the answer came from: what the model used, not where disease is."""
    strength = service().readings.heat_map(reading_id, actor=current_actor())
    if query_data["colours"] == "grey":
        return _picture(strength)
    return _picture(overlay_of(decode(strength).pixels))


@pictures.get("/readings/<int:reading_id>/regions")
@require("read")
@pictures.output(RegionsOut)
@pictures.doc(summary="List the places that a lesion map names", operation_id="getRegions")
def regions(reading_id: int) -> Any:
    """Answer with boxes and outlines where the bundle scores places; with none where no place spoke for disease."""
    reading = service().readings.get(reading_id, actor=current_actor())
    bundle = bundle_of(reading)
    if bundle is None or not bundle.maps_lesions or not reading.heat_map:
        return {"given": False, "regions": []}
    strength = decode(service().readings.heat_map(reading_id, actor=current_actor())).pixels
    found = regions_of(strength, width=int(reading.facts["width"]), height=int(reading.facts["height"]))
    return {"given": True, "regions": found}


def _picture(png: bytes) -> Response:
    return Response(png, content_type="image/png")
