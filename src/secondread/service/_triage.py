"""The order in which readings need a person, and the reason that is shown for it.

    1  reviewers disagree, or one is unsure: someone has to settle it
    2  positive and not yet reviewed, the highest score first
    3  uncertain and not yet reviewed, the highest score first
    4  refused: nobody, neither reader nor person, has judged the image yet
    5  negative and not yet reviewed, the highest score first
    6  reviewed

One review of several that are needed counts as not yet reviewed. It is stored as one number, so that an index holds the
order.
"""

OPEN, WAITING, DISPUTED, DONE, SETTLED = "open", "waiting", "disputed", "done", "settled"
REVIEW_STATES = (OPEN, WAITING, DISPUTED, DONE, SETTLED)
_REASONS = {
    1: "reviewers disagree or are unsure: it has to be settled",
    2: "positive, not reviewed yet",
    3: "uncertain, not reviewed yet",
    4: "refused: no one has judged this image yet",
    5: "negative, not reviewed yet",
    6: "reviewed",
}
_BY_DECISION = {"positive": 2, "uncertain": 3, "": 4, "negative": 5}


def triage_of(*, decision: str, probability: float | None, review_state: str) -> float:
    """The lower, the sooner: the class in its whole part, within it 1 − probability (below 1)."""
    if review_state == DISPUTED:
        rank = 1
    elif review_state in (DONE, SETTLED):
        rank = 6
    else:
        rank = _BY_DECISION[decision]
    return rank + (0.0 if probability is None else 0.999 * (1 - probability))


def triage_reason(triage: float, probability: float | None, n_reviews: int) -> str:
    """Why a reading stands where it does, as a sentence without a full stop."""
    rank = int(triage)
    reason = _REASONS[rank]
    if n_reviews and 2 <= rank <= 5:
        reason = reason.replace("not reviewed yet", f"{n_reviews} of the reviews made, another is needed")
    score = "" if probability is None or rank in (1, 6) else f" (score {round(100 * probability)})"
    return reason + score
