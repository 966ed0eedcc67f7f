"""Who may do what: roles of people, scopes of tokens."""

ROLES = ("reader", "reviewer", "administrator")
SCOPES = ("read", "write", "review", "admin")
_SCOPES_OF = {
    "reader": frozenset({"read", "write"}),
    "reviewer": frozenset({"read", "write", "review"}),
    "administrator": frozenset(SCOPES),
}


def scopes_of(role: str) -> frozenset[str]:
    """What a role may do: read (look), write (upload, delete), review, admin (accounts, trail, settings)."""
    return _SCOPES_OF.get(role, frozenset())


def may_review(role: str) -> bool:
    """Whether an opinion of this role counts."""
    return "review" in scopes_of(role)
