"""Ten drawn pictures that teach what the tool can and cannot do: each is really read, asks one thing, explains it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial

import numpy as np

from secondread.errors import UnknownName
from secondread.images import drawn as pictures
from secondread.images import encode_png
from secondread.service.desk import ReadingDesk
from secondread.service.intake import Staged
from secondread.service.outcomes import Draft, StoredReading
from secondread.service.uploads import ReadingRequest
from secondread.tasks import N_


@dataclass(frozen=True)
class Lesson:
    """One picture, what is known of the person, what to choose from, and why one choice is right. In English."""

    draw: Callable[[], np.ndarray]
    asked: ReadingRequest
    shows: str  # instead of the picture, for whoever cannot see it
    story: str
    choices: tuple[str, str, str]
    right: int
    why: str


_FILM, _LIMB = ReadingRequest("tuberculosis"), ReadingRequest("fracture")
LESSONS = (
    Lesson(
        partial(pictures.draw_chest, 2, shadows=1.2),
        _FILM,
        N_("A drawn chest film with patchy shadows in both upper lungs"),
        N_("A man of 40 has been coughing for three weeks. This is his chest film."),
        (
            N_("Begin treatment for tuberculosis today"),
            N_("Have sputum tested, as the clinic’s own TB protocol says"),
            N_("Send him home: a film alone proves nothing"),
        ),
        1,
        N_(
            "A positive answer says that the film looks like those of people with tuberculosis. Other illnesses of the "
            "lung look alike, and some healthy people are called positive too: sputum decides."
        ),
    ),
    Lesson(
        partial(pictures.draw_chest, 49),
        ReadingRequest("tuberculosis", operating_point="confirm"),
        N_("A drawn chest film without shadows in the lungs"),
        N_("A woman has been coughing for a month, sweats at night and has lost weight."),
        (
            N_("Tell her that she has no tuberculosis"),
            N_("Send the film again until the answer changes"),
            N_("Test her sputum all the same"),
        ),
        2,
        N_(
            "A negative answer rules nothing out: how many are missed is told below each answer, and the film may be "
            "clear early in the illness. What the patient tells and what you find count for more."
        ),
    ),
    Lesson(
        partial(pictures.draw_chest, 49, shadows=0.2),
        ReadingRequest("tuberculosis", operating_point="triage"),
        N_("A drawn chest film with faint shadows in the upper lungs"),
        N_("A man without complaints comes for a check. His film is read with two thresholds."),
        (
            N_("Take it as no answer, and have a qualified reader look"),
            N_("Take it as negative: it is below the upper threshold"),
            N_("Take it as positive: it is above the lower threshold"),
        ),
        0,
        N_(
            "Between two thresholds the tool was right about too few. “Uncertain” means that a person has to look, not "
            "that the patient is half ill."
        ),
    ),
    Lesson(
        partial(pictures.draw_bone, 1, gap=0.06),
        _LIMB,
        N_("A drawn film of a bone with a dark gap right across it"),
        N_("A girl fell on her arm. It is swollen, it hurts, and you see a gap in the bone yourself."),
        (
            N_("Trust the answer: the tool has seen more films than you"),
            N_("Keep the arm still and have the film read, whatever the tool says"),
            N_("Read it as another task"),
        ),
        1,
        N_(
            "The tool misses fractures, also such as anyone can see. What you see and feel goes before any answer, and "
            "a swollen, painful arm after a fall is a suspected fracture whatever a score says."
        ),
    ),
    Lesson(
        lambda: pictures.written_on(pictures.draw_chest(), "L 12/3"),
        _FILM,
        N_("The chest film of the second picture with a word and a ring drawn on it"),
        N_("This is the film of the second picture once more. Only somebody drew on it with a pen."),
        (
            N_("Look what is written there and send the film without it"),
            N_("Take a high score as illness: the tool saw something new"),
            N_("Draw on every film, so that the tool looks closer"),
        ),
        0,
        N_(
            "The lungs are the same, so what the score does now is the pen’s doing. Pen marks, metal, tubes and black "
            "borders may move it up or down; wherever something lies on the film, look for yourself."
        ),
    ),
    Lesson(
        partial(pictures.draw_bone, 3),
        _FILM,
        N_("A drawn film of a bone"),
        N_("Somebody chose “Tuberculosis”, but the file is of a limb."),
        (
            N_("Note that there is no tuberculosis"),
            N_("Look which file it is, and choose the task that fits or send the right film"),
            N_("Send it again and again until it is read"),
        ),
        1,
        N_(
            "“Not read” is no answer about the patient. The tool refuses what does not look like the images that it "
            "learnt from, because a score of such an image would mean nothing."
        ),
    ),
    Lesson(
        pictures.draw_scene,
        _FILM,
        N_("A drawn picture of a house, a field and the sun"),
        N_("A picture taken with a telephone got among the films."),
        (
            N_("Take the picture of the film better lit"),
            N_("Turn the check off in the settings"),
            N_("Export the film from the X-ray machine and send that file"),
        ),
        2,
        N_(
            "The tool was never measured on photographs, not even on photographs of films: their light and angle "
            "change what it sees. Only the file from the machine is what it was made for."
        ),
    ),
    Lesson(
        lambda: 255 - pictures.draw_chest(2, shadows=1.2),
        _FILM,
        N_("A drawn chest film with bright and dark swapped: the lungs are bright and the bones dark"),
        N_("The film looks like a negative: bones are dark and air is bright."),
        (
            N_("Invert it where you view it, or export the original, and send it again"),
            N_("Read the answer the other way round"),
            N_("Nothing can be done"),
        ),
        0,
        N_(
            "With bright and dark swapped, healthy lungs look full and shadows look like air. The tool notices most "
            "such films, but not all: look at the picture before you look at the answer."
        ),
    ),
    Lesson(
        partial(np.full, (pictures.SIDE, pictures.SIDE), 30, np.uint8),
        _FILM,
        N_("A picture that is one grey all over"),
        N_("The upload went well, but the picture is one grey."),
        (
            N_("Note that the lungs are clear"),
            N_("Look at the film itself, and export or take it again"),
            N_("Make it brighter and send it again"),
        ),
        1,
        N_("Nothing was exposed, or nothing was exported. There is nothing to read, for the tool or for you."),
    ),
    Lesson(
        lambda: pictures.smaller(pictures.draw_chest(2, shadows=1.2), 24),
        _FILM,
        N_("A chest film as small as a thumb nail"),
        N_("Somebody copied the small preview instead of the film."),
        (
            N_("Enlarge it on the screen and send it again"),
            N_("Take the refusal as a negative answer"),
            N_("Export the film itself, in full size"),
        ),
        2,
        N_(
            "What a small copy has lost no enlarging brings back. Even full films are read as small copies, so what is "
            "fine is easily missed: small nodules, thin lines, hairline breaks."
        ),
    ),
)


@cache
def png_of(number: int) -> bytes:
    """The picture of a lesson, counted from 1. Raises IndexError."""
    return encode_png(LESSONS[number - 1].draw())


def read_lesson(desk: ReadingDesk, number: int) -> Draft | StoredReading:
    """What the bundle that is here answers to it now; nothing is stored, and nothing is noted of whoever asks."""
    staged, asked = Staged("", png_of(number)), LESSONS[number - 1].asked
    try:
        return desk.look_at(staged, asked)
    except UnknownName:  # a bundle without that operating point
        return desk.look_at(staged, replace(asked, operating_point=""))
