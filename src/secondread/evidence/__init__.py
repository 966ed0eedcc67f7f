"""Every measured number of a bundle: metrics with intervals, the evidence file, plots and the page."""

from secondread.evidence._evidence import Prediction, build_evidence, load_evidence, summarise, write_evidence
from secondread.evidence._intervals import bootstrap, clopper_pearson
from secondread.evidence._metrics import METRICS, Counts, average_precision, confusion, roc_auc
from secondread.evidence._operating_points import measure_operating_point
from secondread.evidence._paper import PAPER_CLAIMS, compare_with_paper
from secondread.evidence._plots import accuracy_plot, confidence_plot, confusion_plot, curves_plot
from secondread.evidence._report import write_report

__all__ = [
    "METRICS",
    "PAPER_CLAIMS",
    "Counts",
    "Prediction",
    "accuracy_plot",
    "average_precision",
    "bootstrap",
    "build_evidence",
    "clopper_pearson",
    "compare_with_paper",
    "confidence_plot",
    "confusion",
    "confusion_plot",
    "curves_plot",
    "load_evidence",
    "measure_operating_point",
    "roc_auc",
    "summarise",
    "write_evidence",
    "write_report",
]
