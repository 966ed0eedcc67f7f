"""What validation decides besides the best epoch."""

import numpy as np
import pytest
import torch

from secondread.models import create_model
from secondread.reading import Reader, load_bundle, write_bundle
from secondread.stats.calibration import Calibration
from secondread.testing.phantoms import chest_phantom, encode
from secondread.training.decide import map_zero


@pytest.mark.parametrize("threshold", [0.02, 0.5, 0.9])
def test_zero_of_a_map_is_the_logit_of_the_screening_point(threshold):
    decided = {"temperature": 1.7, "operating_points": {"screening": {"threshold": threshold}}}
    assert Calibration.from_record(decided).apply(np.array([map_zero(decided)]))[0] == pytest.approx(
        threshold, abs=1e-6
    )


def test_an_image_above_the_zero_has_a_cell_above_it():
    torch.manual_seed(0)
    model = create_model("lesion-lite0", in_chans=1, input_size=96).eval()
    with torch.inference_mode():
        logit, cells = model.forward_map(torch.rand(4, 1, 96, 96))
    assert (cells.flatten(1).max(dim=1).values >= logit).all()


def test_a_reader_counts_its_map_from_the_bundles_zero(phantom_bundle, tmp_path):
    bundle = load_bundle(phantom_bundle)
    record = {key: value for key, value in bundle.record.items() if key not in ("format", "version", "sha256")}
    record["heatmap"] = {**record["heatmap"], "zero": 0.25}
    shifted = write_bundle(tmp_path / "shifted", record=record, model=bundle.model_path.read_bytes())
    film = encode(chest_phantom((300, 260), random_state=1), "PNG")
    before, after = (Reader.load(one.folder).read(film) for one in (bundle, shifted))
    assert after.probability == before.probability
    np.testing.assert_allclose(after.heatmap.values, before.heatmap.values - 0.25, atol=1e-6)
