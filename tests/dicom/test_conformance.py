"""The conformance statement says what the code does: as it is written, and as a node answers."""

import re

import pytest

pytest.importorskip("highdicom", reason="highdicom is not installed: the extra 'dicom' brings it")

from pathlib import Path

from pydicom.uid import UID_dictionary
from pynetdicom import AE, build_context

from secondread.dicom.classes import COMMITMENT, SYNTAXES, VERIFICATION
from secondread.dicom.conformance import PAGE, statement
from secondread.dicom.node import Node
from secondread.dicom.outbox import WRITTEN_IN
from secondread.dicom.results import SOP_CLASSES, make
from secondread.service import NODE, Service
from tests.dicom.answered import BOXES, answer, answered

ROOT = Path(__file__).parents[2]


def section(title: str) -> str:
    """The text below a heading of the page."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", statement(), re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def uids(text: str, row: str) -> set[str]:
    """The UIDs of a table's rows that begin so."""
    return {
        found for line in text.splitlines() if line.startswith(f"| {row}") for found in re.findall(r"`([0-9.]+)`", line)
    }


def test_the_page_is_as_it_would_be_written_now() -> None:
    assert (ROOT / PAGE).read_text(encoding="utf-8") == statement(), "run: python -m secondread.dicom.conformance"


def test_a_node_accepts_what_the_page_names_and_nothing_else(node: Node) -> None:
    storage = {uid for uid, (name, kind, *_) in UID_dictionary.items() if kind == "SOP Class" and "Storage" in name}
    every = sorted(storage - {COMMITMENT} | {VERIFICATION})
    said = uids(section("Taken in (SCP)"), "storage |") | uids(section("Taken in (SCP)"), "verification")
    assert said <= set(every)
    accepted: set[str] = set()
    for at in range(0, len(every), 100):
        ae = AE()
        ae.acse_timeout = ae.network_timeout = 60
        wanted = [build_context(one) for one in every[at : at + 100]]
        host, port = node.address
        assoc = ae.associate(host, port, ae_title="SECONDREAD", contexts=wanted)
        accepted |= {str(context.abstract_syntax) for context in assoc.accepted_contexts}
        assoc.release()
    assert accepted == said


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda uid: str(uid))
def test_a_node_accepts_every_syntax_that_the_page_names(node: Node, syntax: str) -> None:
    assert f"`{syntax}`" in section("Taken in (SCP)")
    ae = AE()
    ae.acse_timeout = ae.network_timeout = 60
    host, port = node.address
    context = build_context("1.2.840.10008.5.1.4.1.1.1.1", syntax)
    assoc = ae.associate(host, port, ae_title="SECONDREAD", contexts=[context])
    assert [one.transfer_syntax for one in assoc.accepted_contexts] == [[syntax]]
    assoc.release()


def test_what_is_written_is_of_the_classes_and_the_syntax_that_the_page_names(
    service: Service,
) -> None:
    number = answered(service, answer(findings=BOXES))
    for kind, sop_class in SOP_CLASSES.items():
        ds = make(service, number, kind, actor=NODE, identified=True)
        assert ds.SOPClassUID == ds.file_meta.MediaStorageSOPClassUID == sop_class
        assert ds.file_meta.TransferSyntaxUID in WRITTEN_IN
        assert ds.SpecificCharacterSet == "ISO_IR 192"
        assert f"`{sop_class}`" in section("Written (SCU)")
