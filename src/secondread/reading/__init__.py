"""From an image to a reading: bundle, gate, model, heat map."""

from secondread.reading.auto import AutoReader, load
from secondread.reading.bundle import (
    Bundle,
    OperatingPoint,
    add_card,
    add_to_bundle,
    default_bundles,
    list_bundles,
    load_bundle,
    write_bundle,
)
from secondread.reading.gate import Gate, load_gate, shipped_gate, write_gate
from secondread.reading.heatmap import HeatMap, Region, overlay_of, regions_of
from secondread.reading.reader import Reader, decide
from secondread.reading.reading import Decision, Reading, Refusal

__all__ = [
    "AutoReader",
    "Bundle",
    "Decision",
    "Gate",
    "HeatMap",
    "OperatingPoint",
    "Reader",
    "Reading",
    "Refusal",
    "Region",
    "add_card",
    "add_to_bundle",
    "decide",
    "default_bundles",
    "list_bundles",
    "load",
    "load_bundle",
    "load_gate",
    "overlay_of",
    "regions_of",
    "shipped_gate",
    "write_bundle",
    "write_gate",
]
