"""A shipped network behind LitServe, as its documentation puts a server together; started by `rival_servers`.

LitServe lies in build/bench (see requirements/bench.txt), apart from the environment of the project. Its workers are
processes that load this module anew, so the class has to stand at its top.
"""

import os
from typing import Any

import litserve
from fastapi import Request

from benchmarks.rival_servers import answer_of

BUNDLE = "BENCHMARK_BUNDLE"  # how the workers are told


class Reading(litserve.LitAPI):
    """The work of a worker, as LitServe divides it; one image a request."""

    def setup(self, device: str) -> None:
        """In each worker, once."""
        self.answer = answer_of(os.environ[BUNDLE], "onnx")

    def decode_request(self, request: Request) -> bytes:
        """The file of the form."""
        return bytes(request["image"].file.read())

    def predict(self, x: bytes) -> dict[str, Any]:
        """Decode, prepare and read."""
        return self.answer(x)

    def encode_response(self, output: dict[str, Any]) -> dict[str, Any]:
        """As it is."""
        return output


def run(bundle: str, port: int) -> None:
    """Serve until terminated: one worker a core."""
    os.environ[BUNDLE] = bundle
    workers = os.cpu_count() or 1
    api = Reading(api_path="/read")
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=workers, healthcheck_path="/healthz")
    server.run(host="127.0.0.1", port=port, generate_client_file=False, log_level="warning")
