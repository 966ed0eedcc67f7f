"""How the shapes of requests and answers are declared: once, for the document, for parsing and for answering.

A `…Row` is what lists hold: the document names it apart from the same shape as an answer of its own.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

from apiflask import Schema
from apiflask.fields import Boolean, DateTime, Dict, Field, Float, Integer, List, String
from marshmallow import ValidationError

LARGEST_ID = 2**31 - 1
_FIELDS: dict[Any, type[Field]] = {str: String, int: Integer, float: Float, bool: Boolean, datetime: DateTime}


class Text(String):
    """Text that can be stored: what is no Unicode (half a surrogate pair) is refused."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        found = super()._deserialize(value, attr, data, **kwargs)
        try:
            str(found).encode()
        except UnicodeEncodeError as error:
            raise ValidationError("this is no text") from error
        return str(found).replace("\0", "")


class Happened(Boolean):
    """Whether a moment is there, of an attribute that holds it or None."""

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> bool:
        return value is not None


def said(text: str) -> dict[str, Any]:
    """What the document says of a field."""
    return {"description": text}


def one_of(names: Iterable[str | None]) -> dict[str, Any]:
    """The values that the document names for a field."""
    return {"enum": list(names)}


def shape_of(record: type, names: str) -> Callable[[type[Schema]], type[Schema]]:
    """Give a schema the fields of a record: their types, and which may be null, are those of its annotations.

    names: of its attributes and properties those that are answered, in their order; 'asked.task' for a part of one. In
    the body of the schema a dict is what the document says of such a field besides its type, and a field stands in the
    place of the one of its name, or behind all that are named.
    """

    def fill(schema: type[Schema]) -> type[Schema]:
        own = dict(schema().declared_fields)
        found: dict[str, Any] = {}
        for path in names.split():
            name = path.rpartition(".")[2]
            about = getattr(schema, name, None)
            metadata = about if isinstance(about, dict) else {}
            found[name] = own.pop(name, None) or _field(
                _type_of(record, path), required=True, attribute=path, metadata=metadata
            )
        kind: Any = type(schema)
        kept = {"__doc__": schema.__doc__, "__module__": schema.__module__}
        filled: type[Schema] = kind(schema.__name__, schema.__bases__, kept | found | own)
        return filled

    return fill


def _type_of(record: type, path: str) -> Any:
    """As annotated, of an attribute or a property."""
    for name in path.split("."):
        found = getattr(record, name, None)
        record = get_type_hints(found.fget)["return"] if isinstance(found, property) else get_type_hints(record)[name]
    return record


def _field(annotation: Any, **options: Any) -> Field:
    inside = [one for one in get_args(annotation) if one is not NoneType]
    if NoneType in get_args(annotation):
        return _field(inside[0], allow_none=True, **options)
    origin = get_origin(annotation) or annotation
    if origin in (tuple, list, frozenset):
        return List(_field(inside[0]), **options)
    return _FIELDS.get(origin, Dict)(**options)
