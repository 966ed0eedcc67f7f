"""What to do now is said after every answer, every refusal and every state, and never sends to a treatment."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

import secondread
from secondread.errors import TaskInvalid
from secondread.service import STATES
from secondread.tasks import ACTIONS, list_tasks, load_task, next_step
from secondread.tasks.next_step import CODES
from secondread.testing.phantoms import chest_phantom, encode

SOURCES = Path(secondread.__file__).parent
DECISIONS = ("positive", "negative", "uncertain")


@pytest.mark.parametrize("decision", DECISIONS)
@pytest.mark.parametrize("task", list_tasks())
def test_each_task_says_in_its_own_words_what_to_do_after_each_answer(task: str, decision: str) -> None:
    found = next_step(decision=decision, task=load_task(task))
    assert found.code == f"{task}.{decision}"
    assert found.message in load_task(task).sentences, "or it would not be translated"
    assert found.message.endswith(".")
    assert found.message.count(". ") <= 1, "one sentence or two"
    if decision != "positive":
        assert re.search("not rule|not ruled|no answer|settles nothing|does not say|Treat it as", found.message)


def test_a_task_without_words_of_its_own_says_what_all_say() -> None:
    plain = replace(load_task("fracture"), next_steps={})
    assert next_step(decision="negative", task=plain) == next_step(decision="negative")
    assert next_step(decision="negative").code == "negative"


def test_every_code_of_a_refusal_and_every_state_says_what_to_do() -> None:
    """As tests/web/test_page_languages finds them; what is told of a request and not of an image has no step."""
    code = re.compile(r"""(?:Refusal\(\s*|code(?:: str)? ?= ?)"([a-z_]+)\"""")
    places = ("errors.py", "reading/*.py", "service/*.py")
    found = {name for place in places for path in SOURCES.glob(place) for name in code.findall(path.read_text("utf-8"))}
    assert {"wrong_kind", "truncated", "archive_nested", "defect", "not_asked"} <= found
    assert found - CODES == set(), "say what to do now in tasks/next_step.py"
    assert set(STATES) - {"done", "refused"} <= CODES
    assert all(next_step(code=one).action in ACTIONS for one in CODES)
    assert next_step(code="unheard_of").message, "a new code is never without a step"


@pytest.mark.parametrize(
    ("data", "frame", "code", "said"),
    [
        (b"PK\x03\x04 an archive", None, "archive", "Unpack it"),
        (b"\x1f\x8b an archive", None, "archive", "Unpack it"),
        (encode(chest_phantom(64, random_state=1), "TIFF"), 4, "no_such_frame", "Ask for a frame that the file has"),
        (b"a letter", None, "not_an_image", "send the image itself"),
        (encode(chest_phantom(16, random_state=1), "PNG"), None, "too_small", "full size"),
    ],
)
def test_what_to_do_fits_why_it_was_not_read(data: bytes, frame: int | None, code: str, said: str) -> None:
    refused = secondread.load("tuberculosis", gate=False).read(data, frame=frame)
    assert refused.refusal is not None
    assert (refused.refusal.code, refused.next_step.code) == (code, code)
    assert said in refused.next_step.message
    assert "task" not in refused.next_step.message, "it was named"


def test_what_to_do_of_a_task_file_is_checked(tmp_path: Path) -> None:
    text = (SOURCES / "tasks" / "fracture.toml").read_text("utf-8")
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(text.replace("[next] ", '[next]\nperhaps = "wait"\n#'), "utf-8")
    with pytest.raises(TaskInvalid, match="next: sentences for positive, negative and uncertain"):
        load_task(wrong)
