"""Flower's SuperLink in a process of its own, with one door for sites and another, locked, for the server alone.

Flower serves three things on one port: the fleet (sites), the control of runs and the runtime of a run's server.
Without its accounts, whoever reaches the port may start a run and so ask sites for their weights. Here the last two
open to a key that only the server that began this process holds.
"""

import hmac
import json
import sys
from pathlib import Path
from typing import Any

KEY_HEADER = "x-secondread-key"
_OPEN = ("/v1/fleet/", "/health")


class Door:
    """ASGI: the paths of sites are open, all others need the key."""

    def __init__(self, app: Any, key: str):
        self._app, self._key = app, key.encode()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and not scope["path"].startswith(_OPEN):
            given = dict(scope["headers"]).get(KEY_HEADER.encode(), b"")
            if not hmac.compare_digest(given, self._key):
                await send({"type": "http.response.start", "status": 403, "headers": []})
                await send({"type": "http.response.body", "body": b""})
                return
        await self._app(scope, receive, send)


def main() -> None:
    """Serve as the JSON object on standard input says, until the process that began this one is gone."""
    import uvicorn
    from flwr.supercore.app_utils import start_parent_process_monitor
    from flwr.supercore.constant import FLWR_IN_MEMORY_DB_NAME
    from flwr.superlink.cli.flower_superlink import SuperLinkLifespan
    from flwr.superlink.config_loader import SuperLinkLifespanConfig, load_control_authn_plugin
    from flwr.superlink.main import create_app

    asked = json.loads(sys.stdin.readline())
    files = [asked["tls_ca"], asked["tls_certificate"], asked["tls_key"]]
    certificates = None if asked["insecure"] else tuple(Path(file).read_bytes() for file in files)
    config = SuperLinkLifespanConfig(
        control_address="",
        health_server_address=None,
        host=asked["host"],
        port=asked["port"],
        insecure=asked["insecure"],
        certificates=certificates,
        superexec_auth_secret=None,
        authn_plugin=load_control_authn_plugin(),
        event_log_plugin=None,
        fleet_event_log_plugin=None,
        enable_event_log=False,
        artifact_provider=None,
        enable_supernode_auth=asked["authenticated"],
        fleet_api_type="grpc-rere",
        fleet_api_address=None,
        simulation=False,
        ssl_ca_certfile=files[0],
        ssl_certfile=files[1],
        ssl_keyfile=files[2],
        database=FLWR_IN_MEMORY_DB_NAME,
        isolation="process",
        runtime_dependency_install=False,
    )
    app = create_app(config, SuperLinkLifespan)
    app.add_middleware(Door, key=asked["key"])
    start_parent_process_monitor(asked["parent"])
    uvicorn.run(
        app,
        host=asked["host"],
        port=asked["port"],
        log_level="warning",
        access_log=False,
        ssl_certfile=None if asked["insecure"] else files[1],
        ssl_keyfile=None if asked["insecure"] else files[2],
    )


if __name__ == "__main__":
    main()
