"""What can be set: rows of name, default and help, each also an environment variable and a line of the TOML file."""

from dataclasses import dataclass
from typing import Any

from secondread.errors import UnknownName, UsageError

Value = int | str
PREFIX = "SECONDREAD_"


@dataclass(frozen=True)
class Setting:
    """One thing that can be set. The type of `default` is the type of the value."""

    name: str
    default: Value
    help: str
    least: int = 1  # of a number
    words: tuple[str, ...] = ()  # the only values, where there are but a few

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return f"{PREFIX}{self.name.upper()}"

    @property
    def key(self) -> str:
        """Its key in the application's configuration."""
        return self.name.upper()

    def parse(self, text: str) -> Value:
        """The value written in an environment variable. Raises UsageError, or UnknownName for a word."""
        if isinstance(self.default, str):
            return self._one_of(text)
        try:
            value = int(text)
        except ValueError:
            value = self.least - 1
        return self._checked(value, self.variable, text)

    def check(self, value: Any, where: str) -> Value:
        """A value of the TOML file. Raises UsageError, or UnknownName for a word."""
        if isinstance(self.default, str):
            if not isinstance(value, str):
                raise UsageError(f"{where}: {self.name} is {value!r}; write it in quotes")
            return self._one_of(value)
        number = value if isinstance(value, int) and not isinstance(value, bool) else self.least - 1
        return self._checked(number, f"{where}: {self.name}", str(value))

    def _one_of(self, text: str) -> str:
        """A word that is passed over would leave a default where somebody meant otherwise."""
        if self.words and text not in self.words:
            raise UnknownName.of(f"value of the setting '{self.name}':", text, self.words)
        return text

    def _checked(self, value: int, where: str, text: str) -> int:
        if value < self.least:
            raise UsageError(
                f"{where} is '{text}'; give a whole number from {self.least}, or unset it for {self.default}"
            )
        return value


SETTINGS = (
    Setting("data_folder", "", "folder of images and database; empty takes secondread in the user's own data folder"),
    Setting(
        "bundles",
        "",
        "folder of bundles of your own, laid out as task/name, beside those that come with the package; empty for none",
    ),
    Setting("database", "", "URL of a PostgreSQL database; empty takes SQLite in the data folder"),
    Setting(
        "images",
        "",
        "where images are kept: s3://bucket/prefix for several hosts together; empty takes the data folder",
    ),
    Setting(
        "s3_endpoint",
        "",
        "address of an S3 server other than AWS's, as https://minio.example:9000; empty for AWS's own",
    ),
    Setting(
        "site_key",
        "",
        "file with the secret of this site, the same on every host; empty takes site.key in the data folder",
    ),
    Setting(
        "trail_checkpoints",
        "",
        "file that checkpoints of the audit trail are added to, best on another machine's disk; empty takes "
        "trail-checkpoints in the data folder",
    ),
    Setting("reviews_needed", 1, "people who must review a reading; 2 is double reading"),
    Setting(
        "opinion_first",
        "off",
        "'on' withholds an answer from whoever may review until they have given an opinion of their own",
        words=("on", "off"),
    ),
    Setting("retention_days", 0, "days after which images, names and notes are deleted; 0 keeps them", least=0),
    Setting(
        "deidentify",
        "on",
        "'off' keeps what identifies a person in DICOM, JPEG and PNG files; on by default",
        words=("on", "off"),
    ),
    Setting(
        "patient_line",
        "off",
        "whose image a report says it is: 'off' nobody's, and nothing is kept; 'typed' as people type it; 'file' as "
        "the kept DICOM file says, where deidentify is off",
        words=("off", "typed", "file"),
    ),
    Setting(
        "worklist_patient",
        "pseudonym",
        "whose the worklist says DICOM images are: 'pseudonym'; 'name' with the accession number, of what the node "
        "received, each look in the trail; 'off'",
        words=("pseudonym", "name", "off"),
    ),
    Setting(
        "time_zone", "", "IANA name, as Asia/Kolkata, of the time that reports show beside UTC; empty: the machine's"
    ),
    Setting(
        "workers",
        1,
        "images of uploads read at once by `serve`, besides parallel_readings; 0 leaves it to `work`",
        least=0,
    ),
    Setting("lease_seconds", 120, "seconds after which an image whose worker was killed is read by another"),
    Setting("max_batch_files", 2000, "most files in one upload, unpacked"),
    Setting("max_batch_mb", 4000, "largest upload, unpacked, in MB"),
    Setting("max_archive_ratio", 100, "how many times larger than packed a file of an archive may be"),
    Setting("max_file_mb", 200, "largest file that is read, in MB; a larger one is refused, the others are read"),
    Setting("max_body_mb", 400, "largest request, in MB; a larger one is refused as a whole with status 413"),
    Setting("max_files", 32, "most files in one request"),
    Setting("max_megapixels", 64, "largest image that is decoded, in millions of pixels of one frame"),
    Setting("max_frames", 2000, "most frames of a file that is read whole; beyond it one frame must be chosen"),
    Setting(
        "processes",
        0,
        "processes of `serve`, which share out what is bounded; one that dies is started again; 0 takes as many as "
        "there are cores, and memory for",
        least=0,
    ),
    Setting("threads", 6, "requests served at once; readings among them are bounded by parallel_readings"),
    Setting(
        "waiting_requests",
        100,
        "requests that wait for a thread, in turns by account; beyond it whoever has most of them waiting is answered "
        "429, all others 503: come again",
    ),
    Setting("max_waiting_mb", 2000, "bodies of requests that are here or coming in, in MB; beyond it 503"),
    Setting("connections", 1000, "open connections; beyond it the one that has been silent longest is closed"),
    Setting(
        "address_connections",
        64,
        "open connections of one address, or of one network /64 of IPv6; not counted where proxies is set",
    ),
    Setting("header_seconds", 15, "seconds in which the whole header of a request has to be here"),
    Setting(
        "least_kb_per_second",
        16,
        "least average, after ten seconds, of what is sent or of an answer that is read; slower connections are cut; "
        "0 waits for ever",
        least=0,
    ),
    Setting(
        "parallel_readings",
        0,
        "images decoded and read at once, accounts that wait taking turns; 0 takes as many as there are cores",
        least=0,
    ),
    Setting(
        "preload",
        "off",
        "'on' loads every bundle at the start in place of at its first use, which takes 0.1 to 0.5 s longer",
        words=("on", "off"),
    ),
    Setting(
        "idle_minutes",
        15,
        "minutes without a reading after which the memory of loaded bundles is given back; 0 keeps it",
        least=0,
    ),
    Setting(
        "shadow_per_hour",
        600,
        "images an hour, at most, that a bundle in the shadow reads after, while nothing waits; 0: none",
        least=0,
    ),
    Setting(
        "decode_memory_mb",
        1200,
        "memory for decoding images, of all requests and workers together, in MB; who finds none free is answered 503, "
        "and an image that takes more is refused",
    ),
    Setting("pictures_mb", 500, "drawn pictures kept in the data folder, in MB; 0 draws each anew", least=0),
    Setting("gate", "on", "'off' reads even what looks unlike anything learnt from; for research", words=("on", "off")),
    Setting("preview_pixels", 1024, "longest side of the preview sent with a reading"),
    Setting("heatmap_pixels", 512, "longest side of the heat map sent with a reading"),
    Setting(
        "login",
        "auto",
        "'auto' asks all but this machine while it has no accounts; 'on' asks always; 'off' never asks this machine",
        words=("auto", "on", "off"),
    ),
    Setting("session_hours", 12, "hours without a request after which a login ends"),
    Setting(
        "secure_cookies",
        "off",
        "'on' where browsers reach the server over TLS: its cookies are sent over nothing else",
        words=("on", "off"),
    ),
    Setting("proxies", 0, "proxies in front that set X-Forwarded-For; 0 believes no such header", least=0),
    Setting(
        "rate_limit",
        "1200 per minute",
        "most requests of one account or address, as '1200 per minute'; empty sets no limit",
    ),
    Setting("rate_limit_storage", "memory://", "where requests are counted: memory:// or redis://host:6379/0"),
    Setting(
        "event_streams", 2, "open streams of progress at once; beyond that pages ask again every few seconds", least=0
    ),
    Setting("event_seconds", 30, "seconds after which a stream of progress ends and the page opens another"),
    Setting("dicom_host", "127.0.0.1", "address that the DICOM node listens on; 0.0.0.0 for every one of this machine"),
    Setting("dicom_port", 11112, "port of the DICOM node; 0 takes a free one", least=0),
    Setting("dicom_aet", "SECONDREAD", "AE title of the DICOM node, 1 to 16 signs"),
    Setting(
        "dicom_send_to",
        "",
        "where results go, separated by commas, as PACS@10.0.0.5:104 or https://pacs.example/dicom-web; empty: nowhere",
    ),
    Setting(
        "dicom_rules", "", "TOML file of rules for what is read and where results go; empty takes the package's own"
    ),
    Setting("dicom_callers", "", "AE titles that may call, separated by commas; empty lets every one in"),
    Setting(
        "dicom_networks",
        "",
        "addresses and networks that may connect, separated by commas, as 10.0.0.0/24; empty lets every one in",
    ),
    Setting(
        "dicom_called",
        "own",
        "'any' answers whatever AE title is called; 'own' only the node's",
        words=("own", "any"),
    ),
    Setting(
        "dicom_peers",
        "",
        "where other nodes take answers to storage commitment, separated by commas, as XRAY1@10.0.0.7:104; those of "
        "dicom_send_to need not be named again",
    ),
    Setting(
        "dicom_commitment",
        "on",
        "'off' offers no storage commitment; what is promised is kept to be read, without what identifies",
        words=("on", "off"),
    ),
    Setting(
        "dicom_series_seconds",
        60,
        "seconds without another object after which a series is read; less once its sender has gone, none once all the "
        "objects are here that it says it has",
    ),
    Setting("dicom_associations", 20, "associations at once; more are told to come again"),
    Setting("dicom_pdu_kb", 128, "largest PDU that is taken, in KB", least=4),
    Setting("dicom_idle_seconds", 60, "seconds without a message, or for one PDU to be whole, after which it is cut"),
    Setting("dicom_waiting_mb", 1000, "objects that are coming in, of all associations together, in MB"),
    Setting("dicom_tls_certificate", "", "certificate of the node, PEM; with dicom_tls_key it speaks TLS alone"),
    Setting("dicom_tls_key", "", "private key of that certificate, PEM"),
    Setting(
        "dicom_tls_callers_ca",
        "",
        "certificates of those who sign callers', PEM: who calls must have one of theirs; empty takes dicom_tls_ca",
    ),
    Setting(
        "dicom_tls_archive_ca",
        "",
        "certificates of those who sign the archives' that are called, PEM; empty takes dicom_tls_ca, or else those "
        "that this machine trusts",
    ),
    Setting("dicom_tls_ca", "", "both of these in one file, PEM; empty asks callers for no certificate"),
    Setting(
        "dicom_send_tls",
        "off",
        "'on' calls other nodes over TLS, to send and to ask; their certificate must be signed by one of "
        "dicom_tls_archive_ca",
        words=("on", "off"),
    ),
    Setting(
        "dicom_pull_from",
        "",
        "archives that the node asks for new images itself, separated by commas, as PACS@10.0.0.5:104 or "
        "https://pacs.example/dicom-web; empty: none",
    ),
    Setting(
        "dicom_pull_filter",
        "Modality=CR,DX,MR",
        "of which images, as KEYWORD=VALUE by DICOM's keywords, joined by &; of several values with commas any one",
    ),
    Setting("dicom_pull_minutes", 15, "minutes between two rounds of asking"),
    Setting(
        "dicom_pull_days",
        2,
        "days before the last one that was read to its end that are asked about again, for what came late",
        least=0,
    ),
    Setting(
        "dicom_pull_by",
        "get",
        "'get' takes images on the association that asks (C-GET); 'move' has them sent to this node's port (C-MOVE), "
        "whose AE title the archive must know",
        words=("get", "move"),
    ),
    Setting("dicom_pull_waiting", 500, "objects that wait to be read, beyond which no more are fetched"),
    Setting("dicom_web_user", "", "account at DICOMweb servers that are asked or sent to; empty for none"),
    Setting("dicom_web_password", "", "password of that account"),
    Setting("dicom_web_token", "", "bearer token for these servers, in place of an account"),
    Setting(
        "dicom_worklist_from",
        "",
        "modality worklist that is asked for scheduled orders, as RIS@10.0.0.6:104; empty: none",
    ),
    Setting(
        "dicom_results",
        "sr,capture",
        "what goes back for a reading: sr, a structured report; capture, a picture; gsps, outlines to lay over the "
        "image; map, the heat map as a parametric map",
        words=("sr", "sr,capture", "sr,capture,gsps", "sr,capture,map", "sr,capture,gsps,map"),
    ),
    Setting(
        "alert_webhook", "", "address that alerts are posted to, as https://hospital.example/alerts; empty for none"
    ),
    Setting("alert_webhook_secret", "", "secret that every post is signed with (HMAC-SHA256)"),
    Setting("alert_mail_to", "", "addresses that alerts are mailed to, separated by commas; empty for none"),
    Setting("alert_mail_from", "secondread@localhost", "the sender of those mails"),
    Setting("alert_smtp", "127.0.0.1:25", "mail server, as mail.hospital.example:587"),
    Setting(
        "alert_smtp_tls",
        "starttls",
        "'starttls' encrypts before anything is told and sends nothing where that is refused; 'off' for a server on "
        "this machine",
        words=("starttls", "off"),
    ),
    Setting("alert_smtp_user", "", "account at the mail server; empty for none"),
    Setting("alert_smtp_password", "", "password of that account; only ever sent over TLS"),
    Setting("alert_score", 0, "score from 1 to 100 from which a positive is told; 0 tells none", least=0),
    Setting("alert_queue_minutes", 30, "minutes that an image may wait unread before that is told; 0 never", least=0),
    Setting(
        "alert_disk_mb", 2000, "free space of the data folder's disk, in MB, below which that is told; 0 never", least=0
    ),
    Setting("oidc_issuer", "", "address of an OpenID Connect provider, as https://login.example; empty for none"),
    Setting("oidc_client_id", "", "what that provider calls this server"),
    Setting("oidc_client_secret", "", "the secret shared with that provider"),
    Setting(
        "otel_endpoint",
        "",
        "address of an OpenTelemetry collector that takes OTLP over HTTP, as http://127.0.0.1:4318; empty for none",
    ),
    Setting(
        "hosts", "", "names, separated by commas, under which the server is reached besides localhost and IP addresses"
    ),
)
