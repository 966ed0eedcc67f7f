"""What every task promises, as tests: a whole file, words for people, flips that make sense, its own DICOM images."""

import subprocess
import sys
import tomllib
from pathlib import Path

from secondread.tasks import AUGMENTATIONS, known_tasks, list_tasks, load_task
from secondread.testing.contract import Contract

LEARNED = {"threshold", "temperature", "operating_points", "weights"}  # of a bundle, never of a task


class TaskContract(Contract):
    """A subclass names tasks, or TOML files."""

    def test_the_file_is_whole(self, name: str) -> None:
        task = load_task(name)
        assert task.name == file_of(name).stem, "the file is named after its task"
        assert task.positive_class == task.classes[1]
        assert task.title
        assert task.question.endswith("?")
        assert task.intended_use
        assert task.limits, "say what it cannot do"
        assert all(task.words[decision].strip() for decision in ("positive", "negative", "uncertain"))
        assert len(set(task.words.values())) == len(task.words), "two decisions are told in the same words"

    def test_data_have_terms_and_someone_to_cite(self, name: str) -> None:
        sources = load_task(name).sources
        assert all(source.page.startswith("https://") and source.terms and source.citation for source in sources)
        assert all(source.url.startswith(("https://", "http://")) for source in sources if source.url)
        assert len({source.name for source in sources}) == len(sources)

    def test_images_are_flipped_only_as_they_may_come(self, name: str) -> None:
        task = load_task(name)
        assert set(task.augmentations) <= set(AUGMENTATIONS)
        if {"frontal", "lateral"} & set(task.dicom_views):
            assert "vertical_flip" not in task.augmentations, "no film of a standing patient comes upside down"

    def test_no_dicom_image_is_of_another_task_too(self, name: str) -> None:
        """One `asked_after` another is left out: that reads the same images, and never by itself."""
        task = load_task(name)
        if task.asked_after:
            assert task.asked_after in list_tasks()
            return
        for other in map(load_task, {*list_tasks()} - {task.name}):
            if not other.asked_after and set(task.dicom_modalities) & set(other.dicom_modalities):
                shared = set(task.dicom_body_parts) & set(other.dicom_body_parts)
                assert not shared, f"{other.name} reads these too; say asked_after = '{other.name}'"

    def test_nothing_learned_is_in_the_file(self, name: str) -> None:
        assert not LEARNED & set(tomllib.loads(file_of(name).read_text(encoding="utf-8")))

    def test_looking_it_up_imports_no_torch(self, name: str) -> None:
        code = f"import sys; from secondread.tasks import load_task; load_task({name!r}); print('torch' in sys.modules)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert done.stdout.strip() == "False", done.stderr or "who reads images need not have torch"


def file_of(name: str) -> Path:
    """The task's TOML file."""
    return Path(name) if name.endswith(".toml") else known_tasks().found[name]
