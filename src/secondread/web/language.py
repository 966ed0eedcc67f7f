"""The language of the pages, and what refusals and errors say in it: a sentence for each code."""

import re
from typing import Any

from apiflask import APIFlask
from flask import current_app, request
from flask_babel import Babel, Domain, get_translations, gettext, lazy_gettext
from flask_babel import get_locale as _get_locale
from markupsafe import Markup, escape
from werkzeug.utils import cached_property

from secondread.images.decode import NOT_READ_HERE
from secondread.images.image import TOO_MANY_BYTES, TOO_MANY_FRAMES, TOO_MANY_PIXELS
from secondread.images.nifti import FIRST_VOLUME
from secondread.images.raster import DAMAGED
from secondread.reading import reasons
from secondread.reading.reader import ONE_READ
from secondread.reading.series import NONE_READ, NOT_READ, ONLY_ONE, READ_ALL, TOGETHER
from secondread.service import data_folder_of
from secondread.service.passwords import LENGTH
from secondread.tasks import N_, NextStep
from secondread.web.catalogues import ENGLISH, SITE, Catalogues, catalogue_files, name_of

COOKIE = "language"
_LANGUAGES = "secondread.languages"


# How a bundle's operating points are called; a site's own names are told as they were typed.
POINTS = (N_("screening"), N_("confirm"), N_("triage"), N_("paper"), N_("series"), N_("site"))


class _Babel(Babel):
    """Flask-Babel, with the catalogues of package and site."""

    def __init__(self, app: APIFlask, catalogues: Catalogues):
        super().__init__(app, locale_selector=_choose, default_timezone="UTC")
        self._catalogues = catalogues

    @cached_property
    def domain_instance(self) -> Domain:
        return self._catalogues


def register(app: APIFlask) -> None:
    """Let templates translate: into every language whose catalogue the package or the data folder holds."""
    files = catalogue_files(data_folder_of(app.config) / SITE)
    app.extensions[_LANGUAGES] = {ENGLISH: "English"} | {code: name_of(code) for code in sorted(files)}
    _Babel(app, Catalogues(files))


def languages() -> dict[str, str]:
    """What the pages are written in, and every language whose catalogue is there: its own name by its code."""
    found: dict[str, str] = current_app.extensions[_LANGUAGES]
    return found


def language() -> str:
    """Of this request, as 'en' or 'pt-BR'."""
    found = _get_locale()
    return ENGLISH if found is None else str(found).replace("_", "-")


def words() -> dict[str, str]:
    """Every translated sentence by its English one; empty in English. For the scripts of the pages."""
    catalogue = getattr(get_translations(), "_catalog", {})
    return {english: said for english, said in catalogue.items() if isinstance(english, str) and english and said}


def _choose() -> str:
    wanted, known = request.cookies.get(COOKIE, ""), list(languages())
    if wanted not in known:
        wanted = request.accept_languages.best_match(known, ENGLISH) or ENGLISH
    return wanted.replace("-", "_")


# The service writes its sentences in English, with names and numbers in them; the code of each is what is translated.
CODES = {
    "not_an_image": lazy_gettext("This is no image that can be read. Send PNG, JPEG, TIFF, WebP, BMP, DICOM or NIfTI."),
    "too_large": lazy_gettext("The file or image is larger than is allowed. Export it smaller."),
    "truncated": lazy_gettext("The file is damaged or cut short. Send it again."),
    "unsupported": lazy_gettext("Images stored in this way are not read here. Export the image as PNG."),
    "archive": lazy_gettext("This is an archive and no image. Unpack it and send the images that are in it."),
    "no_such_frame": lazy_gettext("The file has no picture of that number. Ask for one that it has."),
    "blank": lazy_gettext("The image is blank. Send the original file."),
    "too_small": lazy_gettext("The image is too small to be read. Send the original file."),
    "wrong_kind": lazy_gettext("This is not the kind of image that the task reads. Send one, or choose another task."),
    "wrong_part": lazy_gettext("This shows another part of the body than the task reads. Choose another task."),
    "outside_use": lazy_gettext("The file says that this image is outside what the task is meant for."),
    "inverted": lazy_gettext("Bright and dark look swapped. Invert the image, or send the original file."),
    "turned": lazy_gettext("The film looks turned, upside down or on its side. Turn it upright and send it again."),
    "unlike_training": lazy_gettext("This image is unlike those that taught the model. A qualified reader must look."),
    "not_asked": lazy_gettext("This question follows another one, and that one was answered with no."),
    "opinion_first": lazy_gettext("This question follows another one. Your own opinion on that one comes first."),
    "other_bundle": lazy_gettext("The bundle that was asked for is not the one that is here now."),
    "task_unknown": lazy_gettext("Which task fits this image cannot be told. Choose the task by hand."),
    "archive_damaged": lazy_gettext("The archive is damaged. Pack it again and send it again."),
    "archive_encrypted": lazy_gettext("The archive is encrypted. Pack it without a password."),
    "archive_nested": lazy_gettext("An archive in an archive is not unpacked. Send it by itself."),
    "archive_path": lazy_gettext("A name points outside the archive. Pack it again."),
    "archive_name": lazy_gettext("A file's name is too long, there twice, or no name. Rename the file."),
    "archive_packing": lazy_gettext("A file is packed in a way that is not read here. Pack it with Deflate."),
    "swells_too_much": lazy_gettext("A file grows too much when it is unpacked. Send it as it is."),
    "too_many_files": lazy_gettext("The upload holds too many files. Send it in parts."),
    "upload_too_large": lazy_gettext("The upload is too large. Send it in parts."),
    "upload_empty": lazy_gettext("The upload holds no files. Choose images or an archive of them."),
    "no_image": lazy_gettext("No image was sent. Choose one."),
    "worker_died": lazy_gettext("Reading this image failed several times. Report it."),
    "cannot_read": lazy_gettext("The image could not be read. Try again, or tell the administrator."),
    "defect": lazy_gettext("Reading failed by a fault of the program. Tell the administrator."),
    "erased": lazy_gettext("The image is not kept any more. Send it again."),
    "cancelled": lazy_gettext("It was taken out of the queue before it was read."),
    "not_there": lazy_gettext("This is not here any more, or never was."),
    "not_found": lazy_gettext("Nothing is at this address."),
    "not_allowed": lazy_gettext("Your account may not do that. Ask an administrator."),
    "forbidden": lazy_gettext("Your account may not do that. Ask an administrator."),
    "unauthorized": lazy_gettext("Log in first."),
    "csrf": lazy_gettext("The form is too old. Load the page again."),
    "method_not_allowed": lazy_gettext("Nothing is at this address."),
    "foreign_host": lazy_gettext("This server is not known under that name. Ask the administrator."),
    "cross_origin": lazy_gettext("The request came from another page. Load this one again."),
    "conflict": lazy_gettext("Something else changed it meanwhile, or it is there already. Load the page again."),
    "bad_request": lazy_gettext("Something in the form is not right. Correct it and send it again."),
    "body_too_large": lazy_gettext("What was sent is larger than is allowed. Send it in parts."),
    "login_refused": lazy_gettext("The name or the password is not right, or signing in did not succeed."),
    "login_throttled": lazy_gettext("Too many failed logins. Wait a while, then try again."),
    "too_many_requests": lazy_gettext("Too many requests at once. Wait a moment."),
    "disk_full": lazy_gettext("The server's disk is full. Nothing was kept. Tell the administrator."),
    "cannot_write": lazy_gettext("The server cannot keep anything now. Tell the administrator."),
    "database_away": lazy_gettext("The database does not answer now. Nothing was stored. Try again in a moment."),
    "storage_away": lazy_gettext(
        "The place of the images does not answer now. Nothing was stored. Try again in a moment."
    ),
    "database_unusable": lazy_gettext("The database cannot be reached now. Tell the administrator."),
    "internal_server_error": lazy_gettext("Something went wrong here. The server's log says what."),
}


def in_words(message: str, code: str = "") -> str | Markup:
    """The sentence itself in English or where it is translated; else that of its code, and the English one folded away.

    For places that may hold a block: no `p`.
    """
    if language() == "en" or isinstance(message, Markup):  # told already
        return message
    translated = said(message)
    if translated != message:
        return Markup(escape(translated))
    told = CODES.get(code, lazy_gettext("That did not work"))
    folded = '{} <details class="foreign"><summary>{}</summary><span lang="en">{}</span></details>'
    return Markup(folded).format(str(told), gettext("Technical details"), message)


def in_text(message: str, code: str = "") -> str:
    """The same for the API, which cannot fold: the English one in brackets."""
    if language() == "en" or (translated := said(message)) != message:
        return said(message)
    return f"{CODES[code]} ({message})" if code in CODES else translated


def step_in_words(step: NextStep | None) -> dict[str, Any] | None:
    """What to do now, as the API has it."""
    return None if step is None else step.to_dict() | {"message": said(step.message)}


def said(sentence: str) -> str:
    """A sentence of the service in the language of the page: as it is, or by the pattern that it was made of."""
    if not sentence or language() == "en":  # which they are written in
        return sentence
    if (told := gettext(sentence)) != sentence:
        return told
    for english, pattern in _PATTERNS:
        if found := pattern.fullmatch(sentence):
            return gettext(english) % {name: said(value) for name, value in found.groupdict().items()}
    return sentence


def _pattern(sentence: str) -> re.Pattern[str]:
    """What matches this sentence with its values in place of %(name)s, and with 'an' for an 'a' before one."""
    either = re.sub(r"\ba\\ (?=%)", r"an?\ ", re.escape(sentence))
    return re.compile(re.sub(r"%\\\((\w+)\\\)s", r"(?P<\1>.+)", either))


# Sentences of lower rooms that hold values.
_OF_FILES = (TOO_MANY_BYTES, TOO_MANY_FRAMES, TOO_MANY_PIXELS, NOT_READ_HERE, DAMAGED)
_WITH_VALUES = (
    READ_ALL,
    TOGETHER,
    FIRST_VOLUME,
    ONLY_ONE,
    NOT_READ,
    NONE_READ,
    ONE_READ,
    LENGTH,
    *_OF_FILES,
    *reasons.WITH_VALUES,
)
_PATTERNS = tuple((english, _pattern(english)) for english in _WITH_VALUES)


def script_words() -> dict[str, str]:
    """What the scripts look sentences up in: by the English one, and `code:…` by what an answer calls it."""
    if language() == "en":
        return words()
    return words() | {f"code:{code}": str(told) for code, told in CODES.items()}
