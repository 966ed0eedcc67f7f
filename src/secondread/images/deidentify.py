"""Takes out of a file what identifies a person, without touching a pixel: best effort, and it says what it left.

DICOM: see deidentify_dicom. UIDs and the patient's ID are replaced by keyed hashes: the same for the same original
under one key, so that images of one person or study still belong together. Text inside the picture is not looked for;
what the file itself says of it is passed on.
PNG, JPEG, TIFF, WebP and BMP: what is needed to decode the pixels is copied, and nothing else: text, EXIF, XMP, IPTC,
colour profiles, small pictures and what follows the end are left out (see deidentify_raster, deidentify_tiff).
"""

import hashlib
import hmac
import struct
from dataclasses import dataclass

from secondread.errors import TruncatedImage
from secondread.images.decode import sniff
from secondread.images.image import Limits
from secondread.images.nifti import clean_nifti
from secondread.images.raster import orientation_of


@dataclass(frozen=True)
class Deidentified:
    """A file without what identifies, and what a person should know of it."""

    data: bytes
    format: str
    changed: bool  # False: kept as sent
    patient: str = ""  # a pseudonym, the same for all images of one person under one key; '' where not known
    study: str = ""  # the UID that stands for its study, the same for all of it; '' where the file says none
    warnings: tuple[str, ...] = ()
    header: tuple[tuple[str, str], ...] = ()  # DICOM: how it was taken, in numbers and in words of the standard


def deidentify(data: bytes, *, key: bytes, limits: Limits | None = None) -> Deidentified:
    """The same image without what identifies a person; the same bytes and key always give the same bytes.

    key: secret of this site; without it nobody can try which original gives a pseudonym.
    Raises an ImageError for what is no image, and for a file whose parts cannot be told apart: it must not be kept.
    """
    limits = limits or Limits()
    limits.check_bytes(len(data))
    kind = sniff(data)
    if kind == "DICOM":
        from secondread.images.deidentify_dicom import clean_dicom  # pydicom takes long to import

        patient_of, uid_of = (lambda value: pseudonym(key, "patient", value)), (lambda value: stand_in_uid(key, value))
        found = clean_dicom(data, limits, patient_of=patient_of, uid_of=uid_of)
        return Deidentified(format="DICOM", changed=True, **found._asdict())
    if kind == "NIfTI":
        return Deidentified(clean_nifti(data, limits), "NIfTI", True)
    from secondread.images.deidentify_raster import CUTTERS

    try:
        return Deidentified(CUTTERS[kind](data, orientation_of(data, kind)), kind, True)
    except (IndexError, ValueError, struct.error) as error:
        raise TruncatedImage(
            f"the {kind} file is damaged or cut short, and what it says beside its pixels cannot be taken out; "
            "copy or export it again"
        ) from error


def pseudonym(key: bytes, what: str, value: str) -> str:
    """32 hexadecimal digits that stand for a value of that kind under this key."""
    return hmac.new(key, f"{what}\0{value}".encode(), hashlib.sha256).hexdigest()[:32]


def stand_in_uid(key: bytes, old: str) -> str:
    """A UID made of a UUID (PS3.5 B.2) that stands for the old one."""
    return f"2.25.{int(pseudonym(key, 'uid', old), 16)}"
