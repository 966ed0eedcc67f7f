"""Every file of pydicom's larger test set (pip install pydicom-data), sent to the node: read, or refused by name."""

from pathlib import Path

import pytest

pytest.importorskip("data_store", reason="pydicom-data is not installed: pip install pydicom-data")
pytest.importorskip("pynetdicom", reason="pynetdicom is not installed: the extra 'dicom' brings it")

from secondread.service import Service
from tests.dicom.conftest import StartNode, start_node
from tests.dicom.test_every_file import database_url, send_all
from tests.service.conftest import _no_waiting_for_the_disk, service, sqlite_file

__all__ = ["_no_waiting_for_the_disk", "database_url", "service", "sqlite_file", "start_node"]

pytestmark = [
    pytest.mark.peers,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore::UserWarning:pydicom"),
]


def test_every_file_is_read_or_refused_by_name(start_node: StartNode, service: Service) -> None:
    import data_store  # the package's own name for its files

    folder = Path(data_store.__file__).parent / "data"
    states = send_all(start_node(), service, folder, least=30)
    assert states <= {"read", "refused", "ignored", "waiting"}
