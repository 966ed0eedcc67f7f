"""A whole archive read into one table: bounded in memory, and gone on with after a kill."""

from secondread.screening.run import ENGINES, Progress, Screened, screen
from secondread.screening.store import Store, store_of

__all__ = ["ENGINES", "Progress", "Screened", "Store", "screen", "store_of"]
