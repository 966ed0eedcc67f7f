"""What `secondread read` says to a person: an answer, what it may be trusted for, and what decided."""

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from secondread.cli.options import point_in_words
from secondread.stats.scale import marks, ratio_in_words

if TYPE_CHECKING:
    from secondread.evidence.outlook import Measure, Outlook, Place
    from secondread.reading import AutoReader, Bundle, OperatingPoint, Reader, Reading

_COLOURS = {"positive": "red", "negative": "cyan", "uncertain": "yellow"}  # no green: a negative is no all-clear


def bundle_of(reader: "Reader | AutoReader", bundle_id: str) -> "Bundle":
    """The bundle of that id, of those that have read something."""
    from secondread.reading import Reader

    among = (reader,) if isinstance(reader, Reader) else reader.readers
    return next(one.bundle for one in among if one.bundle.id == bundle_id)


def answer_in_words(reading: "Reading", path: str, bundle: "Bundle") -> list[str]:
    """Lines for a reading that is not refused: the answer first."""
    from secondread.evidence.outlook import outlook, series_outlook
    from secondread.reading import SERIES

    assert reading.decision is not None, "a reading that is not refused has a decision"
    assert reading.threshold is not None
    decision = click.style(str(reading.decision), fg=_COLOURS[reading.decision], bold=True)
    rule = f"{reading.operating_point} {_from(reading.threshold, reading.low)}"
    series = reading.operating_point == SERIES
    where = series_outlook(bundle.evidence) if series else outlook(bundle.evidence, reading.threshold, reading.low)
    known = where.of(reading.decision, bundle.task)
    return [
        f"{path}  {decision}  score {reading.score} of 100 ({rule})  {reading.decision_text}",
        f"    {known}",
        *_likelihood(reading, bundle),
        f"    {reading.bundle}, probability {reading.probability:.4f}, {1000 * reading.elapsed:.0f} ms",
    ]


def _likelihood(reading: "Reading", bundle: "Bundle") -> list[str]:
    """How much the answer changes the odds; nothing where it was not measured, as of files of several frames."""
    from secondread.evidence.likelihood import likelihood_of

    assert reading.threshold is not None
    found = likelihood_of(bundle, threshold=reading.threshold, low=reading.low).get(str(reading.decision))
    if found is None or reading.frames or found.ratio.low is None:
        return []
    n = found.n_positive + found.n_negative
    return [f"    likelihood ratio of this answer {ratio_in_words(found.ratio)} ({found.split}, n = {n})"]


def decided_by(bundle: "Bundle", point: "OperatingPoint") -> list[str]:
    """Lines on what decided: where it begins, the worst and the best that was measured, what was chosen how."""
    from secondread.evidence.outlook import below_screening, outlook
    from secondread.evidence.promises import guarantees_of

    promised = "; ".join(one.in_words() for one in guarantees_of(bundle, point))
    told = replace(point, chosen_by=promised or point.chosen_by)
    known = outlook(bundle.evidence, point.threshold, point.low)
    lines = [f"{bundle.id}: {point.name} {_from(point.threshold, point.low)} of 100"]
    if known.places:
        lines += [ends_of(known, "sensitivity"), ends_of(known, "specificity")]
    else:
        lines.append("measured on no images but those that it was chosen on; run `secondread evaluate`")
    if below_screening(bundle, point):
        lines.append("“confirm” begins no higher than “screening” in this bundle: it calls no fewer images positive")
    return [lines[0], *(f"    {line}" for line in (*lines[1:], point_in_words(told)))]


def ends_of(known: "Outlook", measure: "Measure") -> str:
    """The worst measured place, and the best beside it; where none is worse, at how many places it was measured."""
    worst, best = known.worst(measure), known.best(measure)
    if worst is None or best is None:
        return f"{measure} not measured"
    ends = [("worst measured", worst), ("best", best)] if worst != best else [_no_worse(known, measure)]
    return f"{measure}: " + "; ".join(f"{name} {place.rate(measure)} ({place.named()})" for name, place in ends)


def _from(threshold: float, low: float | None) -> str:
    """'from 18', or with a band 'uncertain from 10, positive from 13'."""
    uncertain, positive = marks(threshold, low)
    return f"from {positive}" if uncertain is None else f"uncertain from {uncertain}, positive from {positive}"


def _no_worse(known: "Outlook", measure: "Measure") -> tuple[str, "Place"]:
    """Of one place, or of several with the same rate, of which the one with the fewest images says the least."""
    compared, n = known.compared(measure), len(known.measured(measure))
    least = min(compared, key=lambda place: place.n(measure))
    if n == 1:
        return "measured at one place only", least
    if len(compared) == 1:
        return f"of {n} measured places one alone has images enough", least
    return f"the same at all {len(compared)} compared places, on the fewest images", least
