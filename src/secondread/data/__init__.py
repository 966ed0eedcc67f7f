"""Labelled images: manifests, importers, group-aware splits, the cache of prepared images, downloads."""

from secondread.data._cache import PREPROCESSING_VERSION, PreparedSet, prepared_cache
from secondread.data._csv import read_table
from secondread.data._download import download
from secondread.data._importers import import_folder, load_data
from secondread.data._manifest import Manifest, Row
from secondread.data._split import split
from secondread.data._summary import summarise
from secondread.data._table import check_manifest, read_manifest, write_manifest

__all__ = [
    "PREPROCESSING_VERSION",
    "Manifest",
    "PreparedSet",
    "Row",
    "check_manifest",
    "download",
    "import_folder",
    "load_data",
    "prepared_cache",
    "read_manifest",
    "read_table",
    "split",
    "summarise",
    "write_manifest",
]
