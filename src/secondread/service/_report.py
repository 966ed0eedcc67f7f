"""The report of one reading as PDF."""

from collections.abc import Callable

from secondread.service._actor import Actor
from secondread.service._report_facts import report_facts
from secondread.service._service import Service


def reading_pdf(service: Service, reading_id: int, *, actor: Actor, translate: Callable[[str], str] = str) -> bytes:
    """One page of A4: pictures, answer, operating point, limits, warnings and reviewers. Noted in the trail.

    translate: gives a sentence in the language of the page, with its %(name)s left in place. Raises NotThere.
    """
    from secondread.service._report_page import page_of  # with ReportLab, which only reports need

    facts = report_facts(service, reading_id, actor=actor)
    service.trail.record(actor, "report.made", f"reading:{facts.reading.id}", format="pdf")
    return page_of(facts, actor=actor, translate=translate)
