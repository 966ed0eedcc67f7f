"""secondread: an open second reader for medical images.

    import secondread
    reading = secondread.load("tuberculosis").read("chest.png")
    print(reading.decision, reading.probability)

The public names load on first use, so that `import secondread` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from secondread.client import Client as Client
    from secondread.errors import SecondReadError as SecondReadError
    from secondread.images.decode import decode as decode
    from secondread.images.image import Image as Image
    from secondread.reading.auto import load as load
    from secondread.reading.reader import Reader as Reader
    from secondread.reading.reading import Reading as Reading
    from secondread.reading.reading import Refusal as Refusal
    from secondread.tasks.task import Task as Task
    from secondread.tasks.task import list_tasks as list_tasks
    from secondread.tasks.task import load_task as load_task

__version__ = "0.1.0"

_HOME = {
    "Client": "secondread.client",
    "Image": "secondread.images",
    "Reader": "secondread.reading",
    "Reading": "secondread.reading",
    "Refusal": "secondread.reading",
    "SecondReadError": "secondread.errors",
    "Task": "secondread.tasks",
    "decode": "secondread.images",
    "list_tasks": "secondread.tasks",
    "load": "secondread.reading",
    "load_task": "secondread.tasks",
}
__all__ = ["__version__", *sorted(_HOME)]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'secondread' has no attribute '{name}'")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
