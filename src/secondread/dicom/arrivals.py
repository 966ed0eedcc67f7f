"""From the bytes of a C-STORE to what is kept of them: the rule that decides, the cleaned file, the sealed identity."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from pydicom.dataset import Dataset

from secondread.dicom.classes import IMAGES
from secondread.dicom.header import header_in, open_header, row_facts
from secondread.dicom.identities import identity_in, instance_in, text_of
from secondread.dicom.rules import Rule, Rules
from secondread.errors import ImageError, TruncatedImage, UnsupportedImage
from secondread.service import Actor, Arrival, DicomObjects, Facts, Intake, Service, Staged

_NO_STUDY = "it has no Study Instance UID, so its results would belong nowhere"
_STATE_OF = {"ignore": "ignored", "refuse": "refused"}


@dataclass(frozen=True)
class Sender:
    """Who sent an object, and under which name they called this node."""

    calling_aet: str = ""
    called_aet: str = ""
    address: str = ""


@dataclass(frozen=True)
class Received:
    """What became of one object as it came in. how: NEW, SAME, OTHER or CONFLICT."""

    how: str
    state: str
    reason: str = ""
    refused: bool = False  # nothing of it is kept, and the sender is told so
    series_uid: str = ""  # the pseudonym


class Arrivals:
    """Takes objects in. Safe to share between threads."""

    def __init__(
        self,
        objects: DicomObjects,
        intake: Intake,
        rules: Rules,
        *,
        is_ours: Callable[[str], bool] = lambda sop_instance_uid: False,
    ):
        """is_ours: whether a result of this site has this UID: it is known by that where a router renamed its maker."""
        self._objects = objects
        self._intake = intake
        self._rules = rules
        self._is_ours = is_ours

    def take(self, data: bytes, sender: Sender, *, actor: Actor, announced: str = "") -> Received:
        """Keep one object, durably, and say what was done. data: a DICOM file of it. announced: its UID, by the sender.

        What cannot be parsed or freed of names is refused with a row that says why. Raises what hinders every object:
        Busy, ServiceError, CannotWrite, DiskFull.
        """
        ds = open_header(data)
        if announced and announced != text_of(ds, "SOPInstanceUID"):
            raise UnsupportedImage("the data set is not of the SOP instance that was announced")
        facts, rule = self._facts(ds, data, sender)
        if rule.then == "read" and self._is_ours(text_of(ds, "SOPInstanceUID")):
            return self._without_file(facts, "ignored", "a result of this program", actor)
        if rule.then != "read":
            return self._without_file(facts, _STATE_OF[rule.then], rule.reason or f"rule '{rule.name}'", actor)
        if not facts.study_uid:
            return replace(self._without_file(facts, "refused", _NO_STUDY, actor), refused=True)
        try:
            staged = self._staged(data)
        except ImageError as error:
            found = self._without_file(facts, "refused", f"{error.code}: {error}", actor)
            return replace(found, refused=True)
        identity = identity_in(ds)
        accession = self._intake.accession_of(identity.accession_number, staged.patient)
        arrival = Arrival(facts, staged, identity, instance_in(ds), accession)
        return Received(self._objects.put(arrival, actor=actor), facts.state, series_uid=facts.series_uid)

    def _without_file(self, facts: Facts, state: str, reason: str, actor: Actor) -> Received:
        """A row that says why nothing of the object is kept."""
        arrival = Arrival(replace(facts, state=state, reason=reason, series_description=""))
        return Received(self._objects.put(arrival, actor=actor), state, reason)

    def _staged(self, data: bytes) -> Staged:
        staged = self._intake.receive(data)
        if staged.format != "DICOM":
            raise UnsupportedImage("this is no DICOM object")
        return staged

    def _facts(self, ds: Dataset, data: bytes, sender: Sender) -> tuple[Facts, Rule]:
        """Raises TruncatedImage where the object has no UID of its own."""
        own, study, series = (text_of(ds, name) for name in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"))
        if not own:
            raise TruncatedImage("the object has no SOP Instance UID; send it again")
        header = header_in(ds, calling_aet=sender.calling_aet, called_aet=sender.called_aet)
        rule = self._rules.decide(header)
        facts = Facts(
            sop_instance_uid=self._intake.stand_in(own),
            sop_class=header.sop_class if header.sop_class in IMAGES else "",
            study_uid=self._intake.stand_in(study),
            series_uid=self._intake.stand_in(series),
            transfer_syntax=str(ds.file_meta.get("TransferSyntaxUID", ""))[:64],
            size=len(data),
            sha256=self._intake.mark_of(data),
            calling_aet=sender.calling_aet,
            called_aet=sender.called_aet,
            peer=sender.address,
            state="waiting" if rule.unit == "series" and series else "received",
            rule=rule.name,
            task=rule.task if rule.then == "read" else "",
            operating_point=rule.operating_point,
            destinations=self._rules.destinations_of(rule) if rule.then == "read" else (),
            **row_facts(ds),
        )
        return facts, rule


def arrivals_of(service: Service, rules: Rules) -> Arrivals:
    """What takes objects in for a service by these rules."""
    return Arrivals(service.dicom, service.intake, rules, is_ours=service.dicom_exports.is_ours)
