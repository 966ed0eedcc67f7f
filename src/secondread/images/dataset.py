"""A pydicom data set that a program holds, as the bytes of its file: read and checked in the one way that files are."""

import io
import sys
import warnings
from typing import Any, Protocol

from secondread.errors import UnsupportedImage
from secondread.images.image import Limits

_ITEM = b"\xfe\xff\x00\xe0"  # begins what is encapsulated (PS3.5 annex A.4)


class DataSet(Protocol):
    """What pydicom calls a Dataset, which nothing but this room imports."""

    def get(self, key: Any, default: Any = None) -> Any:
        """An element's value."""
        ...

    def to_json_dict(self) -> dict[str, Any]:
        """Its elements, as PS3.18 annex F writes them."""
        ...


def is_dataset(source: object) -> bool:
    """Whether this is a data set of pydicom; without pydicom loaded, nothing is."""
    kind = getattr(sys.modules.get("pydicom.dataset"), "Dataset", None)
    return kind is not None and isinstance(source, kind)


def dataset_bytes(ds: Any, *, limits: Limits) -> bytes:
    """The file that the data set would be saved as; the data set stays as it is.

    One without file meta information, or a transfer syntax in it, is taken for what it was read as, else for explicit
    little endian: pixels as they lie in memory. Raises ImageTooLarge, or UnsupportedImage where that cannot be.
    """
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    pixels = ds.get("PixelData") or b""
    limits.check_bytes(len(pixels))
    syntax = getattr(ds, "file_meta", {}).get("TransferSyntaxUID")
    if syntax is None and pixels[:4] == _ITEM:
        raise UnsupportedImage(
            "this data set does not say how its pixels are compressed; set ds.file_meta.TransferSyntaxUID"
        )
    if syntax is None:
        implicit, little = ds.original_encoding
        syntax = ImplicitVRLittleEndian if implicit else ExplicitVRBigEndian if little is False else None
    whole = ds[0x00030000:]  # what stands before is of files and messages (PS3.10 section 7.1)
    whole.file_meta, whole.preamble = FileMetaDataset(), bytes(128)
    whole.file_meta.TransferSyntaxUID = syntax or ExplicitVRLittleEndian
    target = io.BytesIO()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd values, which are judged once they are read
            whole.save_as(target, enforce_file_format=False)
    except Exception as error:  # anything may be in a data set that a program made
        raise UnsupportedImage(f"this data set cannot be written as a DICOM file: {error}") from error
    return target.getvalue()
