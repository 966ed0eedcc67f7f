"""What every network of the zoo promises; a new one joins by being listed."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from secondread.errors import UnknownName, UsageError
from secondread.models import MapGeometry, create_model, list_models
from secondread.models.registry import networks
from secondread.reading.onnx_file import check_network
from secondread.training.export import export_onnx
from tests.trained import film


@dataclass(frozen=True)
class Budget:
    """What a network is given here: pixels of input, and how to learn 16 images by heart."""

    size: int = 64
    learning_rate: float = 2e-3
    steps: int = 40


BUDGETS = {
    "lenet": Budget(learning_rate=5e-3, steps=80),
    "lenet-overlap": Budget(learning_rate=5e-3, steps=150),
    "vit": Budget(learning_rate=5e-4),
    "vgg16": Budget(size=32, learning_rate=1e-4),  # heavy, and upset by larger steps without batch norm
}
# A change of one place moves other cells, too: in the lenets by the ReLUs of their head, in efficientnet-lite, while
# untrained, by fields wider than the image, and in those that find boxes by what the whole image adds to all alike.
NOT_LOCAL = ("lenet", "efficientnet-lite", "lesion-boxes", "plain-boxes")
# On the side of the image where the change is, but, before training, not always in its very cell.
WIDE = (*NOT_LOCAL, "lesion-lite", "vgg", "vit")

every_network = pytest.mark.parametrize("name", list(list_models()))
# For what takes seconds: sizes of one architecture share their layers, so the first name of each stands for all.
ARCHITECTURES = {
    name: home
    for (home, _), name in {
        (home, maker.rstrip("0123456789")): name for name, (home, maker, _) in reversed(networks().items())
    }.items()
}


def architectures(without=()):
    """The test of every architecture: of what a clinic runs in `make test`, of the lab's in `make test-peers`."""
    return pytest.mark.parametrize(
        "name",
        [
            pytest.param(name, marks=pytest.mark.peers if home.startswith("secondread.lab.") else ())
            for name, home in ARCHITECTURES.items()
            if not name.startswith(without or "-")
        ],
    )


every_architecture = architectures()


def network(name, *, in_chans=1, **options):
    torch.manual_seed(11)
    return create_model(name, in_chans=in_chans, input_size=budget(name).size, **options)


def budget(name):
    return BUDGETS.get(name, Budget())


def images(name, n, *, channels=1):
    return torch.rand(n, channels, budget(name).size, budget(name).size, generator=torch.Generator().manual_seed(5))


def phantoms(name, n=16):
    """Chest films, every second one with disease: float (n, 1, S, S) in 0–1, labels float (n,)."""
    films = np.stack([film(budget(name).size, number, disease=bool(number % 2)) for number in range(n)])
    return torch.from_numpy(films)[:, None].float() / 255, torch.arange(n).float() % 2


def settled(name, **options):
    """A network in the state that a few batches leave it in: its batch norms have seen images."""
    model = network(name, **options)
    with torch.no_grad():
        for _ in range(3):
            model(phantoms(name, 8)[0].expand(-1, options.get("in_chans", 1), -1, -1))
    return model.eval()


@every_network
@pytest.mark.parametrize(("channels", "classes"), [(1, 1), (3, 1), (1, 3)])
def test_answers_have_the_promised_shapes(name, channels, classes):
    model = network(name, in_chans=channels, num_classes=classes).eval()
    x = images(name, 2, channels=channels)
    with torch.inference_mode():
        logits = model(x)
        logit, cam = model.forward_map(x)
    assert logits.shape == (2, classes)
    assert logit.shape == (2,)
    assert cam.shape[0] == 2
    assert cam.ndim == 3
    torch.testing.assert_close(logit, logits[:, 0], rtol=1e-4, atol=1e-5)


@every_network
def test_every_parameter_learns_and_belongs_to_one_stage(name):
    model = network(name)
    x, labels = phantoms(name, 4)
    F.binary_cross_entropy_with_logits(model(x)[:, 0], labels).backward()
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name
    in_stages = [id(parameter) for stage in model.stages() for parameter in stage.parameters()]
    assert sorted(in_stages) == sorted(id(parameter) for parameter in model.parameters())


@every_architecture
def test_learns_16_images_by_heart(name):
    model, given = network(name).train(), budget(name)
    x, labels = phantoms(name, 16)
    optimizer = torch.optim.Adam(model.parameters(), lr=given.learning_rate)
    for _ in range(given.steps):
        loss = F.binary_cross_entropy_with_logits(model(x)[:, 0], labels)
        if loss.item() < 0.1:
            return
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    pytest.fail(f"loss {loss.item():.3f} after {given.steps} steps")


@every_architecture
def test_onnx_runtime_computes_the_same(name):
    model = settled(name)
    x = (phantoms(name, 4)[0] * 255).byte().permute(0, 2, 3, 1).numpy()
    exported = export_onnx(model, size=budget(name).size, channels=1, images=x)  # refuses what differs
    check_network(exported.model, size=budget(name).size, channels=1)  # and a reader of the bundle would open it
    with torch.inference_mode():
        assert exported.cells == model.forward_map(images(name, 1))[1].shape[-1]


@every_network
def test_an_image_is_answered_alike_alone_and_in_company(name):
    model = settled(name)
    x = images(name, 3)
    with torch.inference_mode():
        together, maps = model.forward_map(x)
        alone, its_map = model.forward_map(x[1:2])
    torch.testing.assert_close(alone, together[1:2], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(its_map, maps[1:2], rtol=1e-4, atol=1e-5)


@every_architecture
def test_runs_in_half_precision_and_channels_last(name):
    model = network(name).to(memory_format=torch.channels_last)
    x, labels = phantoms(name, 4)
    x = x.contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(x)
        logit, cam = model.eval().forward_map(x)
    loss = F.binary_cross_entropy_with_logits(logits[:, 0].float(), labels)
    loss.backward()
    assert loss.isfinite()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())
    assert logit.isfinite().all()
    assert cam.isfinite().all()


@every_network
def test_map_varies_and_lies_on_the_image(name):
    size = 96  # more than one cell of 32 pixels
    model = create_model(name, in_chans=1, input_size=size).eval()
    x = torch.from_numpy(np.stack([film(size, number, disease=bool(number)) for number in range(2)]))[:, None] / 255
    with torch.inference_mode():
        _, cam = model.forward_map(x)
    assert cam.isfinite().all()
    assert (cam.flatten(1).std(dim=1) > 0).all()
    last = model.geometry.first_centre + (cam.shape[-1] - 1) * model.geometry.stride
    assert 0 < model.geometry.first_centre <= last < size


@architectures(without=WIDE)
def test_map_changes_most_where_the_image_does(name):
    stride, changes = changes_of_four_places(name)
    reach = patch_size(stride) / 2 + stride  # on the changed pixels, or one cell beside them
    for (row, column), change in changes.items():
        highest_row, highest_column = divmod(int(change.argmax()), len(change))
        distance = stride * max(abs(highest_row - row), abs(highest_column - column))
        assert distance <= reach, (row, column)


@architectures(without=NOT_LOCAL)
def test_map_changes_on_the_side_where_the_image_does(name):
    _, changes = changes_of_four_places(name)
    for place, change in changes.items():
        offsets = torch.arange(len(change)) - (len(change) - 1) / 2  # of cells from the middle
        balance = (change.sum(dim=1) @ offsets, change.sum(dim=0) @ offsets)
        for cell, side in zip(place, balance, strict=True):
            assert (cell > 1) == (float(side) > 0), place


@cache
def changes_of_four_places(name, size=160):
    """Stride, and for a cell near each corner: squared change of the map (cells, cells) when its pixels are noise.

    size: enough pixels for a place to be told from its neighbours.
    """
    torch.manual_seed(11)
    model = create_model(name, in_chans=1, input_size=size)
    x = torch.from_numpy(np.stack([film(size, number, disease=False) for number in range(4)]))[:, None].float() / 255
    changes = {}
    with torch.no_grad():
        model(x)
        before = model.eval().forward_map(x)[1]
        far = before.shape[-1] - 2
        for row, column in ((1, 1), (1, far), (far, 1), (far, far)):
            changed = x.clone()
            place = changed[:, :, patch(model.geometry, row), patch(model.geometry, column)]
            place.copy_(torch.rand(place.shape, generator=torch.Generator().manual_seed(1)))
            changes[row, column] = (model.forward_map(changed)[1] - before).square().sum(dim=0)
    return model.geometry.stride, changes


def patch(geometry: MapGeometry, cell: int) -> slice:
    """The pixels of a cell; of small cells those around it, for no network sees a single pixel."""
    centre, half = geometry.first_centre + cell * geometry.stride, patch_size(geometry.stride) / 2
    return slice(max(0, round(centre - half)), round(centre + half))


def patch_size(stride: float) -> float:
    return max(stride, 16.0)


def test_a_name_misspelt_is_answered_with_the_nearest():
    with pytest.raises(UnknownName, match="did you mean 'capsule'"):
        create_model("capsul", in_chans=1)


@pytest.mark.parametrize(("name", "size"), [("unet", 100), ("capsule", 24), ("lenet-overlap", 30)])
def test_an_input_that_does_not_fit_is_refused(name, size):
    with pytest.raises(UsageError, match="needs an input"):
        create_model(name, in_chans=1, input_size=size)
