"""Which images of an archive are asked for: DICOM's keywords and values, of the study or of the series."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from pydicom.datadict import keyword_dict

from secondread.errors import UsageError

OF_SERIES = ("Modality", "SeriesDescription", "BodyPartExamined", "ProtocolName", "StationName", "SeriesNumber")
_BY_DATE = "StudyDate"
_MODALITY = "Modality"


@dataclass(frozen=True)
class PullFilter:
    """study, series: keyword → value, as a query has it. modalities: of which one must be the series'; none: any."""

    modalities: tuple[str, ...] = ()
    study: tuple[tuple[str, str], ...] = ()
    series: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, conditions: Iterable[str]) -> "PullFilter":
        """Each as KEYWORD=VALUE; of Modality several values with commas. Raises UsageError."""
        modalities: list[str] = []
        study: dict[str, str] = {}
        series: dict[str, str] = {}
        for text in conditions:
            keyword, sign, value = (part.strip() for part in text.partition("="))
            if not sign or not value:
                raise UsageError(f"'{text}' is no condition; write KEYWORD=VALUE, as Modality=CR")
            if keyword == _MODALITY:
                modalities += [one.strip().upper() for one in value.split(",") if one.strip()]
            elif keyword == _BY_DATE:
                raise UsageError("days are asked about one after the other; say from which on with --since")
            elif keyword not in keyword_dict:
                raise UsageError(f"'{keyword}' is no keyword of DICOM; write it as StudyDescription or Modality")
            else:
                (series if keyword in OF_SERIES else study)[keyword] = value
        return cls(tuple(dict.fromkeys(modalities)), tuple(sorted(study.items())), tuple(sorted(series.items())))

    @classmethod
    def parse(cls, text: str) -> "PullFilter":
        """Of the setting: conditions joined by &. Raises UsageError."""
        return cls.of(one for one in text.split("&") if one.strip())

    def __str__(self) -> str:
        modality = [f"{_MODALITY}={','.join(self.modalities)}"] if self.modalities else []
        return "&".join([*modality, *(f"{name}={value}" for name, value in (*self.study, *self.series))])

    def study_queries(self, day: date) -> list[dict[str, str]]:
        """One for each modality: a list of them in one query is not every archive's (PS3.4 C.2.2.2)."""
        found = {_BY_DATE: f"{day:%Y%m%d}", **dict(self.study)}
        return [found | {"ModalitiesInStudy": one} for one in self.modalities] or [found]

    def takes(self, series: Mapping[str, str]) -> bool:
        """Whether a series that an archive lists is asked for; one whose modality it does not say is."""
        modality = series.get(_MODALITY, "")
        return not self.modalities or not modality or modality in self.modalities
