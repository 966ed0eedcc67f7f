"""Other servers of a shipped network, that `load.py` measures against: the same ONNX file and the same preprocessing.

    python -m benchmarks.rival_servers KIND BUNDLE PORT

KIND: `flask-onnx` and `flask-torch` (Flask under waitress, with as many threads as the plain script has), or `litserve`
(LitServe, one worker a core). Each decodes, prepares, reads and answers with the probability and the place of the
strongest cell of the map, one image a request, and keeps nothing.
"""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from secondread.images import decode, prepare
from secondread.reading import load_bundle
from secondread.reading.session import open_session

THREADS = 6  # of waitress, as in plain_server.py
Run = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]  # pixels (1, size, size, channels) → logit, map


def answer_of(bundle: str, runtime: str) -> Callable[[bytes], dict[str, Any]]:
    """What turns a file's bytes into an answer."""
    loaded = load_bundle(bundle)
    run = _torch(loaded.model_path.read_bytes()) if runtime == "torch" else _onnx(loaded.model_path.read_bytes())
    spec = loaded.prepare_spec

    def answer(data: bytes) -> dict[str, Any]:
        logit, cells = run(prepare(decode(data), spec).pixels[None])
        probability = 1 / (1 + np.exp(-float(np.ravel(logit)[0])))
        return {"probability": probability, "strongest": int(np.argmax(cells))}

    return answer


def _onnx(model: bytes) -> Run:
    session = open_session(model, threads=1)
    return lambda pixels: tuple(session.run(["logit", "cam"], {"image": pixels}))


def _torch(model: bytes) -> Run:
    """The same graph and weights, run by eager torch on one thread."""
    import onnx
    import onnxruntime
    import torch

    from benchmarks._networks import optimised
    from benchmarks._onnx_torch import Steps

    torch.set_num_threads(1)
    folded = onnx.load_from_string(optimised(model, onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC))
    names = [output.name for output in folded.graph.output]
    steps = Steps(folded).eval()

    def run(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with torch.inference_mode():
            found = dict(zip(names, steps(torch.from_numpy(pixels)), strict=True))
        return found["logit"].numpy(), found["cam"].numpy()

    return run


def _flask(bundle: str, runtime: str, port: int) -> None:
    from flask import Flask, jsonify, request
    from waitress import serve

    app, answer = Flask(__name__), answer_of(bundle, runtime)

    @app.get("/healthz")
    def healthz() -> str:
        return "ok"

    @app.post("/read")
    def read() -> Any:
        return jsonify(answer(request.files["image"].read()))

    serve(app, host="127.0.0.1", port=port, threads=THREADS)


def main() -> None:
    """One server, until it is terminated."""
    kind, bundle, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
    if kind == "litserve":
        from benchmarks.litserve_server import run

        run(bundle, port)
    else:
        _flask(bundle, kind.removeprefix("flask-"), port)


if __name__ == "__main__":
    main()
