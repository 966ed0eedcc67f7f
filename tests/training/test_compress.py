"""Weights in fewer bytes: a smaller file, nearly the same answer."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from secondread.errors import TrainingError
from secondread.training.compress import in_half, in_int8
from secondread.training.export import WithScaling, export_onnx, run_onnx, to_onnx

IMAGES = np.random.default_rng(6).integers(0, 256, (5, 64, 64, 1), dtype=np.uint8)


class Cells(nn.Module):
    """Every kind of layer that the shipped networks have, few of each: the answer is a smooth maximum of the cells."""

    def __init__(self):
        super().__init__()
        self.cells = nn.Sequential(
            nn.Conv2d(1, 32, 3, stride=4, padding=1), nn.BatchNorm2d(32), nn.ReLU6(),
            nn.Conv2d(32, 32, 3, padding=1, groups=32), nn.ReLU6(),
            nn.Conv2d(32, 320, 3, stride=4, padding=1), nn.ReLU6(),
            nn.Conv2d(320, 320, 1), nn.ReLU6(), nn.Conv2d(320, 1, 1),
        )  # fmt: skip
        self.last = nn.Linear(320, 320)

    def forward_map(self, x):
        deep = self.cells[:-1](x)
        cam = self.cells[-1](deep)[:, 0]
        return cam.flatten(1).logsumexp(1) + self.last(deep.mean((2, 3))).mean(1), cam


@pytest.fixture(scope="module")
def exported():
    torch.manual_seed(4)
    return export_onnx(Cells(), size=64, channels=1).model


@pytest.mark.parametrize(("compress", "share", "difference"), [(in_half, 0.6, 0.02), (in_int8, 0.36, 0.05)])
def test_the_file_is_smaller_and_the_answer_hardly_another(exported, compress, share, difference):
    smaller = compress(exported)
    onnx.checker.check_model(onnx.load_from_string(smaller))
    assert len(smaller) < share * len(exported)
    images = np.random.default_rng(6).integers(0, 256, (5, 64, 64, 1), dtype=np.uint8)
    whole, less = (run_onnx(data, images, outputs=["logit", "cam"], batch_size=2) for data in (exported, smaller))
    for expected, found in zip(whole, less, strict=True):
        assert found.shape == expected.shape
        assert 0 < np.abs(found - expected).max() < difference


def test_weights_kept_as_float16_go_on_to_int8_as_the_same_steps(exported):
    straight, over_half = (
        run_onnx(in_int8(data), IMAGES, outputs=["logit"])[0] for data in (exported, in_half(exported))
    )
    np.testing.assert_allclose(straight, over_half, atol=0.02)
    assert len(in_int8(in_half(exported))) == pytest.approx(len(in_int8(exported)), rel=0.01)


def test_widening_is_done_once_when_a_session_starts(exported, tmp_path):
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    onnxruntime.InferenceSession(in_int8(exported), options, providers=["CPUExecutionProvider"])
    nodes = onnx.load(tmp_path / "optimised.onnx").graph.node
    assert not [node.name for node in nodes if any(name.endswith((".int8", ".wide")) for name in node.input)]


def test_a_weight_too_large_for_half_precision_is_refused():
    torch.manual_seed(4)
    model = Cells()
    with torch.no_grad():
        model.last.weight[0, 0] = 7e4
    with pytest.raises(TrainingError, match="float16"):
        in_half(to_onnx(WithScaling(model.eval()), size=64, channels=1, outputs=["logit", "cam"]))
