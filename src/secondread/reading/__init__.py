"""From an image to a reading: bundle, gate, model, heat map."""

from secondread.reading.auto import AutoReader, load, load_named, read
from secondread.reading.bundle import (
    Bundle,
    add_card,
    add_to_bundle,
    load_bundle,
    named_bundle,
    write_bundle,
)
from secondread.reading.findings import Finding, Findings, drawn_from, with_boxes
from secondread.reading.gate import Gate, check_image, load_gate, shipped_gate, write_gate
from secondread.reading.heatmap import HeatMap, Region, drawn_over, overlay_of, regions_of
from secondread.reading.lookup import (
    default_bundles,
    extension_folders,
    list_bundles,
    own_folder,
    use_own_bundles,
)
from secondread.reading.operating_point import SERIES, Combination, OperatingPoint, SeriesPoint
from secondread.reading.own import OwnBundles, own_bundles
from secondread.reading.reader import Reader, decide
from secondread.reading.reading import Decision, FrameAnswer, Reading, Refusal
from secondread.reading.series import Series, read_series, runs

__all__ = [
    "SERIES",
    "AutoReader",
    "Bundle",
    "Combination",
    "Decision",
    "Finding",
    "Findings",
    "FrameAnswer",
    "Gate",
    "HeatMap",
    "OperatingPoint",
    "OwnBundles",
    "Reader",
    "Reading",
    "Refusal",
    "Region",
    "Series",
    "SeriesPoint",
    "add_card",
    "add_to_bundle",
    "check_image",
    "decide",
    "default_bundles",
    "drawn_from",
    "drawn_over",
    "extension_folders",
    "list_bundles",
    "load",
    "load_bundle",
    "load_gate",
    "load_named",
    "named_bundle",
    "overlay_of",
    "own_bundles",
    "own_folder",
    "read",
    "read_series",
    "regions_of",
    "runs",
    "shipped_gate",
    "use_own_bundles",
    "with_boxes",
    "write_bundle",
    "write_gate",
]
