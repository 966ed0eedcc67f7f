"""A data set that remembers the values it was asked for: pydicom looks each up in its dictionary again, 5 µs a time."""

from typing import Any

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset, FileDataset

_MISSING = object()


class Remembering(FileDataset):
    """As it is read, with what was asked for by keyword at hand.

    What is set by keyword or as an element is forgotten; not so a value changed within its element.
    """

    def get(self, key: Any, default: Any = None) -> Any:
        """As a data set's. A damaged value raises each time that it is asked for."""
        tag = tag_for_keyword(key) if isinstance(key, str) else None
        if tag is None:
            return super().get(key, default)
        found = self.__dict__["_known"].get(tag, _MISSING)
        if found is not _MISSING:
            return found
        return super().get(key, default) if tag in self.keys() else default

    def __getattr__(self, name: str) -> Any:
        tag = tag_for_keyword(name)
        if tag is None:
            return super().__getattr__(name)
        known = self.__dict__["_known"]
        found = known.get(tag, _MISSING)
        if found is _MISSING:
            found = known[tag] = super().__getattr__(name)
        return found

    def __contains__(self, name: Any) -> bool:
        tag = tag_for_keyword(name) if isinstance(name, str) else None
        return super().__contains__(name) if tag is None else tag in self.keys()

    def __setattr__(self, name: str, value: Any) -> None:
        self.__dict__["_known"].pop(tag_for_keyword(name), None)
        super().__setattr__(name, value)

    def __setitem__(self, key: Any, element: Any) -> None:
        self.__dict__["_known"].pop(element.tag, None)
        super().__setitem__(key, element)

    def __delitem__(self, key: Any) -> None:
        self.__dict__["_known"].clear()
        super().__delitem__(key)

    def __delattr__(self, name: str) -> None:
        self.__dict__["_known"].clear()
        super().__delattr__(name)


def remembering(ds: Dataset) -> Dataset:
    """The same data set, which remembers from now on; one that was not read from a file stays as it is."""
    if type(ds) is FileDataset:
        ds.__dict__["_known"] = {}
        ds.__class__ = Remembering
    return ds
