"""What a C-STORE is answered with, whoever asked for the object: a sender, or we."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import _config

from secondread.dicom.arrivals import Received
from secondread.errors import CannotWrite, ImageError, ServiceError
from secondread.service import CONFLICT, OTHER, SAME

# PS3.4 table B.2-1, and PS3.7 C.5.7: the object is here under this number, with another's name on it.
SUCCESS, OUT_OF_RESOURCES, NOT_UNDERSTOOD, NOT_POSSIBLE, DUPLICATE = 0x0000, 0xA700, 0xC000, 0x0110, 0x0111
_LOG = logging.getLogger("secondread.dicom")


@dataclass(frozen=True)
class Stored:
    """What became of one object. counted: 'stored', 'same', 'other', 'ignored', 'refused', 'conflicts' or 'failed'."""

    status: int
    counted: str
    comment: str = ""
    series_uid: str = ""  # the pseudonym, of one that is here

    @property
    def answer(self) -> Any:
        """As pynetdicom takes it."""
        if self.status == SUCCESS:
            return SUCCESS
        status = Dataset()
        status.Status = self.status
        status.ErrorComment = self.comment.encode("ascii", "replace").decode()[:64]
        return status


def stored(take: Callable[[], Received]) -> Stored:
    """0x0000 says that the object is on the disk and its row committed; or that a rule has no use for it."""
    try:
        found = take()
    except ImageError as error:
        return Stored(NOT_UNDERSTOOD, "refused", str(error))
    except (ServiceError, CannotWrite) as error:
        _LOG.error("an object cannot be kept now: %s", error)
        return Stored(OUT_OF_RESOURCES, "failed", "it cannot be kept now; send it again")
    except Exception:
        _LOG.exception("an object could not be taken in, by a defect of secondread")
        return Stored(NOT_POSSIBLE, "failed", "a defect of secondread; see its log")
    if found.refused:
        return Stored(NOT_UNDERSTOOD, "refused", found.reason)
    if found.how == CONFLICT:
        return Stored(DUPLICATE, "conflicts", "here as another patient's; an administrator decides")
    return Stored(SUCCESS, _counted(found), series_uid=found.series_uid)


def keep_out_of_logs() -> None:
    """What comes in names people, and is for no log."""
    _config.LOG_HANDLER_LEVEL = "none"
    for name in ("pynetdicom", "pydicom"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _counted(found: Received) -> str:
    if found.state in ("ignored", "refused"):
        return found.state
    return found.how if found.how in (SAME, OTHER) else "stored"
