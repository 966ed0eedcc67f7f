"""A service and a node on a free port of this machine."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pynetdicom", reason="pynetdicom is not installed: the extra 'dicom' brings it")

from secondread.dicom.node import Node, NodeSettings
from secondread.dicom.rules import load_rules
from secondread.service import Service
from tests.service.conftest import _no_waiting_for_the_disk, database_url, emptied, postgresql, service, sqlite_file

__all__ = ["_no_waiting_for_the_disk", "database_url", "emptied", "postgresql", "service", "sqlite_file"]

StartNode = Callable[..., Node]


@pytest.fixture
def start_node(service: Service) -> Iterator[StartNode]:
    """Starts a node of the service. rules: a file of a site's own; the rest: of NodeSettings."""
    with ExitStack() as stack:

        def start(*, rules: Path | None = None, destinations: tuple[str, ...] = (), **settings: Any) -> Node:
            node = Node(service, load_rules(rules, destinations=destinations), NodeSettings(**({"port": 0} | settings)))
            node.start()
            stack.callback(node.close)
            return node

        yield start


@pytest.fixture
def node(start_node: StartNode) -> Node:
    """One that lets everybody in."""
    return start_node()
