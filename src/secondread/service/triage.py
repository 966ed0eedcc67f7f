"""What stands first in the worklist, and why: by review, then by decision, then by probability."""

OPEN, WAITING, DISPUTED, DONE, SETTLED = "open", "waiting", "disputed", "done", "settled"
REVIEW_STATES = (OPEN, WAITING, DISPUTED, DONE, SETTLED)
_REASONS = {
    0: "your own opinion comes first, the answer is shown afterwards",
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


def triage_reason(triage: float, score: int | None, n_reviews: int) -> str:
    """Why a reading stands where it does, as a sentence without a full stop."""
    rank = int(triage)
    reason = _REASONS[rank]
    if n_reviews and 2 <= rank <= 5:
        reason = reason.replace("not reviewed yet", f"{n_reviews} of the reviews made, another is needed")
    return reason if score is None or rank in (1, 6) else f"{reason} (score {score})"
