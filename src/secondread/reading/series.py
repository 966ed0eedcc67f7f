"""Several pictures of one examination, and one answer for all.

Where the bundle has an operating point for series, the probabilities of the pictures are combined as it says, and the
decision follows from its threshold, both of which were chosen and measured on whole series. Where it has none, the
picture with the highest probability answers, at an operating point that was measured on single pictures: a highest
score of many passes a threshold more often by chance, so a series raises more false alarms than those rates say, and
misses less. Every answer of a series says which of the two it is. The heat map is that of the most suspicious picture.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from secondread.errors import ImageError
from secondread.images import Image
from secondread.reading.operating_point import SERIES, SeriesPoint
from secondread.reading.reading import FrameAnswer, Reading, Refusal, decide
from secondread.tasks import N_

# A sentence with values in it is translated by its pattern (web/language.py).
READ_ALL = N_(
    "%(n)s frames were read; frame %(worst)s has the highest score and answers for all: the highest of many gives more "
    "false alarms than the rates of the operating point, which are of single pictures"
)
TOGETHER = N_(
    "%(n)s pictures were read and answer together, at an operating point that was measured on series; picture "
    "%(worst)s is the most suspicious"
)
ONLY_ONE = N_("only frame %(worst)s could be read, and it answers for all")
NOT_READ = N_("of %(n)s frames these could not be read: %(which)s")
NONE_READ = N_("none of the %(n)s frames can be read; most of them: %(why)s")
_MOST_NAMED = 12  # runs of frames that a sentence names


class Series:
    """Takes the readings of pictures one after the other; holds the worst of them and a few numbers of each."""

    def __init__(self) -> None:
        self._answers: list[FrameAnswer] = []
        self._worst: Reading | None = None
        self._worst_frame: int | None = None
        self._refused: Reading | None = None  # the first of the kind that is the most frequent so far
        self._codes: Counter[str] = Counter()

    def add(self, reading: Reading) -> None:
        """The next picture's own reading; its place among the others follows from the order."""
        frame = len(self._answers) + 1
        self._answers.append(
            FrameAnswer(
                frame, reading.probability, reading.score, reading.decision, reading.refusal, found=reading.found
            )
        )
        if reading.refusal is not None:
            self._refuse(reading, reading.refusal.code)
        elif self._worst is None or (reading.probability or 0.0) > (self._worst.probability or 0.0):
            self._worst, self._worst_frame, self._refused = reading, frame, None

    def _refuse(self, reading: Reading, code: str) -> None:
        self._codes[code] += 1
        if self._worst is not None:
            return
        held = self._refused.refusal.code if self._refused is not None and self._refused.refusal else ""
        if self._codes[code] > self._codes[held]:
            self._refused = reading

    def answer(
        self, *, elapsed: float, by: SeriesPoint | None = None, words: Mapping[str, str] | None = None
    ) -> Reading:
        """The reading of all. Refused only where every picture is, with the reason of the most of them.

        elapsed: seconds from bytes to answer. by: what decides of several pictures together; None: the most suspicious
        answers for all. words: a decision in the task's. At least one picture must have been added.
        """
        frames, n = tuple(self._answers), len(self._answers)
        if self._worst is not None:
            read = n - self._codes.total()
            together = by if read > 1 else None
            sentence = ONLY_ONE if read == 1 else READ_ALL if together is None else TOGETHER
            said = [sentence % {"n": read, "worst": self._worst_frame}] if n > 1 else []
            if self._codes:
                said.append(NOT_READ % {"n": n, "which": _which(frames)})
            warnings = (*said, *self._worst.warnings)
            worst = self._worst_frame
            found = replace(self._worst, warnings=warnings, elapsed=elapsed, frames=frames, worst_frame=worst)
            return found if together is None else _decided(found, together, words or {})
        assert self._refused is not None, "a series without pictures"
        first = self._refused.refusal
        assert first is not None
        refusal = Refusal(first.code, NONE_READ % {"n": n, "why": first.message})
        return replace(self._refused, refusal=refusal, elapsed=elapsed, frames=frames)


def _decided(worst: Reading, by: SeriesPoint, words: Mapping[str, str]) -> Reading:
    """The answer of all pictures together. worst: with the answers of each."""
    probability = by.combine([one.probability for one in worst.frames if one.probability is not None])
    decision, point = decide(probability, by.point), by.point
    return replace(
        worst,
        probability=probability,
        decision=decision,
        decision_text=words.get(decision, ""),
        operating_point=SERIES,
        threshold=point.threshold,
        low=point.low,
        frame_threshold=worst.threshold,
        frame_low=worst.low,
    )


def read_series(pictures: Iterable[Image | ImageError], read: Callable[[Image], Reading]) -> Series:
    """Read pictures one after the other, each let go before the next is asked for but for the worst.

    pictures: those of a file (Frames), or of the files of a series; an error in place of one that cannot be decoded.
    read: the reading of one of them.
    """
    series = Series()
    for picture in pictures:
        series.add(Reading(None, refusal=Refusal.of(picture)) if isinstance(picture, ImageError) else read(picture))
        del picture
    return series


def _which(frames: Iterable[FrameAnswer]) -> str:
    """Those that were refused, as "1–2 (blank), 11 (truncated)"."""
    by_code: dict[str, list[int]] = {}
    for one in frames:
        if one.refusal is not None:
            by_code.setdefault(one.refusal.code, []).append(one.frame)
    return ", ".join(f"{runs(numbers)} ({code.replace('_', ' ')})" for code, numbers in by_code.items())


def runs(numbers: Sequence[int]) -> str:
    """Ascending numbers in short, as "1–2, 11"; those beyond the first few runs as "…"."""
    found: list[list[int]] = []
    for number in numbers:
        if found and number == found[-1][-1] + 1:
            found[-1][1:] = [number]
        else:
            found.append([number])
    said = ["–".join(map(str, run)) for run in found[:_MOST_NAMED]]
    return ", ".join([*said, "…"] if len(found) > _MOST_NAMED else said)
