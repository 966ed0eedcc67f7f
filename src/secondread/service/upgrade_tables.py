"""Tables of which bundle answers for a task here, which one reads in its shadow, and what that one said. As in
tables.py, a change needs a migration.
"""

from datetime import datetime

from sqlalchemy import CheckConstraint, Float, ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from secondread.service.tables import Base, now

OPEN = "ended_at IS NULL"


class BundleChoiceRow(Base):
    """That a bundle answers for a task in place of the package's own choice, or reads in the shadow of what answers."""

    __tablename__ = "bundle_choices"
    __table_args__ = (
        CheckConstraint("role IN ('answers', 'shadow')", name="role"),
        Index(
            "uq_bundle_choices_open",
            "task",
            "role",
            unique=True,
            postgresql_where=text(OPEN),
            sqlite_where=text(OPEN),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    task: Mapped[str] = mapped_column(String(100))
    role: Mapped[str] = mapped_column(String(16))
    name: Mapped[str] = mapped_column(String(200))  # task/name
    bundle: Mapped[str] = mapped_column(String(200))  # task/name@hash
    bundle_sha256: Mapped[str] = mapped_column(String(64))
    beside: Mapped[str] = mapped_column(String(200), default="")  # the bundle that answered when it was chosen
    beside_sha256: Mapped[str] = mapped_column(String(64), default="")
    after_reading: Mapped[int] = mapped_column(default=0)  # the newest reading then: a shadow reads what comes later
    note: Mapped[str] = mapped_column(Text, default="")
    chosen_by: Mapped[str] = mapped_column(String(100))
    chosen_at: Mapped[datetime] = mapped_column(default=now)
    ended_at: Mapped[datetime | None]
    ended_by: Mapped[str] = mapped_column(String(100), default="")


class ShadowAnswerRow(Base):
    """What a bundle in the shadow said of an image that another answered. It is no reading, nor shown as one."""

    __tablename__ = "shadow_answers"
    __table_args__ = (
        CheckConstraint("state IN ('running', 'done', 'failed')", name="state"),
        Index("uq_shadow_answers_what", "choice_id", "reading_id", unique=True),
        Index("ix_shadow_answers_at", "at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    choice_id: Mapped[int] = mapped_column(ForeignKey("bundle_choices.id"))
    reading_id: Mapped[int] = mapped_column(ForeignKey("readings.id"), index=True)
    state: Mapped[str] = mapped_column(String(16), default="running")
    at: Mapped[datetime] = mapped_column(default=now)  # when it was begun; one that never ends is begun again
    operating_point: Mapped[str] = mapped_column(String(100), default="")
    threshold: Mapped[float | None] = mapped_column(Float(53))
    low: Mapped[float | None] = mapped_column(Float(53))
    probability: Mapped[float | None] = mapped_column(Float(53))
    decision: Mapped[str] = mapped_column(String(16), default="")  # '' where refused
    refusal_code: Mapped[str] = mapped_column(String(40), default="")
