"""What is promised of the operating point that decided, in the sentences of the pages: for a report."""

from collections.abc import Callable, Sequence

from secondread.service.report import AnswerFacts
from secondread.stats.promises import Guarantee, Shown

Words = Callable[[str], str]


def promised(facts: AnswerFacts, _: Words) -> list[str]:
    """One sentence for each promise, on whose images it was shown; and one for its margin, where it has one."""
    told = []
    for one in facts.point.guarantees if facts.point else ():
        at = {"at": f"{100 * one.target:g}", "sure": f"{100 * one.confidence:g}"}
        if one.on == "sensitivity":
            target = _("sensitivity at least %(at)s %% (%(sure)s %% sure)") % at
        else:
            target = _("specificity at least %(at)s %% (%(sure)s %% sure)") % at
        told.append(f"{_('Promised')}: {target}; {_where(one, facts.outlook.of_series, _)}.")
        if one.margin:
            told.append(_margin(one, _))
    return told


def _where(told: Guarantee, of_patients: bool, _: Words) -> str:
    shown = [one for one in told.sources if one.shown]
    others = [one for one in told.sources if not one.shown]
    where = [_("shown on %(images)s") % {"images": _images(shown, of_patients, _)}] if shown else []
    if others:
        where.append(_("not shown on %(images)s, nor elsewhere") % {"images": _images(others, of_patients, _)})
    else:
        where.append(_("not shown elsewhere"))
    return "; ".join(where)


def _images(sources: Sequence[Shown], of_patients: bool, _: Words) -> str:
    of = _("%(n)s patients of %(source)s") if of_patients else _("%(n)s images of %(source)s")
    apart = _("%(n)s images, hospitals not told apart")
    return ", ".join((of if one.source else apart) % {"n": one.n, "source": one.source} for one in sources)


def _margin(told: Guarantee, _: Words) -> str:
    if told.on == "sensitivity":
        sentence = _(
            "The threshold is set lower than these images ask (by %(by)s logits), so that fewer are missed at "
            "hospitals that it does not know; more of the healthy are called positive for it, everywhere."
        )
    else:
        sentence = _(
            "The threshold is set higher than these images ask (by %(by)s logits), so that fewer of the healthy are "
            "called positive at hospitals that it does not know; more of the diseased are missed for it, everywhere."
        )
    return sentence % {"by": f"{told.margin:.2f}"}
