"""Labelled images: manifests, importers, group-aware splits, the cache of prepared images, downloads."""

from secondread.data.cache import PREPROCESSING_VERSION, PreparedSet, prepared_cache
from secondread.data.cells import safe
from secondread.data.download import download
from secondread.data.importers import Importer, import_folder, import_with, known_importers, list_importers, load_data
from secondread.data.manifest import Manifest, Row, summarise
from secondread.data.split import split
from secondread.data.table import check_manifest, read_manifest, read_table, table_of, write_manifest

__all__ = [
    "PREPROCESSING_VERSION",
    "Importer",
    "Manifest",
    "PreparedSet",
    "Row",
    "check_manifest",
    "download",
    "import_folder",
    "import_with",
    "known_importers",
    "list_importers",
    "load_data",
    "prepared_cache",
    "read_manifest",
    "read_table",
    "safe",
    "split",
    "summarise",
    "table_of",
    "write_manifest",
]
