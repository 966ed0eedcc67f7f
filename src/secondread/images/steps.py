"""The steps of an image's way (decode, gate, network, store), told to whoever measures them; to nobody by default.

A step tells its name and nothing else: not which image, whose, or what came out. Without a listener it costs the look
at one variable.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

Step = Literal["receive", "decode", "gate", "network", "store", "item"]
Listener = Callable[[Step], AbstractContextManager[Any]]
_NOBODY: AbstractContextManager[None] = nullcontext()
_listener: Listener | None = None


def step(name: Step) -> AbstractContextManager[Any]:
    """To be held while the step lasts."""
    return _NOBODY if _listener is None else _listener(name)


def listen(listener: Listener | None) -> None:
    """Tell every step of this process to this listener from now on; None: to nobody."""
    global _listener
    _listener = listener
