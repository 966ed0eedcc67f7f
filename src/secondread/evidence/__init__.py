"""Every measured number of a bundle: metrics with intervals, calibration, operating points, plots and the page.

The names load on first use: a reading needs `apply_calibration` and none of the rest.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from secondread.evidence._calibration import CALIBRATION_METHODS as CALIBRATION_METHODS
    from secondread.evidence._calibration import apply_calibration as apply_calibration
    from secondread.evidence._calibration import fit_calibration as fit_calibration
    from secondread.evidence._calibration import fit_isotonic as fit_isotonic
    from secondread.evidence._calibration import fit_platt as fit_platt
    from secondread.evidence._calibration import fit_temperature as fit_temperature
    from secondread.evidence._calibration import undo_calibration as undo_calibration
    from secondread.evidence._checklists import CHECKLISTS as CHECKLISTS
    from secondread.evidence._checklists import Item as Item
    from secondread.evidence._checklists import answers as answers
    from secondread.evidence._checklists import load_checklist as load_checklist
    from secondread.evidence._compare import AucComparison as AucComparison
    from secondread.evidence._compare import compare_auc as compare_auc
    from secondread.evidence._evidence import Prediction as Prediction
    from secondread.evidence._evidence import build_evidence as build_evidence
    from secondread.evidence._evidence import load_evidence as load_evidence
    from secondread.evidence._evidence import summarise as summarise
    from secondread.evidence._evidence import write_evidence as write_evidence
    from secondread.evidence._heatmap_words import WHAT_A_HEAT_MAP_IS_NOT as WHAT_A_HEAT_MAP_IS_NOT
    from secondread.evidence._heatmap_words import heatmap_in_words as heatmap_in_words
    from secondread.evidence._intervals import MEASURES as MEASURES
    from secondread.evidence._intervals import RANK_MEASURES as RANK_MEASURES
    from secondread.evidence._intervals import bootstrap as bootstrap
    from secondread.evidence._lesions import Lesions as Lesions
    from secondread.evidence._lesions import load_lesions as load_lesions
    from secondread.evidence._localisation import TOLERANCE as TOLERANCE
    from secondread.evidence._localisation import MapMeasures as MapMeasures
    from secondread.evidence._localisation import Target as Target
    from secondread.evidence._localisation import baselines as baselines
    from secondread.evidence._localisation import body_of as body_of
    from secondread.evidence._localisation import grouped_means as grouped_means
    from secondread.evidence._localisation import localisation_table as localisation_table
    from secondread.evidence._localisation import rank_correlation as rank_correlation
    from secondread.evidence._localisation import share_outside as share_outside
    from secondread.evidence._metrics import METRICS as METRICS
    from secondread.evidence._metrics import Counts as Counts
    from secondread.evidence._metrics import average_precision as average_precision
    from secondread.evidence._metrics import brier as brier
    from secondread.evidence._metrics import confusion as confusion
    from secondread.evidence._metrics import roc_auc as roc_auc
    from secondread.evidence._operating_points import PAPER_THRESHOLD as PAPER_THRESHOLD
    from secondread.evidence._operating_points import ValidationSet as ValidationSet
    from secondread.evidence._operating_points import calibrated_paper_threshold as calibrated_paper_threshold
    from secondread.evidence._operating_points import choose_operating_points as choose_operating_points
    from secondread.evidence._operating_points import confirm_point as confirm_point
    from secondread.evidence._operating_points import measure_operating_point as measure_operating_point
    from secondread.evidence._operating_points import paper_point as paper_point
    from secondread.evidence._operating_points import screening_point as screening_point
    from secondread.evidence._operating_points import triage_point as triage_point
    from secondread.evidence._paired import compare_runs as compare_runs
    from secondread.evidence._paper import PAPER_CLAIMS as PAPER_CLAIMS
    from secondread.evidence._paper import compare_with_paper as compare_with_paper
    from secondread.evidence._plots import accuracy_plot as accuracy_plot
    from secondread.evidence._plots import confidence_plot as confidence_plot
    from secondread.evidence._plots import confusion_plot as confusion_plot
    from secondread.evidence._plots import curves_plot as curves_plot
    from secondread.evidence._plots import pr_plot as pr_plot
    from secondread.evidence._plots import reliability_plot as reliability_plot
    from secondread.evidence._plots import roc_plot as roc_plot
    from secondread.evidence._proportions import clopper_pearson as clopper_pearson
    from secondread.evidence._recalibrate import Targets as Targets
    from secondread.evidence._recalibrate import at_the_site as at_the_site
    from secondread.evidence._recalibrate import recalibrated_record as recalibrated_record
    from secondread.evidence._reliability import expected_calibration_error as expected_calibration_error
    from secondread.evidence._reliability import reliability as reliability
    from secondread.evidence._report import Failure as Failure
    from secondread.evidence._report import format_interval as format_interval
    from secondread.evidence._report import write_report as write_report
    from secondread.evidence._site import SiteScores as SiteScores
    from secondread.evidence._site import read_site_scores as read_site_scores
    from secondread.evidence._site import warnings_about as warnings_about
    from secondread.evidence._study_plots import difference_plot as difference_plot
    from secondread.evidence._study_plots import search_plot as search_plot
    from secondread.evidence._subgroups import LESION_SIZE as LESION_SIZE
    from secondread.evidence._subgroups import bands as bands
    from secondread.evidence._subgroups import facts_of as facts_of
    from secondread.evidence._subgroups import subgroups as subgroups
    from secondread.evidence._thresholds import threshold_table as threshold_table

_NAMES = {
    "_calibration": (
        "CALIBRATION_METHODS",
        "apply_calibration",
        "fit_calibration",
        "fit_isotonic",
        "fit_platt",
        "fit_temperature",
        "undo_calibration",
    ),
    "_checklists": ("CHECKLISTS", "Item", "answers", "load_checklist"),
    "_compare": ("AucComparison", "compare_auc"),
    "_evidence": ("Prediction", "build_evidence", "load_evidence", "summarise", "write_evidence"),
    "_heatmap_words": ("WHAT_A_HEAT_MAP_IS_NOT", "heatmap_in_words"),
    "_intervals": ("MEASURES", "RANK_MEASURES", "bootstrap"),
    "_lesions": ("Lesions", "load_lesions"),
    "_localisation": (
        "TOLERANCE",
        "MapMeasures",
        "Target",
        "baselines",
        "body_of",
        "grouped_means",
        "localisation_table",
        "rank_correlation",
        "share_outside",
    ),
    "_metrics": ("Counts", "METRICS", "average_precision", "brier", "confusion", "roc_auc"),
    "_operating_points": (
        "PAPER_THRESHOLD",
        "ValidationSet",
        "calibrated_paper_threshold",
        "choose_operating_points",
        "confirm_point",
        "measure_operating_point",
        "paper_point",
        "screening_point",
        "triage_point",
    ),
    "_paired": ("compare_runs",),
    "_paper": ("PAPER_CLAIMS", "compare_with_paper"),
    "_plots": (
        "accuracy_plot",
        "confidence_plot",
        "confusion_plot",
        "curves_plot",
        "pr_plot",
        "reliability_plot",
        "roc_plot",
    ),
    "_proportions": ("clopper_pearson",),
    "_recalibrate": ("Targets", "at_the_site", "recalibrated_record"),
    "_reliability": ("expected_calibration_error", "reliability"),
    "_report": ("Failure", "format_interval", "write_report"),
    "_site": ("SiteScores", "read_site_scores", "warnings_about"),
    "_study_plots": ("difference_plot", "search_plot"),
    "_subgroups": ("LESION_SIZE", "bands", "facts_of", "subgroups"),
    "_thresholds": ("threshold_table",),
}
_HOME = {name: f"{__name__}.{module}" for module, names in _NAMES.items() for name in names}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
