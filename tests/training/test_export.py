"""ONNX from torch: parity, or no file at all."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from secondread.errors import TrainingError
from secondread.models import create_model
from secondread.models.cam import MapGeometry
from secondread.training.export import export_onnx, run_onnx


@pytest.fixture(autouse=True, scope="module")
def _traced_once():
    """Not here: exports are what is tested."""


# tests/models exports every network
@pytest.mark.parametrize("channels", [1, 3])
def test_logit_and_map_come_from_one_pass_and_equal_torch(channels):
    torch.manual_seed(3)
    model = create_model("lenet", in_chans=channels).eval()
    exported = export_onnx(model, size=128, channels=channels)
    images = np.random.default_rng(5).integers(0, 256, (3, 128, 128, channels), dtype=np.uint8)
    session = onnxruntime.InferenceSession(exported.model, providers=["CPUExecutionProvider"])
    logit, cam = session.run(["logit", "cam"], {"image": images})
    with torch.inference_mode():
        expected_logit, expected_cam = model.forward_map(torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255)
    np.testing.assert_allclose(logit, expected_logit.numpy(), atol=1e-5)
    np.testing.assert_allclose(cam, expected_cam.numpy(), atol=1e-5)
    assert exported.logit_difference < 1e-5


def test_a_mirrored_network_gives_an_image_and_its_mirror_image_one_answer():
    torch.manual_seed(4)
    exported = export_onnx(create_model("lenet", in_chans=1), size=128, channels=1, mirrored=True)
    images = np.random.default_rng(6).integers(0, 256, (2, 128, 128, 1), dtype=np.uint8)
    logit, cam = run_onnx(exported.model, images, outputs=["logit", "cam"])
    other_logit, other_cam = run_onnx(exported.model, images[:, :, ::-1].copy(), outputs=["logit", "cam"])
    np.testing.assert_allclose(logit, other_logit, atol=1e-5)
    np.testing.assert_allclose(cam, other_cam[:, :, ::-1], atol=1e-5)


def test_exported_file_holds_no_paths_of_this_machine():
    exported = export_onnx(create_model("lenet", in_chans=1), size=128, channels=1)
    text = exported.model.decode("latin-1")
    assert "export.py" not in text
    assert "stack_trace" not in text
    onnx.checker.check_model(onnx.load_from_string(exported.model))


class Unsteady(nn.Module):
    """A network whose traced graph is not what it computes."""

    geometry = MapGeometry(0, 1)

    def __init__(self):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(1))

    def forward_map(self, x):
        shift = 1.0 if torch.compiler.is_exporting() else 0.0
        return x.mean(dim=(1, 2, 3)) + self.bias + shift, x.mean(dim=1)


class Rough(Unsteady):
    """Exported, its map is off by a thousandth."""

    def __init__(self, scale: float):
        super().__init__()
        self.scale = scale

    def forward_map(self, x):
        shift = 1e-3 if torch.compiler.is_exporting() else 0.0
        return x.mean(dim=(1, 2, 3)) + self.bias, x.mean(dim=1) * self.scale + shift


def test_a_map_is_held_to_a_share_of_its_largest_value():
    assert export_onnx(Rough(100.0), size=16, channels=1).map_difference == pytest.approx(1e-5, rel=0.2)
    with pytest.raises(TrainingError, match=r"map by 0\.001 \(allowed 0\.0001\)"):
        export_onnx(Rough(1.0), size=16, channels=1)


def test_a_model_that_exports_to_something_else_is_refused():
    with pytest.raises(TrainingError, match="differs from torch"):
        export_onnx(Unsteady(), size=16, channels=1)
