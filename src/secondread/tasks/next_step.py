"""What to do now: one or two sentences after every answer, every refusal and every state of an image on its way.

They are written for whoever stands beside the patient without a radiologist. After an answer they are the task's own
where its file has them (`[next]`); after a refusal they are those of its code. They send to the clinic's own protocol
and to a qualified reader, and never to a treatment.
"""

from dataclasses import dataclass
from typing import Any

from secondread.tasks.task import N_, Task, list_tasks, task_named

REVIEW, SEND, CHOOSE_TASK, WAIT, RETRY, TELL = "review", "send", "choose_task", "wait", "retry", "tell"
ACTIONS = (REVIEW, SEND, CHOOSE_TASK, WAIT, RETRY, TELL)


@dataclass(frozen=True)
class NextStep:
    """What to do now. action: one of ACTIONS, for programs and for the button that a page puts beside it."""

    code: str  # 'tuberculosis.positive', 'blank', 'queued'
    action: str
    message: str  # in English; translated where it is shown

    def to_dict(self) -> dict[str, Any]:
        """As `Reading.to_dict`, `secondread read --json` and the API have it, under `next_step`."""
        return {"code": self.code, "action": self.action, "message": self.message}


# After an answer of a task whose file says nothing of its own.
_ANSWERS = {
    "positive": N_(
        "Have a qualified reader look at this image before anything is decided, and follow your clinic’s own protocol."
    ),
    "negative": N_("With symptoms, go on as you would without this answer: it does not rule out disease."),
    "uncertain": N_("Take it as no answer: a qualified reader must look at this image."),
}
_ORIGINAL = N_(
    "Export the image once more from the machine that made it, and send that file; a photograph of a film or screen "
    "is no substitute."
)
_CHECK_FILE = N_("Look whether it is the file you meant, then choose the task that fits it, or send the right image.")
_PACK_AGAIN = N_("Pack the images once more, without a password and without archives inside, or send them one by one.")
_IN_PARTS = N_("Send the images in smaller parts.")
_TELL = N_("Tell the administrator, and have the image read by a person meanwhile.")
_READER = N_(
    "Have a qualified reader look at the image. That it was not read says nothing of whether there is disease."
)
_STEPS: dict[str, tuple[str, str]] = {
    # why an image was not read
    "not_an_image": (SEND, N_("Look whether it is the file you meant, and send the image itself.")),
    "cannot_open": (SEND, N_("Look whether the file is still there and may be read, then try again.")),
    "unsupported": (SEND, _ORIGINAL),
    "archive": (SEND, N_("Unpack it, and send the images that are in it.")),
    "no_such_frame": (SEND, N_("Ask for a frame that the file has, or for none, and all are read.")),
    "truncated": (SEND, N_("Send the file again. If it fails again, export it once more from the machine.")),
    "too_large": (SEND, N_("Export the image smaller, or one picture at a time, and send it again.")),
    "blank": (
        SEND,
        N_("Look at the film itself. If it shows something, export it again; if it does not, take it again."),
    ),
    "too_small": (SEND, N_("Send the image in its full size, as the machine made it: this may be a preview of it.")),
    "wrong_kind": (CHOOSE_TASK, _CHECK_FILE),
    "wrong_part": (CHOOSE_TASK, _CHECK_FILE),
    "task_unknown": (CHOOSE_TASK, N_("Say which task reads this image; look at the film first.")),
    "outside_use": (REVIEW, _READER),
    "inverted": (SEND, N_("Invert the image where you view it, or export the original, and send it again.")),
    "turned": (SEND, N_("Turn the image upright where you view it, or export the original, and send it again.")),
    "unlike_training": (REVIEW, _READER),
    "not_asked": (REVIEW, N_("Nothing, for this question. Go by the answer to the first one and by what you see.")),
    "opinion_first": (REVIEW, N_("Give your own opinion on the first question of this image, then ask again.")),
    "other_bundle": (TELL, _TELL),
    "no_image": (SEND, N_("Choose an image and send it.")),
    "upload_empty": (SEND, N_("Choose an image and send it.")),
    "archive_damaged": (SEND, _PACK_AGAIN),
    "archive_encrypted": (SEND, _PACK_AGAIN),
    "archive_nested": (SEND, _PACK_AGAIN),
    "archive_path": (SEND, _PACK_AGAIN),
    "archive_name": (SEND, N_("Give the file a short name of its own, and send it again.")),
    "archive_packing": (SEND, _PACK_AGAIN),
    "swells_too_much": (SEND, N_("Send the image itself, without an archive around it.")),
    "too_many_files": (SEND, _IN_PARTS),
    "upload_too_large": (SEND, _IN_PARTS),
    "worker_died": (TELL, _TELL),
    "cannot_read": (RETRY, N_("Try again in a while. If it fails again, tell the administrator.")),
    "defect": (TELL, _TELL),
    "erased": (SEND, N_("Send the image again if its answer is still needed.")),
    "cancelled": (RETRY, N_("Put it back into the queue if its answer is still needed.")),
    # where an image of an upload stands
    "queued": (WAIT, N_("Wait: it is read by itself, and nothing is lost. Do not hold up the patient’s care for it.")),
    "running": (WAIT, N_("Wait a moment: it is being read.")),
    "failed": (RETRY, N_("Try again. If it fails again, tell the administrator and have a person read the image.")),
}
_NO_ANSWER = (REVIEW, _READER)
CODES = frozenset(_STEPS)


def next_step(*, decision: str = "", code: str = "", task: Task | str | None = None) -> NextStep:
    """After an answer (decision, task), a refusal (its code), or in a state of an upload's item (its name as code).

    task: or its name; of one that is not installed it says what it says of every task.
    """
    if decision:
        if isinstance(task, str):
            task = task_named(task) if task in list_tasks() else None
        own = task.next_steps.get(decision) if task else None
        name = f"{task.name}.{decision}" if own and task else decision
        return NextStep(name, REVIEW, own or _ANSWERS[decision])
    action, message = _STEPS.get(code, _NO_ANSWER)
    return NextStep(code, action, message)
