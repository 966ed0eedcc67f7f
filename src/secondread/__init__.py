"""secondread: an open second reader for medical images.

    import secondread
    reading = secondread.read("chest.png", "tuberculosis")
    print(reading.decision, reading.probability)

The public names load on first use, so that `import secondread` costs nothing, and reading never imports torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from secondread.auditing.findings import Audit as Audit
    from secondread.client import Client as Client
    from secondread.data.importers import load_data as load_data
    from secondread.data.manifest import Manifest as Manifest
    from secondread.errors import Cancelled as Cancelled
    from secondread.errors import ExtraMissing as ExtraMissing
    from secondread.errors import Objected as Objected
    from secondread.errors import ReadingRefused as ReadingRefused
    from secondread.errors import SecondReadError as SecondReadError
    from secondread.evidence.outcome import Evidence as Evidence
    from secondread.images.decode import decode as decode
    from secondread.images.image import Image as Image
    from secondread.reading.auto import load as load
    from secondread.reading.auto import read as read
    from secondread.reading.bundle import Bundle as Bundle
    from secondread.reading.bundle import load_bundle as load_bundle
    from secondread.reading.reader import Reader as Reader
    from secondread.reading.reading import Reading as Reading
    from secondread.reading.reading import Refusal as Refusal
    from secondread.tasks.task import Task as Task
    from secondread.tasks.task import list_tasks as list_tasks
    from secondread.tasks.task import load_task as load_task
    from secondread.workflows.auditing import audit as audit
    from secondread.workflows.fitting import train as train
    from secondread.workflows.measuring import evaluate as evaluate
    from secondread.workflows.progress import OnProgress as OnProgress
    from secondread.workflows.progress import ProgressEvent as ProgressEvent
    from secondread.workflows.recalibrating import Recalibration as Recalibration
    from secondread.workflows.recalibrating import recalibrate as recalibrate
    from secondread.workflows.screening import screen as screen

__version__ = "0.2.0"

_HOME = {
    "Audit": "secondread.auditing",
    "Bundle": "secondread.reading",
    "Cancelled": "secondread.errors",
    "Client": "secondread.client",
    "Evidence": "secondread.evidence.outcome",
    "ExtraMissing": "secondread.errors",
    "Image": "secondread.images",
    "Manifest": "secondread.data",
    "Objected": "secondread.errors",
    "ReadingRefused": "secondread.errors",
    "OnProgress": "secondread.workflows",
    "ProgressEvent": "secondread.workflows",
    "Reader": "secondread.reading",
    "Reading": "secondread.reading",
    "Recalibration": "secondread.workflows",
    "Refusal": "secondread.reading",
    "SecondReadError": "secondread.errors",
    "Task": "secondread.tasks",
    "audit": "secondread.workflows",
    "decode": "secondread.images",
    "evaluate": "secondread.workflows",
    "list_tasks": "secondread.tasks",
    "load": "secondread.reading",
    "load_bundle": "secondread.reading",
    "load_data": "secondread.data",
    "load_task": "secondread.tasks",
    "read": "secondread.reading",
    "recalibrate": "secondread.workflows",
    "screen": "secondread.workflows",
    "train": "secondread.workflows",
}
__all__ = ["__version__", *sorted(_HOME)]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'secondread' has no attribute '{name}'")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
