"""What is promised to be kept, to whom it is said; and calls under TLS."""

import ssl
import threading
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, build_context, build_role, evt

from secondread.dicom.classes import COMMITMENT, COMMITMENT_INSTANCE, PLAIN, VERIFICATION
from secondread.dicom.configure import tls_of
from secondread.dicom.destinations import Destination
from secondread.dicom.node import Node
from secondread.dicom.outbox import sending_tls
from secondread.errors import CannotOpen, UsageError
from tests.dicom.conftest import StartNode
from tests.dicom.scu import calling, commitment_request, context_of, radiograph, send, store


@pytest.fixture(params=[""])
def database_url(request: pytest.FixtureRequest) -> str:
    """What goes over the network is the same with every database."""
    return str(request.param)


class Told:
    """What a requestor of commitment is told, by event reports."""

    def __init__(self) -> None:
        self.came = threading.Event()
        self.kind = 0
        self.report = Dataset()

    def __call__(self, event: Any) -> tuple[int, None]:
        self.kind, self.report = event.request.EventTypeID, event.event_information
        self.came.set()
        return 0x0000, None


def ask(node: Node, told: Told, asked: Dataset, *, stay: bool) -> int:
    """Ask for commitment, and wait for what is told. stay: on the association until then."""
    handlers = [(evt.EVT_N_EVENT_REPORT, told)]
    contexts = [build_context(COMMITMENT, list(PLAIN))]
    with calling(node, contexts=contexts, evt_handlers=handlers) as assoc:
        status, _ = assoc.send_n_action(asked, 1, COMMITMENT, COMMITMENT_INSTANCE)
        if stay:
            assert told.came.wait(30)
    assert told.came.wait(30)
    return int(status.Status)


# who asked may let go between the promise and its own answer to it: pynetdicom's thread of that side then ends in error
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_what_is_kept_is_promised_on_the_association_that_asked(node: Node) -> None:
    kept = radiograph(0)
    send(node, kept)
    told = Told()
    assert ask(node, told, commitment_request([kept]), stay=True) == 0x0000
    assert told.kind == 1
    assert [one.ReferencedSOPInstanceUID for one in told.report.ReferencedSOPSequence] == [kept.SOPInstanceUID]
    assert told.report.TransactionUID == commitment_request([]).TransactionUID


def test_what_is_not_kept_is_not_promised(node: Node) -> None:
    kept, never, refused = radiograph(0), radiograph(1), radiograph(2, Modality="CT")
    send(node, kept, refused)
    told = Told()
    ask(node, told, commitment_request([kept, never, refused]), stay=True)
    assert told.kind == 2
    failed = {one.ReferencedSOPInstanceUID: one.FailureReason for one in told.report.FailedSOPSequence}
    assert failed == {never.SOPInstanceUID: 0x0112, refused.SOPInstanceUID: 0x0112}
    assert [one.ReferencedSOPInstanceUID for one in told.report.ReferencedSOPSequence] == [kept.SOPInstanceUID]


def test_who_has_left_is_called_back_where_the_settings_say(start_node: StartNode) -> None:
    told = Told()
    ae = AE("MODALITY")
    ae.add_supported_context(COMMITMENT, scu_role=True, scp_role=True)
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, told)])
    try:
        peer = Destination("MODALITY", "127.0.0.1", server.socket.getsockname()[1])
        node = start_node(peers={"MODALITY": peer})
        kept = radiograph(0)
        send(node, kept)
        ask(node, told, commitment_request([kept]), stay=False)
        assert told.kind == 1
    finally:
        server.shutdown()


def test_who_is_called_back_is_called_under_tls_where_results_are(start_node: StartNode, tmp_path: Path) -> None:
    told, (own, key) = Told(), certificate(tmp_path, "modality")
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(own, key)
    ae = AE("MODALITY")
    ae.add_supported_context(COMMITMENT, scu_role=True, scp_role=True)
    handlers = [(evt.EVT_N_EVENT_REPORT, told)]
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers, ssl_context=theirs)
    try:
        peer = Destination("MODALITY", "127.0.0.1", server.socket.getsockname()[1])
        ours = sending_tls({"DICOM_SEND_TLS": "on", "DICOM_TLS_CA": str(own)})
        node = start_node(peers={"MODALITY": peer}, send_tls=ours)
        kept = radiograph(0)
        send(node, kept)
        ask(node, told, commitment_request([kept]), stay=False)
        assert told.kind == 1
    finally:
        server.shutdown()


def test_a_request_without_objects_is_refused(node: Node) -> None:
    with calling(node, contexts=[build_context(COMMITMENT, list(PLAIN))]) as assoc:
        status, _ = assoc.send_n_action(commitment_request([]), 1, COMMITMENT, COMMITMENT_INSTANCE)
        assert status.Status == 0x0120
        status, _ = assoc.send_n_action(commitment_request([radiograph()]), 2, COMMITMENT, COMMITMENT_INSTANCE)
        assert status.Status == 0x0123


def test_a_node_without_commitment_does_not_offer_it(start_node: StartNode) -> None:
    node = start_node(commitment=False)
    contexts = [build_context(COMMITMENT), build_context(VERIFICATION)]
    with calling(node, contexts=contexts, ext_neg=[build_role(COMMITMENT, scu_role=True)]) as assoc:
        assert [one.abstract_syntax for one in assoc.accepted_contexts] == [VERIFICATION]


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate that signs itself, and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / f"{name}.pem", folder / f"{name}.key"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    paths[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    return paths


def settings_of(own: tuple[Path, Path] | tuple[str, str], authority: Path | str = "") -> dict[str, str]:
    """The settings that say so."""
    return {"DICOM_TLS_CERTIFICATE": str(own[0]), "DICOM_TLS_KEY": str(own[1]), "DICOM_TLS_CA": str(authority)}


def test_objects_come_in_under_tls_from_whom_a_certificate_is_known(start_node: StartNode, tmp_path: Path) -> None:
    own, theirs, stranger = (certificate(tmp_path, name) for name in ("node", "modality", "stranger"))
    node = start_node(tls=tls_of(settings_of(own, theirs[0])))
    ds = radiograph()
    for shown, accepted in ((theirs, True), (stranger, False)):
        context = ssl.create_default_context(cafile=str(own[0]))
        context.load_cert_chain(*map(str, shown))
        more = {"tls_args": (context, "127.0.0.1"), "contexts": [context_of(ds)]}
        with calling(node, **more) as assoc:
            assert assoc.is_established is accepted
            if accepted:
                assert store(assoc, ds).status == 0
    with calling(node) as plain:  # without TLS nobody is answered
        assert not plain.is_established


def test_callers_and_archives_have_authorities_of_their_own(tmp_path: Path) -> None:
    own, callers, archives = (certificate(tmp_path, name) for name in ("node", "caller", "archive"))
    both = settings_of(own, callers[0]) | {"DICOM_SEND_TLS": "on"}
    apart = both | {"DICOM_TLS_ARCHIVE_CA": str(archives[0])}
    for settings, calls, sends in ((both, "caller", "caller"), (apart, "caller", "archive")):
        listening, calling_out = tls_of(settings), sending_tls(settings)
        assert listening is not None
        assert calling_out is not None
        assert trusted(listening) == {calls}
        assert trusted(calling_out) == {sends}
    only = settings_of(own) | {"DICOM_TLS_CALLERS_CA": str(callers[0])}
    context = tls_of(only)
    assert context is not None
    assert (trusted(context), context.verify_mode) == ({"caller"}, ssl.CERT_REQUIRED)


def trusted(context: ssl.SSLContext) -> set[str]:
    """Whose certificates it believes."""
    return {dict(part[0] for part in one["subject"])["commonName"] for one in context.get_ca_certs()}


def test_a_client_that_never_shakes_hands_keeps_nobody_out(start_node: StartNode, tmp_path: Path) -> None:
    import socket

    own = certificate(tmp_path, "node")
    node = start_node(tls=tls_of(settings_of(own)))
    with socket.create_connection(node.address):
        context = ssl.create_default_context(cafile=str(own[0]))
        with calling(node, tls_args=(context, "127.0.0.1")) as assoc:
            assert assoc.send_c_echo().Status == 0


@pytest.mark.parametrize(
    ("own", "authority", "error", "says"),
    [
        (("", "x.key"), "", UsageError, "certificate of its own"),
        (("x.pem", ""), "", UsageError, "private key"),
        (("x.pem", "x.key"), "", CannotOpen, "cannot be read"),
    ],
)
def test_half_of_what_tls_needs_stops_the_start(
    own: tuple[str, str], authority: str, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        tls_of(settings_of(own, authority))
