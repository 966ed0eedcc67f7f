"""The plain way that `load.py` measures against: Flask and torch as a demo puts them together.

    python benchmarks/plain_server.py WEIGHTS PORT

The same network and waitress with as many threads; it decodes, reads and makes a map, and keeps nothing. Self-contained
on purpose: it imports nothing of secondread.
"""

import sys

import cv2
import numpy as np
import torch
from flask import Flask, jsonify, request
from plain import plain_network
from waitress import serve

THREADS, MAP_SIDE = 6, 512


def create_app(weights: str) -> Flask:
    """One route: POST /read with the file `image`."""
    network = plain_network(1)
    network.load_state_dict(torch.load(weights, weights_only=True))
    network.eval()
    app = Flask(__name__)

    @app.get("/healthz")
    def healthz() -> str:
        return "ok"

    @app.post("/read")
    def read():
        data = np.frombuffer(request.files["image"].read(), np.uint8)
        picture = cv2.resize(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), (128, 128), interpolation=cv2.INTER_AREA)
        x = torch.from_numpy(picture[None, None].astype(np.float32) / 255)
        features = network[:6](x).detach().requires_grad_()
        logit = network[6:](features)[0, 0]
        (gradient,) = torch.autograd.grad(logit, features)
        coarse = (gradient * features).sum(dim=1)[0].detach().clamp(min=0).numpy()
        strength = cv2.resize(coarse / max(float(coarse.max()), 1e-9), (MAP_SIDE, MAP_SIDE))
        return jsonify(
            probability=float(torch.sigmoid(logit.detach())),
            strongest=[int(v) for v in divmod(strength.argmax(), MAP_SIDE)],
        )

    return app


if __name__ == "__main__":
    torch.set_num_threads(1)
    serve(create_app(sys.argv[1]), host="127.0.0.1", port=int(sys.argv[2]), threads=THREADS)
