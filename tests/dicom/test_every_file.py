"""Every file of pydicom's own test set, sent to the node: read, waiting for its series, or refused by name."""

from functools import partial
from pathlib import Path

import pydicom
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pynetdicom import build_context

from secondread.dicom.classes import IMAGES
from secondread.dicom.node import Node
from secondread.images import Limits
from secondread.reading import load_named
from secondread.service import Readers, Service, Worker
from tests.dicom.scu import calling

FOLDER = Path(pydicom.__file__).parent / "data" / "test_files"
assert get_testdata_file("CT_small.dcm"), "the set is part of pydicom"


@pytest.fixture(params=[""])
def database_url(request: pytest.FixtureRequest) -> str:
    """A file is the same to every database."""
    return str(request.param)


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_every_file_is_read_or_refused_by_name(node: Node, service: Service) -> None:
    states = send_all(node, service, FOLDER, least=60)
    assert states == {"refused", "ignored", "waiting"}  # none says which task it is for


def send_all(node: Node, service: Service, folder: Path, *, least: int) -> set[str]:
    """Send every file that is an object and read what came; the states of the rows. least: that can be sent."""
    told, sent = {}, 0
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            told[str(path)] = _send(node, path)
            sent += isinstance(told[str(path)], int)
    readers = Readers(limits=Limits(), parallel=1, load=partial(load_named, gate=False))
    Worker(service.dicom, service.desk(readers.get).look).run_until_empty()
    rows = service.dicom.latest(1000)
    assert sent > least
    assert [name for name, answer in told.items() if answer == -1] == [], "the node answered nothing"
    assert [row for row in rows if row.state in ("received", "failed")] == []
    assert [row for row in rows if row.state in ("refused", "ignored") and not row.reason] == []
    with calling(node) as assoc:
        assert assoc.send_c_echo().Status == 0
    return {row.state for row in rows}


def _send(node: Node, path: Path) -> int | str:
    """The status, or why it could not be sent: no data set, or a kind that the node does not take."""
    try:
        ds = dcmread(path)
        syntax, kind = ds.file_meta.TransferSyntaxUID, ds.SOPClassUID
        assert ds.SOPInstanceUID
    except Exception as error:
        return f"cannot be sent: {type(error).__name__}"
    with calling(node, contexts=[build_context(kind, syntax), build_context("1.2.840.10008.1.1")]) as assoc:
        if not any(one.abstract_syntax == kind for one in assoc.accepted_contexts):
            assert kind not in IMAGES or syntax.is_private or "Video" in syntax.name or "MPEG" in syntax.name
            return "not a kind that is taken"
        try:
            status = assoc.send_c_store(path)
        except Exception as error:
            return f"cannot be encoded: {type(error).__name__}"
        return int(status.Status) if "Status" in status else -1
