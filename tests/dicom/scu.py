"""What the other side does: sends, echoes, asks for commitment; and small objects to send."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import UID, ComputedRadiographyImageStorage, generate_uid
from pynetdicom import AE, build_context, evt
from pynetdicom.association import Association

from secondread.dicom.classes import COMMITMENT, PLAIN, STORAGE, VERIFICATION
from secondread.dicom.node import Node
from secondread.testing.phantoms import chest_phantom, dicom_bytes

NAME, PATIENT, ACCESSION = "Okonkwo^Adaeze", "HOSP-4711", "ACC-0815"


@dataclass(frozen=True)
class Called:
    """What an echo or a store was answered with."""

    status: int
    comment: str = ""


def radiograph(number: int = 0, *, size: tuple[int, int] = (256, 256), **facts: Any) -> Dataset:
    """A chest phantom as a CR object with a name on it, another one for each number. facts: attributes by keyword."""
    array = np.asarray(chest_phantom(size, random_state=number), np.uint8)
    ds = dcmread(BytesIO(dicom_bytes(array)), force=True)
    ds.SOPClassUID = ComputedRadiographyImageStorage
    ds.SOPInstanceUID = f"1.2.826.0.1.3680043.10.999.1.{number + 1}"
    ds.SeriesInstanceUID, ds.StudyInstanceUID = "1.2.826.0.1.3680043.10.999.2", "1.2.826.0.1.3680043.10.999.3"
    ds.Modality, ds.BodyPartExamined, ds.ViewPosition = "CR", "CHEST", "PA"
    ds.PatientName, ds.PatientID, ds.AccessionNumber = NAME, PATIENT, ACCESSION
    ds.PatientBirthDate, ds.PatientSex, ds.StudyDate = "19700101", "F", "20260301"
    ds.SeriesNumber, ds.InstanceNumber = 1, number + 1
    for keyword, value in facts.items():
        setattr(ds, keyword, value)
    ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    return ds


@contextmanager
def calling(
    node: Node, *, aet: str = "MODALITY", called: str = "SECONDREAD", contexts: list[Any] | None = None, **more: Any
) -> Iterator[Association]:
    """An association with the node, released at the end."""
    ae = AE(aet)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = ae.connection_timeout = 30
    default = [build_context(VERIFICATION), build_context(COMMITMENT, list(PLAIN)), *map(build_context, STORAGE[:20])]
    host, port = node.address
    opened: list[Any] = []  # pynetdicom leaves those open that the other side has closed
    more["evt_handlers"] = [
        *more.get("evt_handlers", ()),
        (evt.EVT_CONN_OPEN, lambda event: opened.append(event.assoc.dul.socket.socket)),
    ]
    assoc = ae.associate(host, port, ae_title=called, contexts=contexts or default, **more)
    try:
        yield assoc
    finally:
        if assoc.is_established:
            assoc.release()
        if assoc.is_alive():
            assoc.join(timeout=10)
        for one in opened:
            one.close()


def store(assoc: Association, ds: Dataset) -> Called:
    """C-STORE, and what was answered."""
    status = assoc.send_c_store(ds)
    return Called(status.Status, str(status.get("ErrorComment", ""))) if status else Called(-1)


def context_of(ds: Dataset) -> Any:
    """The presentation context that sends an object as it is written."""
    return build_context(ds.SOPClassUID, UID(ds.file_meta.TransferSyntaxUID))


def send(node: Node, *objects: Dataset, **more: Any) -> list[Called]:
    """Send objects on one association."""
    contexts = {(ds.SOPClassUID, ds.file_meta.TransferSyntaxUID): context_of(ds) for ds in objects}
    with calling(node, contexts=list(contexts.values()), **more) as assoc:
        return [store(assoc, ds) for ds in objects]


def new_uid() -> str:
    """A UID that nobody has."""
    return str(generate_uid())


def commitment_request(objects: list[Dataset], transaction: str = "1.2.826.0.1.3680043.10.999.9") -> Dataset:
    """The action's information of a request for storage commitment (PS3.4 table J.3-1)."""
    asked = Dataset()
    asked.TransactionUID = transaction
    asked.ReferencedSOPSequence = []
    for ds in objects:
        one = Dataset()
        one.ReferencedSOPClassUID, one.ReferencedSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
        asked.ReferencedSOPSequence.append(one)
    return asked
