"""Federated training: hospitals teach one network together and no film leaves any of them. Flower moves the messages.

Flower reports its use and looks for newer releases unless it is told not to: a hospital's training run does neither.
"""

import os

os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")
os.environ.setdefault("FLWR_DISABLE_UPDATE_CHECK", "1")
