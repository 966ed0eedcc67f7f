"""How a contract is told what it runs over."""

from collections.abc import Sequence
from typing import Any, ClassVar


class Contract:
    """A class of tests, each of which takes a `name`; a subclass says which names there are."""

    names: ClassVar[Sequence[str]] = ()

    @classmethod
    def names_for(cls, test: str, config: Any) -> Sequence[Any]:
        """The names, or `pytest.param`s, that the test of that name runs over. config: pytest's."""
        return cls.names
