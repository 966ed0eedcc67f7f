"""An evaluation's outcome as an object: the evidence file's table, its measures with their intervals, how it looks."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from secondread.errors import UnknownName
from secondread.evidence.evidence import load_evidence
from secondread.stats.interval import Interval


class Evidence(Mapping[str, Any]):
    """What was measured of a bundle: a mapping with the entries of evidence.json.

    page: index.html of the evaluation, where one was written.
    """

    def __init__(self, table: Mapping[str, Any], *, page: Path | None = None):
        self._table = dict(table)
        self.page = page

    @classmethod
    def load(cls, path: str | Path) -> "Evidence":
        """An evidence.json, or the one in a folder (of `evaluate`, or a bundle's). Raises DataInvalid."""
        path = Path(path)
        return cls(load_evidence(path / "evidence.json" if path.is_dir() else path))

    @property
    def splits(self) -> tuple[str, ...]:
        """Those that were read."""
        return tuple(self["results"])

    def metric(self, name: str, split: str | None = None) -> Interval:
        """A measure ('roc_auc', 'recall', 'specificity', 'brier' …) on a split, by default the first.

        Its `value` is None where the split does not define it. Raises UnknownName.
        """
        split = split if split is not None else self.splits[0]
        if split not in self["results"]:
            raise UnknownName.of("split", split, self.splits)
        metrics = self["results"][split]["metrics"]
        if name not in metrics:
            raise UnknownName.of("measure", name, metrics)
        return Interval.from_dict(metrics[name])

    def to_dict(self) -> dict[str, Any]:
        """The table, as evidence.json keeps it."""
        return dict(self._table)

    def __getitem__(self, key: str) -> Any:
        return self._table[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._table)

    def __len__(self) -> int:
        return len(self._table)

    def __repr__(self) -> str:
        parts = []
        for split in self.splits:
            found = self["results"][split]
            auc = Interval.from_dict(found["metrics"].get("roc_auc")).format()
            parts.append(f"{split}: n = {found['n']}, roc_auc {auc}")
        return f"<Evidence of {self['bundle']}; {'; '.join(parts)}>"

    def _repr_html_(self) -> str:
        """What a notebook shows: every measure with its interval on a bar, and the ROC curves."""
        from secondread.pages import render
        from secondread.reading.notebook import measured_rows, roc_curves

        return render(
            "evidence/templates/notebook.html",
            title=f"Evidence of {self['bundle']}",
            point=self["operating_point"],
            splits=[(name, part, measured_rows({name: part})) for name, part in self["results"].items()],
            curves=roc_curves(self),
        )
