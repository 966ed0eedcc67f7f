"""What people do with the package, one function each: the commands and other programs call the same ones."""

from secondread.workflows.auditing import audit
from secondread.workflows.fitting import train
from secondread.workflows.measuring import evaluate
from secondread.workflows.progress import OnProgress, ProgressEvent
from secondread.workflows.recalibrating import Recalibration, recalibrate
from secondread.workflows.screening import screen

__all__ = ["OnProgress", "ProgressEvent", "Recalibration", "audit", "evaluate", "recalibrate", "screen", "train"]
