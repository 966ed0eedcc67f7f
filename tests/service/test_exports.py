"""Reviewed images go straight into `train` and `recalibrate`."""

import pytest

from secondread.data import read_manifest
from secondread.errors import DataInvalid
from secondread.evidence.site import read_site_scores
from secondread.reading import load_bundle
from secondread.service import Service
from secondread.tasks import load_task
from secondread.testing.phantoms import chest_phantom, dicom_bytes
from tests.service.conftest import ANNA
from tests.service.stubs import draft, image_bytes, stage


def test_a_manifest_of_reviewed_images_is_one_that_train_reads(service: Service, tmp_path) -> None:
    files = [image_bytes(0), dicom_bytes(chest_phantom(64, random_state=0), PatientID="7"), image_bytes(1)]
    ids = []
    for number, data in enumerate(files):
        one = draft((0.9, 0.1, 0.7)[number])
        sha = stage(service, data)
        ids.append(service.readings.add(one, image_sha256=sha, name="a", source="ward", actor=ANNA)[0].id)
    for reading_id in ids[:2]:
        service.reviews.add(reading_id, verdict="agree", actor=ANNA, role="reviewer")
    n = service.exports.manifest(tmp_path / "out", task="tuberculosis", actor=ANNA)
    found = read_manifest(tmp_path / "out" / "manifest.csv", task=load_task("tuberculosis"))
    assert n == len(found) == 2
    assert sorted(row.label for row in found.rows) == [0, 1]
    assert {row.source for row in found.rows} == {"ward"}
    (dicom,) = (row for row in found.rows if row.path.suffix == ".dcm")
    assert dicom.patient
    assert dicom.patient != "7"
    with pytest.raises(DataInvalid, match="no image of task 'fracture'"):
        service.exports.manifest(tmp_path / "none", task="fracture", actor=ANNA)


def test_scores_of_reviewed_images_are_a_table_that_recalibrate_reads(service: Service, tmp_path) -> None:
    bundle = load_bundle("tuberculosis/paper")
    for number in range(24):
        one = draft(0.9 if number % 2 else 0.1, bundle=bundle.id, bundle_sha256=bundle.record["sha256"])
        sha = stage(service, image_bytes(number))
        reading, _ = service.readings.add(one, image_sha256=sha, name="a", actor=ANNA)
        service.reviews.add(reading.id, verdict="agree", actor=ANNA, role="reviewer")
    path = tmp_path / "scores.csv"
    path.write_text(service.exports.scores(bundle=bundle.id, actor=ANNA), encoding="utf-8")
    found = read_site_scores(path, record=bundle.record, bundle_id=bundle.id)
    assert (len(found.y_true), int(found.y_true.sum())) == (24, 12)
    with pytest.raises(DataInvalid):
        service.exports.scores(bundle="tuberculosis/other@1", actor=ANNA)
