"""What every importer promises, as tests: rows, labels and groups as the folder tells them, and no guess at others."""

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest

from secondread.data import Manifest, import_with, known_importers, read_manifest, write_manifest
from secondread.errors import CannotOpen, DataInvalid
from secondread.testing.contract import Contract
from secondread.testing.phantoms import chest_phantom, encode

Example = dict[str, tuple[int, str]]  # path within the folder → label, patient ('' where the layout tells none)


class ImporterContract(Contract):
    """A subclass names importers and says how to write an example of each layout.

    Without an entry in `examples`, the importer's attribute `write_example` writes it: (folder) → Example.
    """

    examples: ClassVar[dict[str, Callable[[Path], Example]]] = {}

    def write(self, name: str, folder: Path) -> Example:
        """A folder in the importer's layout, of both classes; the test is skipped where there is none to be had."""
        write = self.examples.get(name) or getattr(known_importers()[name], "write_example", None)
        if write is None:
            pytest.skip(f"{name} has no attribute write_example that writes a folder in its layout")
        folder.mkdir()
        return write(folder)

    def test_rows_labels_and_patients_are_what_the_folder_tells(self, name: str, tmp_path: Path) -> None:
        expected = self.write(name, tmp_path / "given")
        manifest = import_with(name, tmp_path / "given")
        assert {row.name: (row.label, row.patient) for row in manifest.rows} == expected
        assert {row.label for row in manifest.rows} == {0, 1}
        assert all(row.path.is_file() for row in manifest.rows)

    def test_no_patient_is_in_two_splits(self, name: str, tmp_path: Path) -> None:
        self.write(name, tmp_path / "given")
        manifest = import_with(name, tmp_path / "given")
        assert not manifest.divided()
        assert not manifest.divided("patient")

    def test_the_same_folder_gives_the_same_table_and_stays_as_it_was(self, name: str, tmp_path: Path) -> None:
        self.write(name, tmp_path / "given")
        before = sorted(path for path in (tmp_path / "given").rglob("*"))
        one, again = (import_with(name, tmp_path / "given") for _ in range(2))
        assert one == again
        assert sorted(path for path in (tmp_path / "given").rglob("*")) == before

    def test_a_manifest_of_it_says_the_same(self, name: str, tmp_path: Path) -> None:
        self.write(name, tmp_path / "given")
        manifest = import_with(name, tmp_path / "given")
        write_manifest(manifest, tmp_path / "manifest.csv")
        assert _told(read_manifest(tmp_path / "manifest.csv")) == _told(manifest)

    def test_a_folder_in_no_layout_is_refused(self, name: str, tmp_path: Path) -> None:
        for number, files in enumerate(({}, {"notes.txt": b"nothing"}, {"a.png": _FILM, "b.png": _FILM})):
            folder = tmp_path / str(number)
            folder.mkdir()
            for file, content in files.items():
                (folder / file).write_bytes(content)
            with pytest.raises(DataInvalid):
                import_with(name, folder)

    def test_no_folder_is_refused(self, name: str, tmp_path: Path) -> None:
        with pytest.raises(CannotOpen, match="nowhere"):
            import_with(name, tmp_path / "nowhere")


_FILM = encode(chest_phantom(32, random_state=0), "PNG")


def _told(manifest: Manifest) -> list[tuple[object, ...]]:
    return [(row.path, row.label, row.source, row.patient, row.group, row.split, row.mask) for row in manifest.rows]
