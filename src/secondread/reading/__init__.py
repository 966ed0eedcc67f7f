"""From an image to a reading: bundle, gate, model, heat map."""

from secondread.reading._auto import AutoReader, load
from secondread.reading._bundle import (
    Bundle,
    OperatingPoint,
    add_card,
    add_to_bundle,
    default_bundles,
    list_bundles,
    load_bundle,
    write_bundle,
)
from secondread.reading._heatmap import HeatMap, overlay_of
from secondread.reading._learned_gate import Gate, load_gate, shipped_gate, write_gate
from secondread.reading._reader import Reader, decide
from secondread.reading._reading import Decision, Reading, Refusal
from secondread.reading._regions import Region, regions_of

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
