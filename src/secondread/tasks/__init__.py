"""Tasks: one question about one kind of image, as a TOML file that people decide."""

from secondread.tasks.task import AUGMENTATIONS, N_, Source, Task, list_tasks, load_task, match_dicom

__all__ = ["AUGMENTATIONS", "N_", "Source", "Task", "list_tasks", "load_task", "match_dicom"]
