"""Which class a folder's or a label's word means."""

import re
from collections.abc import Iterable, Sequence

from secondread.tasks import Task, list_tasks, load_task

# As people name the folders of two-class collections. Not 'benign': a benign tumour is a tumour.
_NEGATIVE = {"0", "no", "none", "normal", "negative", "neg", "healthy", "control", "controls", "absent", "false"}
_POSITIVE = {"1", "yes", "abnormal", "positive", "pos", "diseased", "disease", "present", "true"}
_WITHOUT = ("no", "non", "not", "without")
_SAME = {"tb": "tuberculosis", "fracture": "fractured", "fractures": "fractured", "tumors": "tumor"}


def label_of(word: str, classes: Sequence[str]) -> int | None:
    """0 or 1 if the word is one of the two classes, however it is spaced, hyphenated or capitalised; else None."""
    keys = [_key(name) for name in classes]
    return keys.index(_key(word)) if _key(word) in keys else None


def label_words(words: Iterable[str], task: Task | None) -> dict[str, int]:
    """The label of each word that is understood; the rest are left out.

    With a task only its own disease counts, so that 'pneumonia' is never taken for tuberculosis.
    """
    words = list(words)
    tasks = [task] if task else [load_task(name) for name in list_tasks()]
    sick = {_key(name) for known in tasks for name in (known.positive_class, known.name)}
    well = {_key(known.classes[0]) for known in tasks}
    if task is None:  # 'x' beside 'no x' explains itself, whatever x is
        sick |= {_key(word) for word in words} & {rest for word in words for rest in _denied(word)}
    found = ((word, _label(word, sick, well)) for word in words)
    return {word: label for word, label in found if label is not None}


def _label(word: str, sick: set[str], well: set[str]) -> int | None:
    key = _key(word)
    if key in sick | _POSITIVE:
        return 1
    return 0 if key in well | _NEGATIVE or _denied(word) & sick else None


def _denied(word: str) -> set[str]:
    """What a word such as 'no_tumour' or 'NonFractured' may say is absent."""
    key = _squeeze(word)
    rests = (key.removeprefix(start) for start in _WITHOUT if key.startswith(start))
    return {_SAME.get(rest, rest) for rest in rests if rest}


def _key(word: str) -> str:
    squeezed = _squeeze(word)
    return _SAME.get(squeezed, squeezed)


def _squeeze(word: str) -> str:
    """Letters and digits alone, lower case, American where the two spellings differ."""
    return re.sub(r"[\W_]+", "", word.lower()).replace("tumour", "tumor")
