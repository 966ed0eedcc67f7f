"""Reads task files: what people decide about a question, checked field by field; and gathers their words."""

import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache, lru_cache
from pathlib import Path
from types import ModuleType
from typing import IO, Any

from secondread.errors import CannotOpen, TaskInvalid, UnknownName
from secondread.extensions import Brought, gather
from secondread.tasks.anatomy import part_term, part_word

AUGMENTATIONS = ("rotation", "horizontal_flip", "vertical_flip", "contrast", "gaussian_blur")
VIEWS = ("frontal", "lateral", "oblique", "decubitus", "axial")  # what a header's words and codes of a view come to
INTENTS = ("FOR PRESENTATION", "FOR PROCESSING")  # PS3.3 C.8.11.1.1.1
_DICOM = ("modalities", "body_parts", "views", "presentation_intents", "least_age", "measured_from_age", "finding")
FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Source:
    """A public collection of images: where it is and under which terms."""

    name: str
    title: str
    page: str
    terms: str
    citation: str
    url: str = ""  # empty: only by hand, from the page
    sha256: str = ""  # empty: none published
    hospital: str = ""  # whose images: collections of one hospital say nothing of another; empty: one of its own


@dataclass(frozen=True)
class Task:
    """One question about one kind of image."""

    name: str
    title: str
    question: str
    modality: str
    body_part: str
    view: str
    classes: tuple[str, str]  # negative, positive
    channels: int  # 1 grey, 3 RGB
    input_size: int  # pixels, square
    target_sensitivity: float
    target_specificity: float
    augmentations: tuple[str, ...]
    dicom_modalities: tuple[str, ...]  # PS3.3 C.7.3.1.1.1
    dicom_body_parts: tuple[str, ...]  # PS3.16 annex L, as written by devices
    dicom_views: tuple[str, ...]  # of VIEWS; empty: any
    dicom_intents: tuple[str, ...]  # of INTENTS; empty: any
    least_age: int  # years; a younger patient's image is refused; 0: none is
    measured_from_age: int  # years; a younger patient's image is read with a warning
    # (code, coding scheme designator, meaning) of what the positive class means, for objects sent to other programs;
    # () where nobody has chosen one. PS3.16 table 8-1: 'SCT' is SNOMED CT.
    coded: tuple[str, ...]
    # decision -> what is said to a person; 'missed' and 'false' (called positive) -> how many are, as %(share)s
    words: dict[str, str]
    intended_use: str
    limits: tuple[str, ...]
    sources: tuple[Source, ...]
    # Another task that reads the same kind of image, and is meant where nobody says which. This one is then read only
    # when it is named: neither what a DICOM file says of itself nor the gate ever chooses it.
    asked_after: str
    # decision -> what to do now, in a sentence or two; {}: what is said of every task (see next_step)
    next_steps: dict[str, str] = field(default_factory=dict)

    @property
    def positive_class(self) -> str:
        """The name of the class that means disease is present."""
        return self.classes[1]

    def hospital_of(self, source: str) -> str:
        """Whose images a collection holds: the hospital that the task names for it, else its own name."""
        return next((one.hospital for one in self.sources if one.name == source and one.hospital), source)

    @property
    def sentences(self) -> tuple[str, ...]:
        """All that pages and reports say in this task's words, and that languages translate."""
        told = (self.title, self.question, self.modality, self.body_part, self.view, self.intended_use)
        return (*told, *self.limits, *self.words.values(), *self.next_steps.values())


def list_tasks() -> list[str]:
    """The names of the tasks that come with the package and with its extensions, sorted."""
    return sorted(known_tasks().found)


def first_tasks() -> list[str]:
    """Those that are asked of a picture first; each of the others follows one of them (`asked_after`)."""
    return [name for name in list_tasks() if not load_task(name).asked_after]


def known_tasks() -> Brought[Path]:
    """The task files by name, and what extensions bring that cannot be used.

    The entry point `secondread.tasks` of an extension names a module, in whose folder TOML files lie, or the path of
    such a folder or file. A file is named after its task.
    """
    return _known(FOLDER, FOLDER.stat().st_mtime_ns)


@lru_cache(maxsize=4)
def _known(folder: Path, _changed: int) -> Brought[Path]:
    """_changed: when a file came or went, in ns: names are looked up several times in a request."""
    return _followed(gather("tasks", "task", _files, shipped={path.stem: path for path in folder.glob("*.toml")}))


def _files(_: str, named: Any) -> dict[str, Path]:
    """The task files that an entry point names, each looked through. Raises CannotOpen or TaskInvalid."""
    place = Path(named.__file__ or "").parent if isinstance(named, ModuleType) else Path(named)
    paths = sorted(place.glob("*.toml")) if place.is_dir() else [place]
    if not paths:
        raise CannotOpen(f"there are no task files (*.toml) in '{place}'")
    for path in paths:
        if (name := _task_in(path, known=None).name) != path.stem:
            raise TaskInvalid(f"'{path}' holds the task '{name}'; name the file {name}.toml")
    return {path.stem: path for path in paths}


def _followed(brought: Brought[Path]) -> Brought[Path]:
    """Without the tasks of extensions that are asked after one that is not there, or no longer."""
    for name, who in brought.owners.items():
        first = _task_in(brought.found[name], known=None).asked_after
        if first and first not in brought.found:
            found = {key: path for key, path in brought.found.items() if key != name}
            owners = {key: package for key, package in brought.owners.items() if key != name}
            why = f"asked_after: there is no task '{first}'"
            left_out = {**brought.left_out, f"{who} ({name})": why}
            return _followed(replace(brought, found=found, owners=owners, left_out=left_out))
    return brought


def extension_file(name: str) -> Path | None:
    """The file of a task that an extension brings, which a bundle takes along; None for the package's own."""
    known = known_tasks()
    return known.found[name] if name in known.owners else None


def task_named(name: str) -> Task:
    """The task of that name among those that are installed. Raises UnknownName.

    Nothing is opened for a name that is not among them, so what a request says may be given as it came.
    """
    if name not in (known := list_tasks()):
        raise UnknownName.of("task", name, known)
    return load_task(name)


@cache
def load_task(name_or_path: str | Path) -> Task:
    """The task of that name, or of a TOML file of the user's own: for commands and programs, which may open files.

    Web and service take `task_named`. Raises UnknownName, UsageError, CannotOpen or TaskInvalid.
    """
    name = str(name_or_path)
    if not (name.endswith(".toml") or "/" in name):
        return _task_in(known_tasks()[name], known=list_tasks())
    if not (path := Path(name)).is_file():
        raise CannotOpen(f"no task file at '{name}'; give the path of a TOML file or one of: {', '.join(list_tasks())}")
    return _task_in(path, known=list_tasks())


def _task_in(path: Path, *, known: Collection[str] | None) -> Task:
    """The task of a file. known: what it may be asked after; None: anything. Raises TaskInvalid."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TaskInvalid(f"'{path}' is not valid TOML: {error}") from error
    try:
        return _task_from(table, where=str(path), known=known)
    except (TypeError, AttributeError, ValueError) as error:  # a table where a list should be, and the like
        raise TaskInvalid(f"'{path}' holds a value of a wrong kind: {error}") from error


def match_dicom(modality: str, *body_parts: str) -> str | None:
    """The one task whose DICOM values fit, or None where none or several do. One `asked_after` another is left out.

    modality: (0008,0060); body_parts: (0018,0015) and what the codes of (0008,2218) stand for; any may be empty.
    """
    said = {part_term(part) for part in body_parts}
    fits = []
    for name in list_tasks():
        task = load_task(name)
        part_fits = not said.isdisjoint(task.dicom_body_parts)
        if modality.upper() in task.dicom_modalities and part_fits and not task.asked_after:
            fits.append(name)
    return fits[0] if len(fits) == 1 else None


def _task_from(table: dict[str, Any], *, where: str, known: Collection[str] | None = None) -> Task:
    tables = {"dicom", "use", "sources", "positive_class", "next"}
    flat = {key: value for key, value in table.items() if key not in tables}
    dicom, use = table.get("dicom", {}), table.get("use", {})
    flat |= {
        "classes": tuple(table.get("classes", ())),
        "augmentations": tuple(table.get("augmentations", ())),
        "dicom_modalities": tuple(dicom.get("modalities", ())),
        "dicom_body_parts": tuple(dicom.get("body_parts", ())),
        "dicom_views": tuple(dicom.get("views", ())),
        "dicom_intents": tuple(dicom.get("presentation_intents", ())),
        "least_age": dicom.get("least_age", 0),
        "measured_from_age": dicom.get("measured_from_age", 0),
        "coded": tuple(dicom.get("finding", ())),
        "intended_use": use.get("intended", ""),
        "limits": tuple(use.get("limits", ())),
        "sources": tuple(_source_from(entry, where=where) for entry in table.get("sources", ())),
        "view": table.get("view", "any"),
        "asked_after": table.get("asked_after", ""),
        "next_steps": dict(table.get("next", {})),
    }
    columns = {field.name for field in fields(Task)}
    if missing := sorted(columns - set(flat)):
        raise TaskInvalid(f"'{where}' lacks: {', '.join(missing)}; copy a shipped task file and change it")
    if extra := sorted(set(flat) - columns):
        raise TaskInvalid(f"'{where}' holds unknown fields: {', '.join(extra)}")
    if extra := sorted(set(dicom) - set(_DICOM)):
        raise TaskInvalid(f"'{where}': [dicom] holds unknown fields: {', '.join(extra)}; known: {', '.join(_DICOM)}")
    task = Task(**flat)
    _check(task, table, where=where, known=known)
    return task


def _source_from(entry: dict[str, str], *, where: str) -> Source:
    try:
        return Source(**entry)
    except TypeError as error:
        raise TaskInvalid(f"'{where}': a [[sources]] entry is wrong: {error}") from error


def _check(task: Task, table: dict[str, Any], *, where: str, known: Collection[str] | None) -> None:
    """Raise TaskInvalid for the first value out of its range."""
    checks = [
        (isinstance(task.name, str) and task.name.replace("-", "").isalnum(), "name: letters, digits and hyphens"),
        (len(task.classes) == 2, "classes: two names, the negative one first"),
        (
            table.get("positive_class") == task.classes[-1:][0] if task.classes else False,
            "positive_class: the second of classes",
        ),
        (task.channels in (1, 3), "channels: 1 (grey) or 3 (RGB)"),
        (isinstance(task.input_size, int) and 32 <= task.input_size <= 2048, "input_size: 32 to 2048 pixels"),
        (_is_share(task.target_sensitivity), "target_sensitivity: between 0 and 1"),
        (_is_share(task.target_specificity), "target_specificity: between 0 and 1"),
        (set(task.augmentations) <= set(AUGMENTATIONS), f"augmentations: any of {', '.join(AUGMENTATIONS)}"),
        (
            all(part == part_word(part) for part in task.dicom_body_parts),
            "body_parts: capitals and digits without spaces, as DICOM writes them",
        ),
        (set(task.dicom_views) <= set(VIEWS), f"views: any of {', '.join(VIEWS)}"),
        (set(task.dicom_intents) <= set(INTENTS), f"presentation_intents: any of {', '.join(INTENTS)}"),
        (_is_age(task.least_age), "least_age: whole years, 0 to 120"),
        (_is_age(task.measured_from_age), "measured_from_age: whole years, 0 to 120"),
        (_is_coded(task.coded), "finding: code, coding scheme and meaning, as PS3.3 8.8 bounds them"),
        ({"positive", "negative", "uncertain"} <= set(task.words), "words: positive, negative and uncertain"),
        (
            set(task.next_steps) <= {"positive", "negative", "uncertain"}
            and all(isinstance(said, str) and said for said in task.next_steps.values()),
            "next: sentences for positive, negative and uncertain",
        ),
        (
            all(_takes_share(task.words.get(name, "%(share)s")) for name in ("missed", "false")),
            "words: missed and false hold %(share)s, and no other %",
        ),
        (
            task.asked_after != task.name and (known is None or task.asked_after in {"", *known}),
            f"asked_after: another task, one of {', '.join(known or ())}",
        ),
    ]
    for holds, message in checks:
        if not holds:
            raise TaskInvalid(f"'{where}': {message}")


def _takes_share(sentence: str) -> bool:
    try:
        return "1 in 8" in sentence % {"share": "1 in 8"}
    except (KeyError, ValueError, TypeError):
        return False


def _is_share(value: Any) -> bool:
    return isinstance(value, float) and 0 < value < 1


def _is_coded(value: tuple[Any, ...]) -> bool:
    if not value:
        return True
    longest = (16, 16, 64)
    return len(value) == 3 and all(
        isinstance(one, str) and 0 < len(one) <= n for one, n in zip(value, longest, strict=True)
    )


def _is_age(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 120


def N_(sentence: str) -> str:  # the name that gettext’s tools look for
    """The sentence itself: marks it for translation where it stands, in rooms that know no languages."""
    return sentence


def extract(
    file: IO[bytes], keywords: Mapping[str, Any], comment_tags: Collection[str], options: Mapping[str, Any]
) -> Iterator[tuple[int, None, str, list[str]]]:
    """Babel's extractor of task files (babel.cfg): each sentence once, as (line, function, sentence, comments)."""
    text = file.read().decode("utf-8")
    for sentence in dict.fromkeys(_task_from(tomllib.loads(text), where=getattr(file, "name", "")).sentences):
        yield text[: text.find(sentence)].count("\n") + 1, None, sentence, []
