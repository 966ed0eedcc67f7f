"""What a DICOM header says of what was imaged: part of the body, view, age, and whether the pixels are for people.

Words and codes alike; a silent or damaged attribute says nothing. What a task makes of it stands in its file.
"""

import re
from collections.abc import Iterator
from datetime import date
from typing import Any

from pydicom.dataset import Dataset

from secondread.tasks import VIEWS, part_of_code, part_said, part_term

OLDEST = 90  # years: from here on an age is not told apart, as it might identify (PS3.15 annex E.3.7)
SEX, AGE_BAND = "Patient's Sex", "Band of age"  # the names under which both stand among a header's facts
AGE_BANDS = ((75, "75 and over"), (60, "60–74"), (40, "40–59"), (18, "18–39"), (0, "under 18"))  # years, from the top
_FOR_PROCESSING = (  # SOP classes of raw values (PS3.4 B.5): DX, mammography, intra-oral
    "1.2.840.10008.5.1.4.1.1.1.1.1",
    "1.2.840.10008.5.1.4.1.1.1.2.1",
    "1.2.840.10008.5.1.4.1.1.1.3.1",
)
_LEGACY = ("SRT", "SNM3", "99SDM")  # SNOMED's codes as DICOM wrote them before 2018
_SNOMED = ("SCT", *_LEGACY)
_WORDS = {  # of View Position (0018,5101) and of a code's meaning
    "frontal": "AP PA FRONTAL ANTEROPOSTERIOR POSTEROANTERIOR ANTERO POSTERO",
    "lateral": "LL RL LAT LATERAL LLAT RLAT LATL LATR SAGITTAL LATEROMEDIAL MEDIOLATERAL",
    "oblique": "OBLIQUE OBL RLO LLO RAO LAO RPO LPO",
    "decubitus": "RLD LLD DECUBITUS DECUB",
    "axial": "AXIAL LORDOTIC CRANIOCAUDAL CAUDOCRANIAL",
}
_KINDS = {word: kind for kind, words in _WORDS.items() for word in words.split()}
_SIDES = ("LEFT", "RIGHT", "L", "R", "BILATERAL")
_VIEW_CODES = {  # SNOMED CT, of CID 4010
    "frontal": "399033003 272479007 399348003",
    "lateral": "399198007 399173006 399352003 399260004 399067008 30730003",
    "oblique": "399038007 399225005 399059000 399099002 399135007 260427002 399236003 399368009 399356000 399312000 "
    "399184004 399182000 399288005 260426006 399132005 399325008 399160007 399004004 399006002",
    "axial": "399061009 399162004 399196006",
}
_CODED = {code: kind for kind, codes in _VIEW_CODES.items() for code in codes.split()}
_UNITS = {"Y": 1.0, "M": 12.0, "W": 52.1775, "D": 365.2425}  # of an age (PS3.5 6.2, AS), in a year
_DATES = ("StudyDate", "AcquisitionDate", "ContentDate", "SeriesDate")


def parts_of(ds: Dataset) -> tuple[str, ...]:
    """Body Part Examined (0018,0015), as a defined term where it is one or means one; and those of (0008,2218)."""
    word = part_term(_text(ds, "BodyPartExamined"))
    regions = [*_items(ds, "AnatomicRegionSequence")]
    for shared in _items(ds, "SharedFunctionalGroupsSequence"):  # of an enhanced object (PS3.3 C.7.6.16.2.8)
        for anatomy in _items(shared, "FrameAnatomySequence"):
            regions += _items(anatomy, "AnatomicRegionSequence")
    coded = [part_of_code(_snomed(region)) for region in regions]
    return tuple(dict.fromkeys(filter(None, (word, *coded))))


def views_of(ds: Dataset) -> tuple[str, ...]:
    """What View Position (0018,5101) and the view's code (0054,0220) come to, of `VIEWS`.

    Where both are silent, what stands beside the body part ('CHEST LAT'), or the directions of rows and columns say.
    """
    said = {_view_in(_text(ds, "ViewPosition"))}
    for view in _items(ds, "ViewCodeSequence"):
        said.add(_CODED.get(_snomed(view), "") or _view_in(_text(view, "CodeMeaning")))
    said = said - {""} or {_view_in(_text(ds, "BodyPartExamined"))} - {""} or {_view_by_directions(ds)}
    return tuple(view for view in VIEWS if view in said)


def age_of(ds: Dataset) -> int | None:
    """Whole years, at most `OLDEST`: Patient's Age (0010,1010), else from birth to study; None where neither says."""
    said = re.fullmatch(r"(\d{1,3})([DWMY])", _text(ds, "PatientAge").upper())
    if said:
        return min(int(int(said[1]) / _UNITS[said[2]]), OLDEST)
    born = _day(_text(ds, "PatientBirthDate"))
    taken = next(filter(None, (_day(_text(ds, name)) for name in _DATES)), None)
    if born is None or taken is None or not 0 <= (taken - born).days <= 125 * 366:
        return None
    return min(taken.year - born.year - ((taken.month, taken.day) < (born.month, born.day)), OLDEST)


def of_whom(ds: Dataset) -> tuple[tuple[str, str], ...]:
    """Sex (0010,0040) and band of age, as far as the file says them: what subgroups are made of, and no more."""
    sex, age = _text(ds, "PatientSex").upper(), age_of(ds)
    band = "" if age is None else next(name for least, name in AGE_BANDS if age >= least)
    found = ((SEX, sex if sex in ("F", "M", "O") else ""), (AGE_BAND, band))
    return tuple((name, said) for name, said in found if said)


def intent_of(ds: Dataset) -> str:
    """Presentation Intent Type (0008,0068), or what the kind of object says of it; '' where neither does."""
    said = " ".join(_text(ds, "PresentationIntentType").upper().split())
    return said or ("FOR PROCESSING" if _text(ds, "SOPClassUID") in _FOR_PROCESSING else "")


def code_meaning(item: Dataset) -> str:
    """What a code of a region or a view comes to here, as a kind of view or a defined term; '' where to nothing."""
    code = _snomed(item)
    view = _CODED.get(code, "") or _view_in(_text(item, "CodeMeaning"))
    return view.upper() or part_of_code(code)


def words_of_place(text: str) -> str:
    """Of a written body part or view what may be kept: all of it if it is words for these, else those for views."""
    words = re.findall(r"[A-Z]+", text.upper())
    known = [word for word in words if word in _KINDS or word in _SIDES or part_said(word)]
    if known == words and re.fullmatch(r"[A-Za-z ,_-]+", text):
        return text
    return " ".join(word for word in words if word in _KINDS)


def _view_in(text: str) -> str:
    """The kind of view that is named, the most particular first ('AP left lateral decubitus' is taken from the front).

    '' for none, and for frontal and lateral at once.
    """
    found = {_KINDS[word] for word in re.findall(r"[A-Z]+", text.upper()) if word in _KINDS}
    particular = next((kind for kind in ("decubitus", "oblique", "axial") if kind in found), "")
    return particular or (found.pop() if len(found) == 1 else "")


def _view_by_directions(ds: Dataset) -> str:
    """After Patient Orientation (0020,0020): where rows and columns lead, such as L\\F; '' unless it is plain."""
    value = _value(ds, "PatientOrientation")
    said = {str(part).strip().upper() for part in value} if not isinstance(value, str) else set()
    across, along = said & set("LRAP"), said & set("HF")
    if len(said) != 2 or len(across) != 1 or len(along) != 1:
        return ""
    return "frontal" if across <= {"L", "R"} else "lateral"


def _snomed(item: Dataset) -> str:
    """The item's code in SNOMED CT; '' where it is of another scheme."""
    scheme, code = _text(item, "CodingSchemeDesignator").upper(), _text(item, "CodeValue")
    if scheme not in _SNOMED:
        return ""
    if scheme == "SCT":
        return code
    from pydicom.sr._snomed_dict import mapping  # half a megabyte that few files need

    return str(mapping["SRT"].get(code.upper(), ""))


def _items(ds: Dataset, keyword: str) -> Iterator[Dataset]:
    value = _value(ds, keyword)
    yield from (item for item in value if isinstance(item, Dataset)) if not isinstance(value, str) else ()


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text.replace(".", "")[:8]) if text else None
    except ValueError:
        return None


def _text(ds: Dataset, keyword: str) -> str:
    value = _value(ds, keyword)
    return str(value).strip() if isinstance(value, str | int | float) else ""


def _value(ds: Dataset, keyword: str) -> Any:
    """The attribute's value; '' where it is missing or damaged."""
    try:
        value = ds.get(keyword)
    except Exception:  # pydicom raises nearly anything for a damaged value, and it is no reason to refuse the image
        return ""
    return "" if value is None else value
