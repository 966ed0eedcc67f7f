"""The heat map as numbers: on the pixels of its image, where the image lies, and only where it decided."""

import highdicom
import numpy as np
import pytest
from pydicom.uid import MRImageStorage, ParametricMapStorage

from secondread.dicom.outbox import enqueue
from secondread.dicom.results import kinds_of, make, make_file
from secondread.errors import NotThere
from secondread.service import LOCAL, NODE, Service
from tests.dicom.answered import WHO, a_map, answer, answered, sent

PLACED = {
    "SOPInstanceUID": "1.2.3.4", "SOPClassUID": MRImageStorage, "Modality": "OT", "PixelSpacing": [0.5, 0.75],
    "ImageOrientationPatient": [0, 1, 0, 0, 0, -1], "ImagePositionPatient": [10, 20, 30], "SliceThickness": 4,
    "FrameOfReferenceUID": "1.2.3.5",
}  # fmt: skip


def test_it_has_the_maps_strength_at_every_pixel_with_its_real_value(service: Service) -> None:
    ds = make(service, answered(service, answer(0.9)), "map", actor=NODE, identified=True)
    assert ds.SOPClassUID == ParametricMapStorage
    assert (ds.Rows, ds.Columns, ds.StudyInstanceUID) == (300, 240, WHO["StudyInstanceUID"])
    found = highdicom.pm.ParametricMap.from_dataset(ds).get_frames(apply_real_world_transform=True, dtype=np.float64)
    np.testing.assert_allclose(found[0], a_map().strength(), atol=1e-4)
    assert found.max() > 0.9
    [group] = ds.PerFrameFunctionalGroupsSequence
    [derivation] = group.DerivationImageSequence
    [source] = derivation.SourceImageSequence
    assert source.ReferencedSOPInstanceUID == WHO["SOPInstanceUID"]
    assert "Not for diagnosis" in ds.ImageComments


def test_it_lies_in_the_patient_as_its_image_does(service: Service) -> None:
    ds = make(service, answered(service, answer(0.9), data=sent(**PLACED)), "map", actor=NODE, identified=True)
    assert ds.FrameOfReferenceUID == "1.2.3.5"
    [shared] = ds.SharedFunctionalGroupsSequence
    assert list(shared.PixelMeasuresSequence[0].PixelSpacing) == [0.5, 0.75]
    assert list(shared.PlaneOrientationSequence[0].ImageOrientationPatient) == PLACED["ImageOrientationPatient"]
    [own] = ds.PerFrameFunctionalGroupsSequence
    assert list(own.PlanePositionSequence[0].ImagePositionPatient) == PLACED["ImagePositionPatient"]


def test_where_nothing_says_how_an_image_lies_it_is_in_a_space_of_its_own(service: Service) -> None:
    first = make(service, answered(service, answer(0.9)), "map", actor=NODE, identified=True)
    second = make(
        service, answered(service, answer(0.9), data=sent(SOPInstanceUID="1.2.3.9")), "map", actor=NODE, identified=True
    )
    assert first.FrameOfReferenceUID.startswith("2.25.")
    assert first.FrameOfReferenceUID != second.FrameOfReferenceUID


def test_made_again_it_is_the_same(service: Service) -> None:
    number = answered(service, answer(0.9))
    once, twice = (make_file(service, number, "map", actor=LOCAL) for _ in range(2))
    assert once == twice


@pytest.mark.parametrize("found", [answer(0.1), answer(refusal="blank"), answer(0.9, map_cells=None)])
def test_where_no_map_decided_there_is_none_and_none_is_put_on_its_way(service: Service, found: object) -> None:
    number = answered(service, found)  # type: ignore[arg-type]
    assert "map" not in kinds_of(service.readings.get(number, actor=NODE), ("sr", "map"))
    with pytest.raises(NotThere):
        make(service, number, "map", actor=NODE, identified=True)
    rows = enqueue(service, number, ["A@127.0.0.1:1"], settings={"DICOM_RESULTS": "sr,capture,map"})
    assert "map" not in {row.kind for row in rows}
