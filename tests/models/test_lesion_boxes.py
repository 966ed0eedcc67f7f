"""The network that finds boxes: one score for image and box, and what teaches which part of it."""

import numpy as np
import pytest
import torch

from secondread.models import create_model
from secondread.reading.findings import findings_of
from secondread.training.boxes import box_loss
from secondread.training.export import export_onnx, run_onnx

SIZE = 96


@pytest.fixture(scope="module")
def network():
    """With weights that make its cells differ, as training does."""
    torch.manual_seed(3)
    model = create_model("tests.models.small:lesion_boxes", in_chans=1, input_size=SIZE)
    with torch.no_grad():
        model.head.weight.normal_(std=3.0)
        model.context[1].weight.normal_(std=1.0)
        for _ in range(2):
            model.train()(films())
    return model.eval()


def films(n=4):
    return torch.rand(n, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(8))


def test_the_answer_is_its_greatest_score(network):
    with torch.inference_mode():
        logit, scores, reach = network.forward_boxes(films())
        assert torch.equal(logit, scores.amax(dim=(1, 2)))
        assert torch.allclose(network(films())[:, 0], logit)
    assert reach.shape == (4, 4, *scores.shape[1:])
    assert (reach > 0).all()
    assert scores.std() > 0.1


def test_the_whole_image_moves_all_of_its_scores_alike_and_not_far(network):
    with torch.inference_mode():
        _, scores, _ = network.forward_boxes(films())
        _, local, _ = network.taught_boxes(films())
    shift = scores - local
    assert torch.allclose(shift, shift[:, :1, :1], atol=1e-4)
    assert shift.abs().max() <= 3.0
    assert shift.std() > 0  # of the images, among each other


def test_boxes_teach_nothing_about_whole_images(network):
    model = network.train()
    _, local, reach = model.taught_boxes(films())
    boxes = torch.full((4, 1, 4), float("nan"))
    boxes[0, 0] = torch.tensor([20.0, 20, 50, 40])
    box_loss(local, reach, boxes, torch.ones(4, dtype=torch.bool), model.geometry).backward()
    assert all(parameter.grad is None for parameter in model.context.parameters())
    assert model.head.weight.grad.abs().sum() > 0
    model.zero_grad()
    model.eval()


@pytest.mark.parametrize("mirrored", [False, True])
def test_as_it_is_served_an_image_is_positive_exactly_where_one_of_its_boxes_is(network, mirrored):
    images = (films(6) * 255).byte().permute(0, 2, 3, 1).numpy()
    exported = export_onnx(network, size=SIZE, channels=1, images=images, mirrored=mirrored)
    assert exported.box_difference is not None
    logits, scores, reach = run_onnx(exported.model, images, outputs=["logit", "cam", "box"])
    assert np.array_equal(logits, scores.max(axis=(1, 2)))
    for point in np.quantile(logits, [0, 0.3, 0.6, 0.9]):
        for logit, own, sides in zip(logits, scores, reach, strict=True):
            found = findings_of(
                own,
                sides,
                extent=(0.0, 0.0, 1.0, 1.0),
                shown=(0.0, 0.0, SIZE, SIZE),
                size=SIZE,
                image_size=(SIZE, SIZE),
                above=float(point),
            )
            assert bool(found) == (logit > point)
            assert max((one.logit for one in found), default=logit) == pytest.approx(logit)
    if mirrored:
        other = run_onnx(exported.model, images[:, :, ::-1].copy(), outputs=["cam", "box"])
        assert np.allclose(other[0][:, :, ::-1], scores, atol=1e-3)
        assert np.allclose(other[1][:, [2, 1, 0, 3], :, ::-1], reach, rtol=1e-3)
