"""The coded concepts that results speak in, each with where it comes from.

What a task's positive class is called stands in the task's own file ([dicom] finding).
"""

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr import CodedConcept

from secondread.service import StoredReading
from secondread.tasks import Task

OWN = "99SECONDREAD"  # a private scheme begins with 99 (PS3.3 8.2)

# PS3.16 annex D (DICOM Controlled Terminology)
DEVICE = CodedConcept("121007", "DCM", "Device")
REPORT = CodedConcept("126000", "DCM", "Imaging Measurement Report")
PROBABILITY = CodedConcept("122157", "DCM", "Probability")
POINT = CodedConcept("111071", "DCM", "CAD Operating Point")
COMMENT = CodedConcept("121106", "DCM", "Comment")
NO_UNITS = CodedConcept("1", "UCUM", "no units")
# Ours: nothing in PS3.16 says what follows from a score without saying what is so.
DECISION = CodedConcept("decision", OWN, "Decision at the operating point")
OUTCOME = CodedConcept("outcome", OWN, "Outcome of the reading")
THRESHOLD = CodedConcept("threshold", OWN, "Threshold of the operating point")
STRENGTH = CodedConcept("strength", OWN, "Strength of the heat map")
NOT_CODED = CodedConcept("finding", OWN, "Finding of the task")
# SNOMED CT, as PS3.16 uses them: CID 250 (positive, negative), CID 3120 (equivocal)
DECISIONS = {
    "positive": CodedConcept("10828004", "SCT", "Positive"),
    "negative": CodedConcept("260385009", "SCT", "Negative"),
    "uncertain": CodedConcept("42425007", "SCT", "Equivocal"),
}
# What was done to the patient: PS3.16 CID 29's modalities as SNOMED CT procedures
_PLAIN = CodedConcept("168537006", "SCT", "Plain radiography")
PROCEDURES = {
    "CR": _PLAIN,
    "DX": _PLAIN,
    "RG": _PLAIN,
    "MR": CodedConcept("113091000", "SCT", "Magnetic resonance imaging"),
    "CT": CodedConcept("77477000", "SCT", "Computed tomography"),
}
ANY_PROCEDURE = CodedConcept("363679005", "SCT", "Imaging")
SCHEMES = [
    CodingSchemeIdentificationItem(designator, name=name, registry="HL7", uid=uid)
    for designator, name, uid in (
        ("DCM", "DICOM Controlled Terminology", "1.2.840.10008.2.16.4"),
        ("SCT", "SNOMED CT", "2.16.840.1.113883.6.96"),
        ("UCUM", "Unified Code for Units of Measure", "2.16.840.1.113883.6.8"),
    )
]
SCHEMES.append(
    CodingSchemeIdentificationItem(OWN, name="secondread", responsible_organization="The secondread authors")
)


def finding_of(task: Task | None) -> CodedConcept:
    """What the task's positive class is, in SNOMED CT where its file says so."""
    if task is None:
        return NOT_CODED
    return CodedConcept(*task.coded) if task.coded else own(task.name, task.title)


def refusal_of(reading: StoredReading) -> CodedConcept:
    """Why it was not read."""
    return own(reading.refusal_code, f"Not read: {reading.refusal_code.replace('_', ' ')}")


def own(code: str, meaning: str) -> CodedConcept:
    """A concept of our own scheme; code and meaning are cut to what PS3.5 lets them have."""
    return CodedConcept(code[:16].strip() or "none", OWN, meaning[:64])
