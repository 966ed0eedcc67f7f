"""A site's end of the connection, which outlives the server's."""

import os
import socket

import httpx
import pytest

from secondread.errors import TrainingError
from secondread.lab.federated import node
from secondread.lab.federated.node import Server, join, telling
from secondread.lab.federated.shares import site_data
from secondread.lab.federated.site import Site


def _answered(status):
    request = httpx.Request("POST", "http://127.0.0.1/v1/fleet/pull-messages")
    raise httpx.HTTPStatusError("", request=request, response=httpx.Response(status, request=request))


@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_a_link_begun_anew_that_does_not_know_the_site_ends_the_connection_and_not_the_process(status, monkeypatch):
    signals = []
    monkeypatch.setattr(os, "kill", lambda *args: signals.append(args))
    with pytest.raises(httpx.HTTPStatusError):
        node._retries().invoke(_answered, status)
    assert not signals


def test_a_server_that_is_not_there_is_told_when_patience_ends(hospitals):
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{one.getsockname()[1]}"
    seen = []
    with pytest.raises(TrainingError, match="did not let this site in"):
        join(Site(site_data("site0", hospitals["site0"])), Server(address, patience_s=0.2),
             on_message=lambda *told: seen.append(told))  # fmt: skip
    assert set(seen) <= {("connection", "lost; trying again")}


def test_a_refusal_is_told_once_and_an_answer_every_time():
    seen = []
    tell = telling(lambda *told: seen.append(told))
    for _ in range(3):
        tell("query.hello", "no boxes")
        tell("train.plain", "answered")
    assert seen == [("query.hello", "no boxes"), *[("train.plain", "answered")] * 3]
