"""Who does something: what the audit trail writes down beside every access and change."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Actor:
    """The one who acts."""

    name: str  # of the account; 'local' on a loopback address without login
    via: str = ""  # 'page', 'api', 'token:<first characters>', 'command'
    address: str = ""  # of the network, where there is one


LOCAL = Actor("local")
SYSTEM = Actor("system")
