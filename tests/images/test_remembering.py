"""A data set that remembers says what it would say without."""

import io

import pydicom
import pytest
from pydicom.dataelem import DataElement

from secondread.images.remembering import remembering
from secondread.testing.phantoms import chest_phantom, dicom_bytes


@pytest.fixture
def both():
    """One that remembers, and one that does not."""
    data = dicom_bytes(chest_phantom((40, 30), random_state=0))
    one, other = (pydicom.dcmread(io.BytesIO(data)) for _ in range(2))
    return remembering(one), other


def test_every_value_is_the_same_each_time(both):
    ours, plain = both
    for _ in range(2):
        for element in plain:
            assert ours.get(element.keyword) == plain.get(element.keyword)
            assert element.keyword in ours
        assert (ours.get("KVP"), ours.get("KVP", 3), "KVP" in ours) == (None, 3, False)
        assert ours.get((0x0028, 0x0010)).value == plain.Rows
        assert ours.Rows == plain.Rows
    with pytest.raises(AttributeError):
        _ = ours.KVP


def test_what_is_changed_is_forgotten(both):
    ours, _ = both
    assert ours.Rows == 40
    ours.Rows = 7
    assert ours.Rows == ours.get("Rows") == 7
    ours["Rows"] = DataElement("Rows", "US", 8)
    assert ours.Rows == 8
    ours.add_new("Rows", "US", 9)
    assert ours.Rows == 9
    del ours.Rows
    assert ours.get("Rows") is None
    assert "Rows" not in ours
    ours.Rows = 10
    del ours["Rows"]
    assert ours.get("Rows") is None


def test_only_what_was_read_from_a_file_remembers():
    made = pydicom.Dataset()
    assert type(remembering(made)) is pydicom.Dataset
