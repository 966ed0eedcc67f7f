"""What the highest score of many slices finds and costs: the validation patients' slices as one file each."""

from collections import defaultdict

import numpy as np

from benchmarks._common import data_folder, save
from secondread.data import Row, load_data
from secondread.images import decode
from secondread.reading import Reader, Reading, read_series
from secondread.stats.proportions import group_codes, proportion
from secondread.tasks import load_task

TASK, SOURCE, SPLIT = "brain-tumour", "lgg", "val"


def series_of(reader: Reader, rows: list[Row]) -> Reading:
    """The slices of one patient as the frames of one file."""
    pictures = (decode(row.path.read_bytes()) for row in rows)
    return read_series(pictures, reader.read).answer(elapsed=0.0)


def main() -> None:
    """Whole files must be positive by a slice with the tumour; files of the slices without one should be negative."""
    reader = Reader.load(TASK)
    manifest = load_data(data_folder() / TASK / "manifest.csv", task=load_task(TASK))
    patients: dict[str, list[Row]] = defaultdict(list)
    for row in manifest.rows:
        if (row.source, row.split) == (SOURCE, SPLIT):
            patients[row.patient].append(row)
    right: list[bool] = []
    alarm: list[bool] = []
    slice_alarm: list[bool] = []
    groups: list[str] = []
    sizes: list[int] = []
    for patient, rows in sorted(patients.items()):
        whole = series_of(reader, rows)
        right.append(whole.decision == "positive" and rows[(whole.worst_frame or 1) - 1].label == 1)
        well = [row for row in rows if row.label == 0]
        without = series_of(reader, well)
        alarm.append(without.decision == "positive")
        slice_alarm += [one.decision == "positive" for one in without.frames if one.refusal is None]
        groups += [patient] * (len(slice_alarm) - len(groups))
        sizes.append(len(well))
    table = {
        "bundle": reader.bundle.id,
        "operating_point": reader.operating_point.name,
        "images": f"{TASK}, {SOURCE}, {SPLIT}: {len(patients)} patients",
        "files_positive_by_a_slice_with_the_tumour": proportion(np.array(right)).to_dict(),
        "slices_without_a_tumour_in_a_file_median": float(np.median(sizes)),
        "files_of_slices_without_a_tumour_called_positive": proportion(np.array(alarm)).to_dict(),
        "slices_without_a_tumour_called_positive": proportion(np.array(slice_alarm), group_codes(groups)).to_dict(),
    }
    save("several_frames", table)


if __name__ == "__main__":
    main()
