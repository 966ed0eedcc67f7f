"""Asking sites: one question to each, their answers in the order of their names, and what it weighed."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from flwr.app import ArrayRecord, Message, RecordDict
from flwr.serverapp import Grid

_EVERY_S = 0.1  # between looks for answers
_DAY_S = 86_400.0


@dataclass
class Answers:
    """What came of a question."""

    replies: dict[str, Message]  # by site
    failed: dict[str, str] = field(default_factory=dict)  # site → why; of those that did not answer, 'late'


class Sites:
    """The sites of a run by name, over any of Flower's grids. Counts the bytes of records either way."""

    def __init__(self, grid: Grid, nodes: Mapping[str, int] | None = None):
        self.grid = grid
        self.nodes = dict(sorted((nodes or {}).items()))
        self.refused: dict[int, str] = {}  # node → why it cannot take part
        self.sent = 0
        self.received = 0

    def present(self) -> list[str]:
        """Names of the sites that the grid reaches now."""
        here = set(self.grid.get_node_ids())
        return [name for name, node in self.nodes.items() if node in here]

    def ask(self, kind: str, content: RecordDict, *, timeout_s: float, of: Iterable[str] | None = None) -> Answers:
        """One question to every site, or to those named; a site that does not answer in time is 'late'."""
        names = list(self.nodes) if of is None else sorted(of)
        messages = {
            name: Message(_copy(content), dst_node_id=self.nodes[name], message_type=kind, ttl=max(timeout_s, 1.0))
            for name in names
        }
        by_node = {self.nodes[name]: name for name in names}
        answers = Answers({})
        for reply in self.send_and_receive(messages.values(), timeout=timeout_s):
            name = by_node.get(reply.metadata.src_node_id) or _asked(reply, messages)
            if name is None:
                continue
            if reply.has_error():
                answers.failed[name] = reply.error.reason or f"error {reply.error.code}"
            else:
                answers.replies[name] = reply
        for name in names:
            if name not in answers.replies:
                answers.failed.setdefault(name, "late")
        answers.replies = dict(sorted(answers.replies.items()))
        return answers

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
        """As a grid has it, with a look every tenth of a second and replies in the order of their sites."""
        messages = list(messages)
        self.sent += sum(weight_of(message) for message in messages)
        waiting = {one for one in self.grid.push_messages(messages) if one}
        until = time.monotonic() + (_DAY_S if timeout is None else timeout)
        found: list[Message] = []
        while waiting and time.monotonic() < until:
            came = list(self.grid.pull_messages(waiting))
            found += came
            waiting -= {reply.metadata.reply_to_message_id for reply in came}
            if waiting:
                time.sleep(_EVERY_S)
        self.received += sum(weight_of(reply) for reply in found if reply.has_content())
        return sorted(found, key=lambda reply: reply.metadata.src_node_id)


def weight_of(message: Message) -> int:
    """Bytes of what a message holds: arrays, texts and eight for each number, without names and envelope."""
    records = message.content.values()
    return sum(
        sum(len(array.data) for array in record.values())
        if isinstance(record, ArrayRecord)
        else sum(_bytes_of(value) for value in record.values())
        for record in records
    )


def _bytes_of(value: object) -> int:
    if isinstance(value, list):
        return sum(_bytes_of(one) for one in value)
    return len(value) if isinstance(value, str | bytes) else 8


def _asked(reply: Message, messages: Mapping[str, Message]) -> str | None:
    """Of an error that the link itself answers with: whom the question was for."""
    return next(
        (name for name, one in messages.items() if one.metadata.message_id == reply.metadata.reply_to_message_id), None
    )


def _copy(content: RecordDict) -> RecordDict:
    return RecordDict(dict(content.items()))
