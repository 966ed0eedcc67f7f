"""Why an image is not read, in sentences with values: marked here, filled by who refuses, translated where shown."""

import re

from secondread.tasks import N_

TOO_SMALL = N_(
    "the image has %(width)s × %(height)s pixels; at least %(least)s on each side are needed: send the original"
)
BLANK = N_("the image is blank (nearly one grey throughout); check the export and send the picture itself")
OTHER_MODALITY = N_("the file says modality %(said)s; this task reads a %(reads)s: %(modalities)s")
NO_MODALITY = N_("the file names a modality that is no word of DICOM; this task reads a %(reads)s: %(modalities)s")
OTHER_PART = N_("the file says body part %(said)s; this task reads: %(reads)s")
OTHER_VIEW = N_(
    "the file says that this is another view (%(said)s); the task %(task)s reads %(reads)s: send the image of that view"
)
OTHER_INTENT = N_(
    "the file says %(said)s: it holds the detector's own values; send the image of the same exposure that is %(wanted)s"
)
NO_INTENT = N_(
    "the file is for another purpose: it holds the detector's own values; send the image of the same exposure that is "
    "%(wanted)s"
)
TOO_YOUNG = N_(
    "the file says that the patient is younger than %(age)s years; the task %(task)s is meant for patients of that age "
    "and more: a qualified reader must look at it; mend the file if the age is wrong"
)
UNLIKE_TRAINING = N_(
    "this is unlike every %(reads)s that was learnt from, so an answer could not be trusted; a qualified reader must "
    "look at it"
)
INVERTED = N_("bright and dark look swapped; invert the image, or send the original file")
TURNED = N_("the film looks turned, upside down or on its side; turn it upright and send it again")
NOT_LIKE_IT = N_("this does not look like a %(reads)s; send one, or choose another task")
LOOKS_OF_ANOTHER_VIEW = N_("this looks like a %(looks)s; this task reads a %(reads)s, %(view)s")
LOOKS_LIKE = N_("this looks like a %(looks)s; this task reads a %(reads)s")
NOT_ASKED = N_(
    "%(bundle)s reads this image as negative (%(task)s); ‘%(next)s’ is asked of positive ones alone, so no answer is "
    "given"
)
# Where nobody names the task: what the file says, what the gate saw, and what to do.
TASK_UNKNOWN = N_("%(facts)s; choose the task by hand: %(tasks)s")
FIT_NO_TASK = N_("its DICOM facts (%(said)s) fit no task")
SAYS_NOTHING = N_("the file does not say what it shows")
AND_LOOKS = N_("%(facts)s, and it looks like a %(looks)s")
AND_LOOKS_LIKE_NONE = N_("%(facts)s, and it looks like nothing that a task reads")
AND_IS_UNLIKE = N_("%(facts)s; it looks most like a %(looks)s, but unlike every one that was learnt from")

# The ones with values, in the order in which a sentence is looked up: what is a part of another comes after it.
WITH_VALUES = (
    TOO_SMALL,
    OTHER_MODALITY,
    NO_MODALITY,
    OTHER_PART,
    OTHER_VIEW,
    OTHER_INTENT,
    NO_INTENT,
    TOO_YOUNG,
    UNLIKE_TRAINING,
    NOT_LIKE_IT,
    LOOKS_OF_ANOTHER_VIEW,
    LOOKS_LIKE,
    NOT_ASKED,
    TASK_UNKNOWN,
    AND_IS_UNLIKE,
    AND_LOOKS_LIKE_NONE,
    AND_LOOKS,
    FIT_NO_TASK,
)
_VIEWS = (N_("frontal"), N_("lateral"), N_("oblique"), N_("decubitus"), N_("axial"))  # values of OTHER_VIEW
# Before these sounds: a vowel, or a letter that is spelt out and begins with one (an MRI slice, an X-ray).
_AN = re.compile(r"\ba (?=(?!eu|one|uni|use)[aeiou]|[AEIO]|[FHLMNRSX][A-Z-])")


def tell(sentence: str, **values: object) -> str:
    """The sentence with its values; 'a' becomes 'an' where the word behind it asks for that."""
    return _AN.sub("an ", sentence % values)
