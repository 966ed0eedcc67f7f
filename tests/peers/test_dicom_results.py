"""Results against programs that are not ours: Orthanc finds them in the study, DCMTK and dicom3tools accept them."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("highdicom", reason="highdicom is not installed: the extra 'dicom' brings it")

from pydicom import dcmread

from secondread.dicom.outbox import enqueue, send_due
from secondread.dicom.results import KINDS, make
from secondread.service import NODE, Draft, Service
from tests.dicom.answered import BOXES, WHO, answer, answered, sent
from tests.dicom.test_outbox import make_due, states
from tests.peers.orthanc import Orthanc, running_orthanc

pytestmark = [
    pytest.mark.peers,
    # pynetdicom lets go of a socket that could not be connected without closing it
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

ANSWERS = {
    "positive": answer(0.91, warnings=("the film is turned",), findings=BOXES),
    "negative": answer(0.1, findings=()),
    "uncertain": answer(0.4, low=0.3, findings=BOXES[:1]),
    "refused": answer(refusal="too_small"),
}
# What dciodvfy says of results, each with its reason; anything else fails. Errors: none.
SAID = {
    r"Warning - Unrecognized defined term <99SECONDREAD> .* <Coding Scheme Designator>": "a private scheme (PS3.3 8.2)",
    r"Warning - Unrecognized defined term <QUANTITY> for value 4 .* <(Image|Frame) Type>": "PS3.3 C.8.32.1 has it",
    r"Warning - is only permitted to be empty when actually unknown; .* <Laterality>": "the scanner did not say it",
}


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """One for all tests of this file."""
    with running_orthanc(tmp_path_factory.mktemp("orthanc")) as found:
        yield found


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """An empty one."""
    opened = Service.open({"DATA_FOLDER": str(tmp_path / "data")})
    yield opened
    opened.close()


def value(found: dict[str, Any], tag: str) -> Any:
    """The first value of an attribute in DICOM JSON."""
    return found[tag]["Value"][0]


@pytest.mark.parametrize("way", ["node", "web"])
def test_report_and_picture_are_found_in_the_study_they_came_from(orthanc: Orthanc, service: Service, way: str) -> None:
    study = f"1.2.826.0.1.3680043.8.498.{1 if way == 'node' else 2}"
    name = "Yamada^Tarou=山田^太郎=やまだ^たろう"
    data = sent(
        StudyInstanceUID=study, SeriesInstanceUID=f"{study}.1", SOPInstanceUID=f"{study}.1.1",
        PatientName=name, SpecificCharacterSet=["", "ISO 2022 IR 87"], PatientID=f"P-{way}",
    )  # fmt: skip
    orthanc.ask("instances", data)
    place = getattr(orthanc, way)
    number = answered(service, answer(findings=BOXES), data=data)
    for again in (False, True):  # sent twice, there once
        rows = enqueue(service, number, [place], settings={"DICOM_RESULTS": "sr,capture,gsps,map"}, again=again)
        assert send_due(service) == len(rows) == 4
    found = orthanc.find(f"studies/{study}/series?includefield=all")
    assert sorted(value(one, "00080060") for one in found) == ["DX", "OT", "OT", "PR", "SR"]
    instances = orthanc.find(f"studies/{study}/instances?includefield=all")
    assert len(instances) == 5
    [kept] = orthanc.find(f"studies?StudyInstanceUID={study}&includefield=all")
    assert value(kept, "00100020") == f"P-{way}"
    assert value(kept, "00080050") == WHO["AccessionNumber"]
    reports = orthanc.find(f"studies/{study}/instances?Modality=SR&includefield=all")
    assert [value(one, "00080016") for one in reports] == ["1.2.840.10008.5.1.4.1.1.88.33"]
    results = [dcmread(BytesIO(data)) for data in orthanc.files(StudyInstanceUID=study)]
    assert {str(ds.PatientName) for ds in results} == {name}


def test_an_archive_that_asks_who_we_are_takes_them_by_web(service: Service, tmp_path: Path) -> None:
    users = {"AuthenticationEnabled": True, "RegisteredUsers": {"writer": "pass:word"}}
    account = {"DICOM_WEB_USER": "writer", "DICOM_WEB_PASSWORD": "pass:word"}
    with running_orthanc(tmp_path, account=("writer", "pass:word"), **users) as orthanc:
        enqueue(service, answered(service, answer()), [orthanc.web])
        assert send_due(service) == 0
        make_due(service)
        assert send_due(service, account) == 2
        assert len(orthanc.files(Modality="*")) == 2


def test_what_an_orthanc_that_was_away_missed_arrives_when_it_is_back(service: Service, tmp_path: Path) -> None:
    folder = tmp_path / "orthanc"
    folder.mkdir()
    with running_orthanc(folder) as first:
        pass
    enqueue(service, answered(service, answer()), [first.node])
    assert send_due(service) == 0
    with running_orthanc(folder, ports=(first.http_port, first.dicom_port)):
        make_due(service)
        assert send_due(service) == 2
    assert states(service) == ["sent", "sent"]


@pytest.mark.parametrize("found", ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize("kind", KINDS)
def test_other_programs_accept_what_is_written(service: Service, tmp_path: Path, kind: str, found: Draft) -> None:
    if (kind == "gsps" and not found.findings) or (kind == "map" and found.decision not in ("positive", "uncertain")):
        pytest.skip("there is nothing to lay over this image")
    if shutil.which("dciodvfy") is None or shutil.which("dsrdump") is None:
        pytest.skip("dciodvfy and dsrdump are not installed (Debian: dicom3tools, dcmtk)")
    path = tmp_path / f"{kind}.dcm"
    ds = make(service, answered(service, found), kind, actor=NODE, identified=True)
    ds.save_as(path, enforce_file_format=True)
    said = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
    lines = [line for line in (said.stdout + said.stderr).splitlines() if line.startswith(("Error", "Warning"))]
    assert [line for line in lines if not any(re.fullmatch(pattern, line) for pattern in SAID)] == []
    if kind == "sr":
        dumped = subprocess.run(["dsrdump", str(path)], capture_output=True, text=True, check=False)
        assert dumped.returncode == 0, dumped.stderr
        assert "E:" not in dumped.stderr
        assert "Comprehensive SR Document" in dumped.stdout
        assert "Not for diagnosis" in dumped.stdout
