"""Garbage, silence and greed on the port: none stops the node, and none stays behind."""

import socket
import struct
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest

from secondread.dicom.node import Node
from secondread.dicom.transport import NodeBounds
from secondread.service import Service
from tests.dicom.conftest import StartNode
from tests.dicom.mutated import mutated_conversations, talk, true_conversations
from tests.dicom.scu import calling, radiograph, send


def still_answers(node: Node) -> bool:
    """Whether a peer that behaves is served."""
    with calling(node) as assoc:
        return assoc.is_established and assoc.send_c_echo().Status == 0


def until(found: Callable[[], bool]) -> bool:
    """Whether it comes true; gives up after long."""
    end = time.monotonic() + 30
    while not found() and time.monotonic() < end:
        time.sleep(0.01)
    return found()


@pytest.fixture(params=[""])
def database_url(request: pytest.FixtureRequest) -> str:
    """What a peer sends is the same to every database."""
    return str(request.param)


def test_mutated_conversations_do_not_stop_it(node: Node, service: Service) -> None:
    seeds = true_conversations(node)
    before = threading.active_count()
    for data in mutated_conversations(seeds, 300, random_state=1):
        talk(node.address, data)
    assert still_answers(node)
    assert until(lambda: threading.active_count() <= before)


def test_random_bytes_and_another_protocol_do_not_stop_it(node: Node) -> None:
    rng = np.random.default_rng(0)
    for data in (
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01",
        *(rng.bytes(500) for _ in range(50)),
    ):
        talk(node.address, data)
    assert still_answers(node)


def test_a_pdu_that_claims_gigabytes_is_cut_at_once(node: Node) -> None:
    asked = true_conversations(node)[0][0]
    talk(node.address, asked[:1] + b"\0" + struct.pack(">I", 2**32 - 1) + asked[6:])
    talk(node.address, asked + b"\x04\0" + struct.pack(">I", 2**31) + bytes(1000))
    assert still_answers(node)


def test_half_open_connections_keep_nobody_out(start_node: StartNode) -> None:
    node = start_node(bounds=NodeBounds(associations=2, request_seconds=60))
    silent = [socket.create_connection(node.address) for _ in range(2 * 2 + 16)]
    assert until(lambda: len(node._server.associations()) == len(silent))  # type: ignore[union-attr]
    time.sleep(1.1)  # those that have just come are not closed for others
    assert still_answers(node)
    for one in silent:
        one.close()


def test_more_associations_than_are_allowed_are_told_to_come_again(start_node: StartNode) -> None:
    node = start_node(bounds=NodeBounds(associations=2))
    with calling(node), calling(node), calling(node) as third:
        assert third.is_rejected
    assert until(lambda: node._server.n_established() == 0)  # type: ignore[union-attr]
    assert still_answers(node)


def test_an_object_beyond_the_bound_ends_its_association_alone(start_node: StartNode, service: Service) -> None:
    node = start_node(bounds=NodeBounds(object_bytes=300_000, max_pdu=16_384))
    with calling(node) as other:
        [called] = send(node, radiograph(size=(1000, 1000)))
        assert called.status != 0
        assert other.send_c_echo().Status == 0
    assert service.dicom.latest() == []
    node.close()
    assert any("more than 300000 bytes" in line["detail"] for line in service.trail.lines(action="dicom.association"))


def test_objects_of_all_together_have_a_bound(start_node: StartNode, service: Service) -> None:
    node = start_node(bounds=NodeBounds(waiting_bytes=200_000, max_pdu=16_384))
    assert send(node, radiograph(size=(1000, 1000)))[0].status != 0
    assert send(node, radiograph(size=(200, 200)))[0].status == 0
    assert until(lambda: node._server.inflow.now == 0)  # type: ignore[union-attr]


def test_addresses_that_may_not_connect_are_closed_and_told_to_the_trail(
    start_node: StartNode, service: Service
) -> None:
    from ipaddress import ip_network

    node = start_node(bounds=NodeBounds(networks=(ip_network("10.0.0.0/8"),)))
    with calling(node) as assoc:
        assert not assoc.is_established
    node.close()
    [line] = service.trail.lines(action="dicom.association")
    assert "may not connect" in line["detail"]
    assert line["address"] == "127.0.0.1"


def test_knocking_does_not_fill_the_trail(node: Node, service: Service) -> None:
    for _ in range(100):
        talk(node.address, b"\0" * 20)
    node.close()
    lines = list(service.trail.lines(action="dicom.association"))
    assert len(lines) < 20
