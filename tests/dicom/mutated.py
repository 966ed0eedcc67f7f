"""Conversations as bytes, true ones and such as a broken or hostile peer sends."""

import socket
import struct
from collections.abc import Iterator

import numpy as np
from pynetdicom import build_context, evt

from secondread.dicom.classes import COMMITMENT, COMMITMENT_INSTANCE, PLAIN, VERIFICATION
from secondread.dicom.node import Node
from tests.dicom.scu import calling, commitment_request, context_of, radiograph

Conversation = list[bytes]  # PDUs in their order


def true_conversations(node: Node) -> list[Conversation]:
    """An echo, a store, and a request for commitment, as a peer sends them; recorded while the node answers."""
    return [_recorded(node, "echo"), _recorded(node, "store"), _recorded(node, "commit")]


def mutated_conversations(seeds: list[Conversation], n: int, random_state: int) -> Iterator[bytes]:
    """Bytes to send, each conversation changed in one to four places."""
    rng = np.random.default_rng(random_state)
    for _ in range(n):
        pdus = list(seeds[rng.integers(len(seeds))])
        for _ in range(rng.integers(1, 5)):
            pdus = _CHANGES[rng.integers(len(_CHANGES))](pdus, rng)
        yield b"".join(pdus)


def talk(address: tuple[str, int], data: bytes, *, timeout: float = 5.0) -> bytes:
    """Send these bytes, say that no more come, and give what was answered."""
    answer = b""
    with socket.create_connection(address, timeout=timeout) as peer:
        try:
            peer.sendall(data)
            peer.shutdown(socket.SHUT_WR)
            while chunk := peer.recv(65536):
                answer += chunk
        except OSError:  # the node has closed it
            pass
    return answer


def _recorded(node: Node, kind: str) -> Conversation:
    sent: Conversation = []
    ds = radiograph(900, size=(64, 64))
    contexts = [build_context(VERIFICATION), context_of(ds), build_context(COMMITMENT, list(PLAIN))]
    handlers = [(evt.EVT_DATA_SENT, lambda event: sent.append(event.data))]
    with calling(node, aet="FUZZ", contexts=contexts, evt_handlers=handlers) as assoc:
        if kind == "echo":
            assoc.send_c_echo()
        elif kind == "store":
            assoc.send_c_store(ds)
        else:
            assoc.send_n_action(commitment_request([ds]), 1, COMMITMENT, COMMITMENT_INSTANCE)
    return sent


def _flip(pdus: Conversation, rng: np.random.Generator) -> Conversation:
    return _on_one(pdus, rng, lambda pdu: _with(pdu, rng.integers(len(pdu)), rng.integers(256)))


def _cut(pdus: Conversation, rng: np.random.Generator) -> Conversation:
    return _on_one(pdus, rng, lambda pdu: pdu[: rng.integers(len(pdu) + 1)])


def _length(pdus: Conversation, rng: np.random.Generator) -> Conversation:
    wrong = int(rng.choice([0, 1, 5, 0xFFFF, 2**20, 2**31 - 1, 2**32 - 1]))
    return _on_one(pdus, rng, lambda pdu: pdu[:2] + struct.pack(">I", wrong) + pdu[6:])


def _kind(pdus: Conversation, rng: np.random.Generator) -> Conversation:
    return _on_one(pdus, rng, lambda pdu: _with(pdu, 0, rng.integers(9)))


def _noise(pdus: Conversation, rng: np.random.Generator) -> Conversation:
    def change(pdu: bytes) -> bytes:
        at = int(rng.integers(len(pdu) + 1))
        return pdu[:at] + rng.bytes(int(rng.integers(1, 60))) + pdu[at:]

    return _on_one(pdus, rng, change)


def _number(pdus: Conversation, rng: np.random.Generator) -> Conversation:
    """An inner length or number of two bytes."""

    def change(pdu: bytes) -> bytes:
        at = int(rng.integers(max(len(pdu) - 1, 1)))
        return pdu[:at] + struct.pack(">H", int(rng.choice([0, 1, 255, 65535]))) + pdu[at + 2 :]

    return _on_one(pdus, rng, change)


def _again(pdus: Conversation, rng: np.random.Generator) -> Conversation:
    at = int(rng.integers(len(pdus)))
    return [*pdus[:at], pdus[at], *pdus[at:]]


def _missing(pdus: Conversation, rng: np.random.Generator) -> Conversation:
    at = int(rng.integers(len(pdus)))
    return pdus[:at] + pdus[at + 1 :] or pdus


def _swapped(pdus: Conversation, rng: np.random.Generator) -> Conversation:
    return [pdus[at] for at in rng.permutation(len(pdus))]


_CHANGES = (_flip, _flip, _flip, _cut, _length, _kind, _noise, _number, _number, _again, _missing, _swapped)


def _on_one(pdus: Conversation, rng: np.random.Generator, change: object) -> Conversation:
    at = int(rng.integers(len(pdus)))
    if not pdus[at]:
        return pdus
    return [*pdus[:at], change(pdus[at]), *pdus[at + 1 :]]  # type: ignore[operator]


def _with(pdu: bytes, at: int, value: int) -> bytes:
    return pdu[:at] + bytes([value]) + pdu[at + 1 :]
