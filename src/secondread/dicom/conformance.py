"""Writes the conformance statement (PS3.2) out of the tables that the node works by.

To be run as `python -m secondread.dicom.conformance` after a change of them; a test fails until it is.
"""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from pydicom.charset import python_encoding
from pydicom.uid import UID

from secondread.dicom.classes import COMMITMENT, GET, MOVE, PLAIN, QUERY, STORAGE, SYNTAXES, VERIFICATION, WORKLIST
from secondread.dicom.outbox import WRITTEN_IN
from secondread.dicom.results import SOP_CLASSES
from secondread.dicom.results.common import IMPLEMENTATION
from secondread.files import write_text
from secondread.service import SETTINGS

PAGE = Path("docs/reference/dicom-conformance.md")
_WHAT = {
    "sr": "structured report, TID 1500: algorithm with bundle and version, coded finding, probability, decision, boxes",
    "capture": "colour picture with heat map and boxes drawn over the image; “not for diagnosis” burned in",
    "gsps": "boxes or outlines to lay over the original; only where the setting `dicom_results` names it",
    "map": "the heat map, 0 to 1 for every pixel; of positive and uncertain answers, where `dicom_results` names it",
}
_START = """\
# DICOM conformance statement

Written by `python -m secondread.dicom.conformance` from the tables that the node works by; a test compares both. It
follows the parts of PS3.2 that apply. secondread assists a qualified reader and is no medical device.

## What it is

`secondread dicom listen` is one application entity. It takes images in (storage SCP), reads them, and sends results
to the archives that are set (storage SCU, or STOW-RS). Where the settings say so, and by `secondread dicom pull` and
`worklist`, it asks archives for images (query/retrieve SCU, or QIDO-RS and WADO-RS) and a worklist for orders. It is no
archive: what it keeps, it keeps to be read, without
what identifies a person. Originals are never changed or sent on. Implementation class UID of what it writes:
`{implementation}`.
"""
_ANSWERS = """\
A C-STORE is answered with 0000 once the object is on the disk and its row is committed, also where a rule refuses or
ignores it by name; A700 where nothing can be kept now; C000 where it cannot be parsed, freed of names, or has no Study
Instance UID; 0110 for a defect. An object whose SOP Instance UID is here as another patient's or another study's is
answered with 0111 (duplicate SOP instance) and kept aside: an administrator decides (`secondread dicom corrections`).
The same object sent again, or another writing of it for the same patient and study, is 0000, and the first stays.
"""
_ASKING = """
Levels STUDY, SERIES and IMAGE of Study Root, one study date after the other; keys are Study Date, Modalities in Study,
and those of the filter that a site sets. Relational queries, extended negotiation and patient names are not used. At
level IMAGE up to 50 objects are named in one request; for C-GET each transfer syntax is proposed in a context of its
own and storage is negotiated in the SCP role (PS3.7 D.3.3.4). An object that is here already, or was erased here, is
not asked for again. By DICOMweb the same is asked of `/studies`, `…/series`, `…/instances` in pages (`limit`,
`offset`), and objects are fetched one by one as `multipart/related; type="application/dicom"; transfer-syntax=*`.
Worklist queries match on scheduled date, modality and station; what is kept of an order is sealed, and results bear its
accession number and Requested Procedure ID.
"""
_RESULTS = """\
Every result bears the Study Instance UID, patient and accession number of the images it came from, has a series of
its own, and the Manufacturer `secondread`, by which a node of secondread ignores it when it is sent back. Its SOP
Instance UID follows from image, bundle and operating point: made or sent again, it is the same object under the same
UID. What a scanner wrote wrongly (a date that is none, a sex that is no defined term) is left empty. A refusal is
sent as a report too, with its reason.

Codes come from DCM, SNOMED CT (SCT), UCUM and a private scheme, `99SECONDREAD`: for the decision at an operating
point, the threshold, and reasons of a refusal, for which there are none in PS3.16.

## Sending

C-STORE, one association for up to 20 objects, or STOW-RS (PS3.18 10.5), one request for each. Success and warnings
(B000–BFFF) count as arrived; by STOW-RS, an empty answer, or one in DICOM JSON or XML that names no failed object.
Refused for want of resources (A700–A7FF), HTTP 401, 403, 408, 429 and 5xx, and everything that does not answer are
tried again after 15 s, then after twice as long each time, an hour at most, for seven days. Any other status is final;
`secondread dicom sent` shows it, `secondread dicom send` tries again.
Redirections and proxies of the environment are not followed. No storage commitment is asked for.

## Character sets

Results are written in UTF-8 (`ISO_IR 192`): a name in any of these writings survives. Read are:
"""
_END = """\
## Security

TLS of this machine's OpenSSL, with the certificate and authorities that the settings name; the other side's is
checked always when calling. DICOMweb servers get an account or a bearer token (`dicom_web_…`). Patient
and UIDs as they were sent are kept encrypted (AES-256-GCM) apart from what is read; each look is a line of the audit
trail. Attribute confidentiality of what is kept: PS3.15 annex E, see [security](../explanation/security.md).
"""


def statement() -> str:
    """The page, as Markdown."""
    return "\n".join(
        [
            _START.format(implementation=IMPLEMENTATION),
            "## Taken in (SCP)\n",
            *_table(("service", "SOP class", "UID", "transfer syntaxes"), _taken()),
            "\n“All” are these; of several that are proposed, the one that stands first here is taken:\n",
            *_table(("transfer syntax", "UID"), ((one.name, f"`{one}`") for one in map(UID, SYNTAXES))),
            "\nWhich objects are read, refused or ignored is decided by rules (`secondread dicom rules`).\n",
            _ANSWERS,
            "## Asked for (SCU)\n",
            *_table(("service", "SOP class", "UID", "what for"), _asked()),
            _ASKING,
            "## Written (SCU)\n",
            *_table(("kind", "SOP class", "UID", "what it is"), _written()),
            f"\nTransfer syntax: {WRITTEN_IN[0].name}, or {WRITTEN_IN[1].name} where nothing else is taken.\n",
            _RESULTS,
            *_table(("defined term",), ((f"`{term}`",) for term in sorted(filter(None, python_encoding)))),
            "\n## Settings of the application entity\n",
            *_table(("setting", "default", "what it sets"), _settings()),
            "",
            _END,
        ]
    )


def _taken() -> Iterable[Sequence[str]]:
    plain = ", ".join(UID(one).name for one in PLAIN)
    yield "verification", VERIFICATION.name, f"`{VERIFICATION}`", plain
    for one in STORAGE:
        yield "storage", one.name, f"`{one}`", "all"
    yield "storage commitment", COMMITMENT.name, f"`{COMMITMENT}`", plain


def _asked() -> Iterable[Sequence[str]]:
    for service, uid, what in (
        ("C-FIND", QUERY, "studies of a day, their series, their objects"),
        ("C-GET", GET, "objects, on the association that asks; the node is the SCP of storage there"),
        ("C-MOVE", MOVE, "objects, to the node's own port; only where `dicom_pull_by` is `move`"),
        ("C-FIND", WORKLIST, "scheduled procedure steps"),
    ):
        yield service, uid.name, f"`{uid}`", what


def _written() -> Iterable[Sequence[str]]:
    for kind, one in SOP_CLASSES.items():
        yield f"`{kind}`", one.name, f"`{one}`", _WHAT[kind]


def _settings() -> Iterable[Sequence[str]]:
    for row in SETTINGS:
        if row.name.startswith("dicom_"):
            yield f"`{row.name}`", f"`{row.default}`" if row.default != "" else "empty", row.help


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterable[str]:
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield f"| {' | '.join(row)} |"


def main() -> None:
    """Write it where the repository has it."""
    write_text(PAGE, statement())
    sys.stdout.write(f"{PAGE} written\n")


if __name__ == "__main__":
    main()
