"""By what headers say of whom and with what, images are put into parts: sex, band of age, device; no finer."""

from collections import Counter
from collections.abc import Mapping, Sequence

from secondread.images.subject import AGE_BAND, SEX

HEADER_PARTS = ("sex", "age", "device")
_MAKER, _MODEL = "Manufacturer", "Manufacturer's Model Name"
_MOST_DEVICES = 12  # the others are 'other devices'
_SEXES = {"F": "female", "M": "male", "O": "other"}


def header_facts(headers: Sequence[Mapping[str, str]]) -> dict[str, list[str]]:
    """For `subgroups`: 'sex', 'age' and 'device' of every image, '' where its header is silent.

    headers: name → text, as `Image.header` has them. What all that are known share is left out.
    """
    devices = [device_of(header) for header in headers]
    common = {name for name, _ in Counter(filter(None, devices)).most_common(_MOST_DEVICES)}
    found = {
        "sex": [_SEXES.get(header.get(SEX, ""), "") for header in headers],
        "age": [header.get(AGE_BAND, "") for header in headers],
        "device": [name if name in common or not name else "other devices" for name in devices],
    }
    return {name: values for name, values in found.items() if len(set(values) - {""}) > 1}


def device_of(header: Mapping[str, str]) -> str:
    """Maker and model; '' where the header names neither."""
    return " ".join(filter(None, (header.get(_MAKER, ""), header.get(_MODEL, ""))))
