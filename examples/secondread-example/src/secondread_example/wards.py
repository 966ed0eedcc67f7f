"""An importer: ward/patient/film.clear.png and ward/patient/film.opacity.png."""

from pathlib import Path

from secondread.data import Manifest, Row
from secondread.errors import DataInvalid
from secondread.tasks import Task

_LABELS = {"clear": 0, "opacity": 1}


def import_wards(folder: Path, *, task: Task | None = None) -> Manifest:
    """Folders WARD/PATIENT with files NAME.clear.png and NAME.opacity.png; a ward is a source."""
    films = sorted(path for path in folder.glob("*/*/*.png") if path.is_file())
    rows = []
    for path in films:
        label = _LABELS.get(path.stem.rpartition(".")[2])
        if label is None:
            raise DataInvalid(f"'{path}' ends neither .clear.png nor .opacity.png; rename it")
        ward, patient = path.parts[-3:-1]
        rows.append(
            Row(
                path=path,
                name=path.relative_to(folder).as_posix(),
                label=label,
                class_name=task.classes[label] if task else path.stem.rpartition(".")[2],
                source=ward,
                patient=f"{ward}/{patient}",  # two wards may number their patients alike
            )
        )
    if {row.label for row in rows} != {0, 1}:
        raise DataInvalid(f"'{folder}' has no films of both kinds as WARD/PATIENT/NAME.clear.png and NAME.opacity.png")
    return Manifest(tuple(rows), folder)


def write_example(folder: Path, *, patients: int = 4) -> dict[str, tuple[int, str]]:
    """Write a folder in this layout, of phantoms: what the contract of importers reads. Path → label, patient."""
    from secondread.testing.phantoms import encode, film

    told = {}
    for number in range(2 * patients):
        label, patient = number % 2, number // 2
        ward = f"ward{patient % 2}"
        name = f"{ward}/p{patient}/film{number}.{'opacity' if label else 'clear'}.png"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(encode(film(64, number, disease=bool(label)), "PNG"))
        told[name] = (label, f"{ward}/p{patient}")
    return told


import_wards.write_example = write_example
