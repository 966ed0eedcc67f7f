"""How other nodes are called under TLS: whom we believe, and who we say we are."""

import ssl
from collections.abc import Mapping
from typing import Any

from secondread.errors import UsageError


def archive_authorities(settings: Mapping[str, Any]) -> str:
    """The file of those who sign certificates of the archives that we call; '' for those that this machine trusts."""
    return str(settings.get("DICOM_TLS_ARCHIVE_CA") or settings.get("DICOM_TLS_CA") or "")


def sending_tls(settings: Mapping[str, Any]) -> ssl.SSLContext | None:
    """What a node is called with; None where TLS is not set for sending. Raises UsageError.

    Who the other side is is checked always; who we are is shown where a certificate is set.
    """
    if settings.get("DICOM_SEND_TLS", "off") != "on":
        return None
    try:
        context = ssl.create_default_context(cafile=archive_authorities(settings) or None)
        if settings.get("DICOM_TLS_CERTIFICATE"):
            context.load_cert_chain(
                str(settings["DICOM_TLS_CERTIFICATE"]), str(settings.get("DICOM_TLS_KEY") or "") or None
            )
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"the certificates of the settings dicom_tls_… cannot be used: {error}") from error
    return context


def web_authorities(settings: Mapping[str, Any]) -> str | bool:
    """The same authorities as `requests` takes them, which for itself believes a list of its own, not this machine's.

    Raises UsageError where they cannot be used.
    """
    named = archive_authorities(settings)
    try:
        ssl.create_default_context(cafile=named or None)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"the certificates of the settings dicom_tls_… cannot be used: {error}") from error
    here = ssl.get_default_verify_paths()
    return named or here.cafile or here.capath or True
