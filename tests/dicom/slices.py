"""A head as a scanner sends it: slices as MR objects, and what comes beside them under the same series."""

import io
from typing import Any

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import MRImageStorage

from secondread.dicom.arrivals import Arrivals, Sender
from secondread.dicom.rules import load_rules
from secondread.service import Actor, Service
from secondread.testing.phantoms import dicom_bytes
from tests.several import picture

ROOT = "1.2.826.0.1.3680043.10.999.7"
AXIAL, SAGITTAL, CORONAL = (1, 0, 0, 0, 1, 0), (0, 1, 0, 0, 0, -1), (1, 0, 0, 0, 0, -1)


def mr_slice(number: int, *, suspicious: bool = False, side: int = 96, **facts: Any) -> Dataset:
    """A brain phantom as an MR object, `number` from 1; 2.5 mm apart from foot to head. facts: by keyword."""
    array = picture(number % 40 + 1, suspicious=suspicious, side=side, brain=True)
    array[0, 0] = number % 251  # no two slices are the same picture
    array[0, 1] = number // 251
    ds = dcmread(io.BytesIO(dicom_bytes(array)), force=True)
    ds.SOPClassUID, ds.SOPInstanceUID = MRImageStorage, f"{ROOT}.1.{number}"
    ds.SeriesInstanceUID, ds.StudyInstanceUID = f"{ROOT}.2", f"{ROOT}.3"
    ds.PatientName, ds.PatientID, ds.AccessionNumber = "Okonkwo^Adaeze", "HOSP-4711", "ACC-0815"
    ds.Modality, ds.BodyPartExamined, ds.SeriesNumber, ds.InstanceNumber = "MR", "BRAIN", 4, number
    ds.SeriesDescription, ds.ImageType = "AX FLAIR", ["ORIGINAL", "PRIMARY", "M"]
    ds.ImageOrientationPatient, ds.ImagePositionPatient = list(AXIAL), [-110.0, -110.0, 2.5 * number - 60]
    ds.WindowCenter, ds.WindowWidth = 128, 256
    for keyword, value in facts.items():
        setattr(ds, keyword, value)
    ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    return ds


def beside(first: int = 900) -> list[Dataset]:
    """Three localisers and two field maps, which no one should read as slices."""
    planes = (AXIAL, SAGITTAL, CORONAL)
    localisers = [
        mr_slice(first + at, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], ImageOrientationPatient=list(plane))
        for at, plane in enumerate(planes)
    ]
    maps = [mr_slice(first + 3 + at, ImageType=["ORIGINAL", "PRIMARY", kind]) for at, kind in enumerate("PM")]
    maps[1].SeriesDescription = "FIELD MAP"
    return [*localisers, *maps]


def bytes_of(ds: Dataset) -> bytes:
    """As a file."""
    target = io.BytesIO()
    ds.save_as(target, enforce_file_format=True)
    return target.getvalue()


def arrivals(service: Service) -> Arrivals:
    """What takes objects in, with the package's own rules."""
    return Arrivals(service.dicom, service.intake, load_rules())


def take(service: Service, objects: list[Dataset], *, aet: str = "MODALITY") -> None:
    """Receive objects in this order, as one sender's."""
    door, actor = arrivals(service), Actor("node", "dicom", scopes=frozenset({"read", "write"}))
    for ds in objects:
        door.take(bytes_of(ds), Sender(aet), actor=actor)


def shuffled(objects: list[Dataset], *, random_state: int) -> list[Dataset]:
    """The same in another order."""
    order = np.random.default_rng(random_state).permutation(len(objects))
    return [objects[at] for at in order]
