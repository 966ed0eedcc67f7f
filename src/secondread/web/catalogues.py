"""The files that languages come in: one each, of the package or of the site, found by being there.

A catalogue is a gettext file. The package's are `translations/<code>/LC_MESSAGES/messages.po`; a site puts its own, as
`languages/<code>.po`, into the data folder, for a language that is not there or for other words in one that is. What
such a file leaves out is taken from the package's, and else stays English.
"""

import io
import logging
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path

from babel import Locale, UnknownLocaleError
from babel.messages.catalog import Catalog, Message
from babel.messages.mofile import write_mo
from babel.messages.pofile import PoFileError, read_po
from babel.support import NullTranslations, Translations
from flask_babel import Domain, get_locale

PACKAGE = Path(__file__).parent / "translations"
SITE = "languages"  # in the data folder
ENGLISH = "en"  # which the pages are written in
_MOST_BYTES = 5_000_000
_PLACES = re.compile(r"%\(\w+\)[a-z]|\{\w+\}|%%|[<>&]")  # what a sentence may hold only as its English one does
_log = logging.getLogger(__name__)


def catalogue_files(site: Path) -> dict[str, tuple[Path, ...]]:
    """Of every language its files by its code ('hi', 'pt-BR'), the site's first. site: a folder that need not be there.

    A file whose name is no language, or that cannot be read as gettext's, is left out, and the log says so.
    """
    found: dict[str, tuple[Path, ...]] = {}
    for path in (*sorted(site.glob("*.po")), *sorted(PACKAGE.glob("*/LC_MESSAGES/messages.po"))):
        name = path.stem if path.parent == site else path.parts[-3]
        try:
            locale = Locale.parse(name.replace("-", "_"))
            if path.parent == site and not any(one.id and one.string for one in read_catalogue(path)):
                raise ValueError("no sentence in it is translated")
        except (UnknownLocaleError, ValueError, OSError, PoFileError) as error:
            _log.warning("the catalogue %s is left out: %s", path, error)
            continue
        code = str(locale).replace("_", "-")
        found[code] = (*found.get(code, ()), path)
    return found


def name_of(code: str) -> str:
    """A language in its own words: 'हिन्दी'."""
    locale = Locale.parse(code, sep="-")
    said = locale.get_display_name(locale) or code
    return said[:1].upper() + said[1:]


def direction_of(code: str) -> str:
    """'ltr' or 'rtl'."""
    return Locale.parse(code, sep="-").text_direction


def read_catalogue(path: Path) -> Catalog:
    """A gettext file without the messages that no page could show.

    Left out, and named in the log, is what has other places to fill in, or other markup, than its English sentence.
    Raises OSError, ValueError or PoFileError.
    """
    data = path.read_bytes()
    if len(data) > _MOST_BYTES:
        raise ValueError(f"more than {_MOST_BYTES // 10**6} MB")
    catalogue = read_po(io.BytesIO(data), abort_invalid=True)
    for message in [one for one in catalogue if one.id and not _fits(one)]:
        _log.warning("%s, line %s: other places to fill in than in English; it stays English", path, message.lineno)
        catalogue.delete(message.id, message.context)
    return catalogue


def _fits(message: Message) -> bool:
    return all(not said or Counter(_PLACES.findall(said)) == _places_of(message, said) for said in _texts(message))


def _places_of(message: Message, said: str) -> Counter[str]:
    """Those of the English forms that this one may stand for: a singular may leave its number out."""
    forms = message.id if isinstance(message.id, tuple | list) else (message.id,)
    wanted = [Counter(_PLACES.findall(form)) for form in forms]
    return next((one for one in wanted if one == Counter(_PLACES.findall(said))), wanted[-1])


def _texts(message: Message) -> Iterator[str]:
    yield from message.string if isinstance(message.string, tuple | list) else (message.string or "",)


class Catalogues(Domain):
    """The sentences of each language, read when it is first asked for. Safe to share between threads."""

    def __init__(self, files: Mapping[str, tuple[Path, ...]]):
        super().__init__()
        self._files = files
        self._read: dict[str, NullTranslations] = {}

    def get_translations(self) -> NullTranslations:
        """Those of the language of this request."""
        code = str(get_locale() or ENGLISH).replace("_", "-")
        if code not in self._read:
            self._read[code] = self._translations(code)
        return self._read[code]

    def _translations(self, code: str) -> NullTranslations:
        paths = self._files.get(code, ())
        found = [_compiled(path) for path in paths]
        for first, second in pairwise(found):
            first.add_fallback(second)
        if len(found) > 1:  # scripts are given the whole of it
            found[0]._catalog = getattr(found[1], "_catalog", {}) | getattr(found[0], "_catalog", {})
        return found[0] if found else Translations()


def _compiled(path: Path) -> Translations:
    """The package's are compiled beside their text; a site's are compiled here."""
    if (beside := path.with_suffix(".mo")).is_file() and path.is_relative_to(PACKAGE):
        return Translations(io.BytesIO(beside.read_bytes()))
    target = io.BytesIO()
    write_mo(target, read_catalogue(path))
    target.seek(0)
    return Translations(target)
