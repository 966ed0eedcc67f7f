"""DCMTK's programs against the node: echo, compressed and plain objects, a stranger's title."""

import shutil
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("pynetdicom", reason="pynetdicom is not installed: the extra 'dicom' brings it")

from pydicom.uid import JPEGLSLossless, RLELossless

from secondread.service import Service
from tests.dicom.conftest import StartNode, start_node
from tests.dicom.scu import radiograph
from tests.service.conftest import _no_waiting_for_the_disk, service, sqlite_file

__all__ = ["_no_waiting_for_the_disk", "service", "sqlite_file", "start_node"]

pytestmark = [
    pytest.mark.peers,
    pytest.mark.skipif(shutil.which("storescu") is None, reason="storescu is not installed: apt-get install dcmtk"),
]


@pytest.fixture(params=[""])
def database_url(request: pytest.FixtureRequest) -> str:
    """What goes over the network is the same with every database."""
    return str(request.param)


def ran(program: str, address: tuple[str, int], *more: str) -> subprocess.CompletedProcess[str]:
    """One of DCMTK's programs, to its end."""
    command = [program, "-aec", "SECONDREAD", *more[:-1], address[0], str(address[1]), *more[-1:]]
    return subprocess.run(list(filter(None, command)), capture_output=True, text=True, timeout=120)


def test_echoscu_is_answered(start_node: StartNode) -> None:
    assert ran("echoscu", start_node().address, "-aet", "XRAY1", "").returncode == 0


def test_echoscu_under_another_title_is_rejected_with_the_reason(start_node: StartNode) -> None:
    node = start_node(callers=frozenset({"XRAY1"}))
    found = ran("echoscu", node.address, "-aet", "STRANGER", "")
    assert found.returncode != 0
    assert "Calling AE Title Not Recognized" in found.stderr


@pytest.mark.parametrize(("syntax", "propose"), [(None, "-xe"), (RLELossless, "-xr"), (JPEGLSLossless, "-xt")])
def test_storescu_stores_a_folder(
    start_node: StartNode, service: Service, tmp_path: Path, syntax: str | None, propose: str
) -> None:
    for number in range(3):
        ds = radiograph(number)
        if syntax is not None:
            try:
                ds.compress(syntax, generate_instance_uid=False)
            except (RuntimeError, NotImplementedError) as error:
                pytest.skip(f"pydicom cannot write {syntax} here: {error}")
        ds.save_as(tmp_path / f"{number}.dcm")
    node = start_node()
    command = [
        "storescu",
        "-aec",
        "SECONDREAD",
        "-aet",
        "XRAY1",
        propose,
        "+sd",
        *map(str, node.address),
        str(tmp_path),
    ]
    found = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert found.returncode == 0, found.stderr
    rows = service.dicom.latest()
    assert [row.state for row in rows] == ["received"] * 3
    assert {row.calling_aet for row in rows} == {"XRAY1"}
