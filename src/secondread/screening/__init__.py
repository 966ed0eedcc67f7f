"""A whole archive read into one table: bounded in memory, and gone on with after a kill."""

from secondread.screening.run import Progress, Screened, screen

__all__ = ["Progress", "Screened", "screen"]
