"""Tasks: one question about one kind of image, as a TOML file that people decide."""

from secondread.tasks.anatomy import body_parts, part_of_code, part_term, part_word
from secondread.tasks.next_step import ACTIONS, NextStep, next_step
from secondread.tasks.task import (
    AUGMENTATIONS,
    N_,
    VIEWS,
    Source,
    Task,
    extension_file,
    first_tasks,
    known_tasks,
    list_tasks,
    load_task,
    match_dicom,
    task_named,
)
from secondread.tasks.vocabulary import MODALITIES, intent_said, known_parts, modality_said, part_said

__all__ = [
    "ACTIONS",
    "AUGMENTATIONS",
    "MODALITIES",
    "N_",
    "VIEWS",
    "NextStep",
    "Source",
    "Task",
    "body_parts",
    "extension_file",
    "first_tasks",
    "intent_said",
    "known_parts",
    "known_tasks",
    "list_tasks",
    "load_task",
    "match_dicom",
    "modality_said",
    "next_step",
    "part_of_code",
    "part_said",
    "part_term",
    "part_word",
    "task_named",
]
