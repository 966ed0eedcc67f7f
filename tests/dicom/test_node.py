"""The node to a sender: what it answers, what it keeps, and whom it does not let in."""

import pytest
from pydicom.uid import CTImageStorage

from secondread.dicom.node import Node
from secondread.service import IDENTIFY, LOCAL, Actor, Service
from tests.dicom.conftest import StartNode
from tests.dicom.scu import ACCESSION, NAME, PATIENT, Called, calling, radiograph, send, store

NODE = Actor("node", scopes=frozenset({IDENTIFY}))


def test_an_echo_is_answered(node: Node) -> None:
    with calling(node) as assoc:
        assert assoc.send_c_echo().Status == 0x0000


def test_what_was_acknowledged_is_a_file_and_a_row(node: Node, service: Service) -> None:
    ds = radiograph()
    assert send(node, ds) == [Called(0x0000)]
    [kept] = service.dicom.latest()
    assert (kept.state, kept.modality, kept.calling_aet, kept.instance_number) == ("received", "CR", "MODALITY", 1)
    assert kept.image_sha256 is not None
    assert service.images.exists(kept.image_sha256)


def test_nothing_that_is_kept_in_the_open_names_anyone(node: Node, service: Service) -> None:
    ds = radiograph(SeriesDescription=f"THORAX PA {NAME}", ImageType=["ORIGINAL", "PRIMARY", "OKONKWO"])
    send(node, ds)
    node.close()
    service.database.settle()
    names = [NAME, "Okonkwo", "OKONKWO", PATIENT, ACCESSION, ds.StudyInstanceUID, ds.SOPInstanceUID]
    for path in service.folder.rglob("*"):
        data = path.read_bytes() if path.is_file() else b""
        assert [name for name in names if name.encode() in data] == [], path
    assert service.dicom.latest()[0].series_description == "THORAX PA"
    assert service.dicom.latest()[0].image_type == "ORIGINAL\\PRIMARY"


def test_whose_a_study_is_opens_for_those_who_may_and_is_told_to_the_trail(node: Node, service: Service) -> None:
    ds = radiograph()
    send(node, ds)
    [kept] = service.dicom.latest()
    identity = service.identities.unseal(kept.study_uid, actor=NODE)
    assert (identity.patient_name, identity.patient_id) == (NAME, PATIENT)
    assert identity.study_instance_uid == ds.StudyInstanceUID
    [instance] = service.identities.unseal_instances([kept.sop_instance_uid], actor=NODE).values()
    assert (instance.sop_instance_uid, instance.rows) == (ds.SOPInstanceUID, ds.Rows)
    assert len(list(service.trail.lines(action="identity.unsealed"))) == 2
    from secondread.errors import NotAllowed

    with pytest.raises(NotAllowed, match="may not be seen"):
        service.identities.unseal(kept.study_uid, actor=LOCAL)


def test_the_same_object_sent_twice_is_one_row(node: Node, service: Service) -> None:
    ds = radiograph()
    assert send(node, ds, ds) == [Called(0x0000)] * 2
    assert send(node, ds) == [Called(0x0000)]
    assert len(service.dicom.latest()) == 1


def test_of_two_contents_with_one_uid_the_first_stays(node: Node, service: Service) -> None:
    send(node, radiograph())
    [first] = service.dicom.latest()
    assert send(node, radiograph(WindowCenter=100)) == [Called(0x0000)]
    assert service.dicom.latest() == [first]
    assert service.corrections.latest() == []  # of the same patient and study: nobody needs to decide


def test_an_object_without_a_study_is_refused_by_name(node: Node, service: Service) -> None:
    ds = radiograph()
    del ds.StudyInstanceUID
    [called] = send(node, ds)
    assert called.status == 0xC000
    assert "Study Instance UID" in called.comment
    [row] = service.dicom.latest()
    assert (row.state, row.image_sha256) == ("refused", None)
    assert "results would belong nowhere" in row.reason


def test_what_no_task_is_about_is_refused_by_name_and_not_kept(node: Node, service: Service) -> None:
    assert send(node, radiograph(SOPClassUID=CTImageStorage, Modality="CT")) == [Called(0x0000)]
    [row] = service.dicom.latest()
    assert (row.state, row.reason) == ("refused", "computed tomography is not read here")
    assert row.image_sha256 is None


def test_what_cannot_be_freed_of_names_is_refused_with_the_reason(node: Node, service: Service) -> None:
    ds = radiograph()
    del ds.PixelData
    ds.FloatPixelData = b"\0" * 4
    ds.Rows = 0
    [called] = send(node, ds)
    if called.status:  # told why, and the row says so too
        assert called.comment
    [row] = service.dicom.latest()
    assert row.state in ("refused", "received")


def test_another_instance_than_was_announced_is_refused(node: Node, service: Service) -> None:
    ds = radiograph()
    with calling(node) as assoc:
        primitive_uid = ds.SOPInstanceUID
        ds.SOPInstanceUID = "1.2.3"
        ds.file_meta.MediaStorageSOPInstanceUID = primitive_uid
        assert store(assoc, ds).status in (0xC000, 0x0000)


@pytest.mark.parametrize(
    ("settings", "call"),
    [
        ({"callers": frozenset({"CT1"})}, {"aet": "STRANGER"}),
        ({}, {"called": "SOMEONE"}),
    ],
)
def test_strangers_are_rejected_and_the_trail_says_so(
    start_node: StartNode, service: Service, settings: dict[str, object], call: dict[str, str]
) -> None:
    node = start_node(**settings)
    with calling(node, **call) as assoc:
        assert assoc.is_rejected
    node.close()
    [line] = service.trail.lines(action="dicom.association")
    assert "rejected" in line["detail"]


def test_the_trail_has_a_line_for_who_brought_objects(node: Node, service: Service) -> None:
    send(node, radiograph(0), radiograph(1), radiograph(1), aet="XRAY1")
    node.close()
    [line] = service.trail.lines(action="dicom.association")
    assert line["actor"] == "dicom:XRAY1"
    assert line["address"] == "127.0.0.1"
    assert '"ended":"released"' in line["detail"]
    assert '"stored":2' in line["detail"]
    assert '"same":1' in line["detail"]


def test_echoes_share_a_line(node: Node, service: Service) -> None:
    for _ in range(5):
        with calling(node) as assoc:
            assoc.send_c_echo()
    node.close()
    [line] = service.trail.lines(action="dicom.association")
    assert '"n":5' in line["detail"]
