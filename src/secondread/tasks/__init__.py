"""Tasks: one question about one kind of image, as a TOML file that people decide."""

from secondread.tasks.anatomy import body_parts, part_of_code, part_term, part_word
from secondread.tasks.task import AUGMENTATIONS, N_, VIEWS, Source, Task, list_tasks, load_task, match_dicom

__all__ = [
    "AUGMENTATIONS",
    "N_",
    "VIEWS",
    "Source",
    "Task",
    "body_parts",
    "list_tasks",
    "load_task",
    "match_dicom",
    "part_of_code",
    "part_term",
    "part_word",
]
