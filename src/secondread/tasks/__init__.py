"""Tasks: one question about one kind of image, as a TOML file that people decide."""

from secondread.tasks.anatomy import body_parts, part_of_code, part_term, part_word
from secondread.tasks.task import (
    AUGMENTATIONS,
    N_,
    VIEWS,
    Source,
    Task,
    first_tasks,
    list_tasks,
    load_task,
    match_dicom,
    task_named,
)
from secondread.tasks.vocabulary import MODALITIES, intent_said, known_parts, modality_said, part_said

__all__ = [
    "AUGMENTATIONS",
    "MODALITIES",
    "N_",
    "VIEWS",
    "Source",
    "Task",
    "body_parts",
    "first_tasks",
    "intent_said",
    "known_parts",
    "list_tasks",
    "load_task",
    "match_dicom",
    "modality_said",
    "part_of_code",
    "part_said",
    "part_term",
    "part_word",
    "task_named",
]
