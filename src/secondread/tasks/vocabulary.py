"""The words of a file's header that may be passed on: those of the standard and of the tasks.

What else stands in such a field may be anything, a person's name too. It is never shown, stored beside an image or
quoted in a message.
"""

from functools import cache

from secondread.tasks.anatomy import body_parts, part_term
from secondread.tasks.task import INTENTS, list_tasks, load_task

# Defined terms of Modality (0008,0060), PS3.3 C.7.3.1.1.1, the retired ones too, and what converters write.
_TERMS = (
    "ANN AR AS ASMT AU BDUS BI BMD CD CF CFM CP CR CS CT CTPROTOCOL DD DF DG DM DMS DOC DS DX EC ECG EEG EMG EOG EPS "
    "ES FA FID FS GM HC HD IO IOL IVOCT IVUS KER KO LEN LP LS M3D MA MG MR MS NM OAM OCT OP OPM OPR OPT OPTBSV OPTENF "
    "OPV OSS OT PA PLAN POS PR PT PX REG RESP RF RG RTDOSE RTIMAGE RTINTENT RTPLAN RTRAD RTRECORD RTSEGANN RTSTRUCT "
    "RWV SC SEG SM SMR SR SRF ST STAIN TEXTUREMAP TG US VA VF XA XAPROTOCOL XC"
)
MODALITIES = frozenset(_TERMS.split())


def modality_said(text: str) -> str:
    """A modality, if it is a word of the standard; else ''."""
    word = text.strip().upper()
    return word if word in MODALITIES else ""


def part_said(text: str) -> str:
    """A body part as the defined term that it is or plainly means, or as a task lists it; else ''."""
    term = part_term(text)
    return term if term in known_parts() else ""


def intent_said(text: str) -> str:
    """A presentation intent, if it is a word of the standard; else ''."""
    return text if text in INTENTS else ""


@cache
def known_parts() -> frozenset[str]:
    """The words of DICOM for parts of the body, and what the tasks list besides."""
    return frozenset(body_parts()) | {part for name in list_tasks() for part in load_task(name).dicom_body_parts}
