"""From the site's settings to a node: who may call, within what bounds, by which rules, and under which certificate."""

import ssl
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any

from secondread.dicom.destinations import Destination, check_aet
from secondread.dicom.node import NodeSettings
from secondread.dicom.rules import AUTO, Rules, load_rules
from secondread.dicom.tls import sending_tls
from secondread.dicom.transport import NodeBounds
from secondread.errors import CannotOpen, UsageError
from secondread.service import GetReader, ReadingRequest, Service

_LOOPBACK = ("127.", "::1", "localhost")


def node_settings(settings: Mapping[str, Any]) -> NodeSettings:
    """The node's part of the settings (keys in capitals, as DICOM_AET). Raises UsageError, CannotOpen."""
    return NodeSettings(
        aet=check_aet(str(settings["DICOM_AET"])),
        host=str(settings["DICOM_HOST"]),
        port=int(settings["DICOM_PORT"]),
        callers=frozenset(check_aet(one) for one in listed(settings["DICOM_CALLERS"])),
        any_called=settings["DICOM_CALLED"] == "any",
        bounds=NodeBounds(
            associations=int(settings["DICOM_ASSOCIATIONS"]),
            max_pdu=int(settings["DICOM_PDU_KB"]) * 1024,
            idle_seconds=float(settings["DICOM_IDLE_SECONDS"]),
            object_bytes=int(settings["MAX_FILE_MB"]) * 10**6,
            waiting_bytes=int(settings["DICOM_WAITING_MB"]) * 10**6,
            networks=tuple(_network(one) for one in listed(settings["DICOM_NETWORKS"])),
        ),
        tls=tls_of(settings),
        peers=_peers(settings),
        send_tls=sending_tls(settings),
        commitment=settings["DICOM_COMMITMENT"] != "off",
    )


def node_rules(settings: Mapping[str, Any]) -> Rules:
    """The rules that the settings name, with where results go. Raises as `load_rules`."""
    path = str(settings["DICOM_RULES"])
    return load_rules(Path(path) if path else None, destinations=listed(settings["DICOM_SEND_TO"]))


def check_open_to_all(settings: NodeSettings) -> str:
    """A sentence for who starts a node that lets everybody in from other machines; '' for any other."""
    here = settings.host.startswith(_LOOPBACK)
    asks_for_certificates = settings.tls is not None and settings.tls.verify_mode == ssl.CERT_REQUIRED
    if here or settings.callers or settings.bounds.networks or asks_for_certificates:
        return ""
    return (
        "anybody in the network may send objects; name who may with the settings dicom_callers and dicom_networks, or "
        "ask for certificates with dicom_tls_callers_ca"
    )


def check_rules(service: Service, rules: Rules, readers: GetReader) -> None:
    """A rule that names what is not here stops the start. Raises UnknownName, UsageError."""
    desk = service.desk(readers)
    for rule in rules.rules:
        if rule.then == "read" and rule.task != AUTO:
            desk.check(ReadingRequest(rule.task, operating_point=rule.operating_point))
        elif rule.operating_point:
            raise UsageError(f"rule '{rule.name}': an operating point is of one task; name the task too")


def tls_of(settings: Mapping[str, Any]) -> ssl.SSLContext | None:
    """What the node speaks TLS with (PS3.15 B.12: 1.2 or newer); None without a certificate.

    Raises UsageError, CannotOpen.
    """
    certificate, key = (str(settings.get(f"DICOM_TLS_{name}") or "") for name in ("CERTIFICATE", "KEY"))
    authority = str(settings.get("DICOM_TLS_CALLERS_CA") or settings.get("DICOM_TLS_CA") or "")
    if not certificate:
        if key or authority:
            raise UsageError("the node speaks TLS with a certificate of its own; name it in dicom_tls_certificate")
        return None
    if not key:
        raise UsageError("the certificate of the node needs its private key; name it in dicom_tls_key")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
        if authority:
            context.load_verify_locations(authority)
            context.verify_mode = ssl.CERT_REQUIRED
    except ssl.SSLError as error:
        raise UsageError(
            f"certificate, key or authorities of the node are no PEM that fits together: {error}"
        ) from error
    except OSError as error:
        raise CannotOpen(f"a certificate or key of the node cannot be read: {error.strerror}") from error
    return context


def listed(text: Any) -> list[str]:
    """What stands between commas."""
    return [one.strip() for one in str(text).split(",") if one.strip()]


def _no_password() -> str:
    raise UsageError(
        "the private key of the node is locked by a password; give one that is not, readable by the service alone"
    )


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text, strict=False)
    except ValueError as error:
        raise UsageError(
            f"'{text}' in dicom_networks is no address and no network; write 10.0.0.7 or 10.0.0.0/24"
        ) from error


def _peers(settings: Mapping[str, Any]) -> dict[str, Destination]:
    texts: Iterable[str] = (*listed(settings["DICOM_SEND_TO"]), *listed(settings["DICOM_PEERS"]))
    return {one.aet: one for one in map(Destination.parse, texts) if not one.is_web}
