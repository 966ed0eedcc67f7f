"""What every network promises, as tests: shapes, stages, learning, export to ONNX, and a map that lies on the image."""

from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from secondread.errors import UsageError
from secondread.models import MapGeometry, create_model
from secondread.reading.onnx_file import check_network
from secondread.testing.contract import Contract
from secondread.testing.phantoms import film
from secondread.training.export import export_onnx

SIZES = (64, 96, 160)  # pixels of input; a network may refuse a size, and must not answer wrongly


@dataclass(frozen=True)
class Facts:
    """What the tests need to know of a network, and what it claims."""

    size: int = 64  # pixels of input
    learning_rate: float = 2e-3  # with which 16 images are learnt by heart
    steps: int = 40
    map_follows: Literal["cell", "side", ""] = "cell"  # where the map changes most when a place of the image does
    grey_is_three_channels: bool = False  # made for three channels it takes one, and answers as for three equal ones


class NetworkContract(Contract):
    """A subclass names networks; `facts` says what is special of one."""

    def facts(self, name: str) -> Facts:
        """What holds for the network of that name."""
        return Facts()

    @pytest.mark.parametrize(("channels", "classes"), [(1, 1), (3, 1), (1, 3)])
    def test_answers_have_the_promised_shapes(self, name: str, channels: int, classes: int) -> None:
        size = self.facts(name).size
        model = network(name, size, in_chans=channels, num_classes=classes).eval()
        x = noise(size, 2, channels=channels)
        with torch.inference_mode():
            logits = model(x)
            logit, cam = model.forward_map(x)
        assert logits.shape == (2, classes)
        assert logit.shape == (2,)
        assert cam.shape[0] == 2
        assert cam.ndim == 3
        torch.testing.assert_close(logit, logits[:, 0], rtol=1e-4, atol=1e-5)

    def test_every_parameter_learns_and_belongs_to_one_stage(self, name: str) -> None:
        size = self.facts(name).size
        model = network(name, size)
        x, labels = phantoms(size, 4)
        F.binary_cross_entropy_with_logits(model(x)[:, 0], labels).backward()
        for parameter_name, parameter in model.named_parameters():
            assert parameter.grad is not None, parameter_name
            assert parameter.grad.isfinite().all(), parameter_name
        in_stages = [id(parameter) for stage in model.stages() for parameter in stage.parameters()]
        assert sorted(in_stages) == sorted(id(parameter) for parameter in model.parameters())

    def test_the_same_seed_makes_the_same_network(self, name: str) -> None:
        size = self.facts(name).size
        one, again = (network(name, size).state_dict() for _ in range(2))
        assert list(one) == list(again)
        assert all(torch.equal(values, again[key]) for key, values in one.items())

    def test_every_size_is_answered_or_refused(self, name: str) -> None:
        for size in SIZES:
            try:
                model = network(name, size)
            except UsageError:
                continue
            with torch.inference_mode():
                logit, cam = model.eval().forward_map(noise(size, 1))
            assert logit.isfinite().all(), size
            first, stride = model.geometry.first_centre, model.geometry.stride
            assert 0 < first <= first + (cam.shape[-1] - 1) * stride < size

    def test_a_grey_image_is_one_of_three_equal_channels(self, name: str) -> None:
        facts = self.facts(name)
        if not facts.grey_is_three_channels:
            pytest.skip(f"{name} does not claim it")
        x = phantoms(facts.size, 2)[0]
        with torch.inference_mode():
            model = network(name, facts.size, in_chans=3).eval()
            grey, coloured = model(x), model(x.expand(-1, 3, -1, -1))
        torch.testing.assert_close(grey, coloured, rtol=1e-4, atol=1e-5)

    def test_learns_16_images_by_heart(self, name: str) -> None:
        facts = self.facts(name)
        model = network(name, facts.size).train()
        x, labels = phantoms(facts.size, 16)
        optimizer = torch.optim.Adam(model.parameters(), lr=facts.learning_rate)
        for _ in range(facts.steps):
            loss = F.binary_cross_entropy_with_logits(model(x)[:, 0], labels)
            if loss.item() < 0.1:
                return
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        pytest.fail(f"loss {loss.item():.3f} after {facts.steps} steps")

    def test_onnx_runtime_computes_the_same(self, name: str) -> None:
        size = self.facts(name).size
        model = settled(name, size)
        x = (phantoms(size, 4)[0] * 255).byte().permute(0, 2, 3, 1).numpy()
        exported = export_onnx(model, size=size, channels=1, images=x)  # refuses what differs
        check_network(exported.model, size=size, channels=1)  # and a reader of the bundle would open it
        with torch.inference_mode():
            assert exported.cells == model.forward_map(noise(size, 1))[1].shape[-1]

    def test_an_image_is_answered_alike_alone_and_in_company(self, name: str) -> None:
        size = self.facts(name).size
        model = settled(name, size)
        x = noise(size, 3)
        with torch.inference_mode():
            together, maps = model.forward_map(x)
            alone, its_map = model.forward_map(x[1:2])
        torch.testing.assert_close(alone, together[1:2], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(its_map, maps[1:2], rtol=1e-4, atol=1e-5)

    def test_runs_in_half_precision_and_channels_last(self, name: str) -> None:
        size = self.facts(name).size
        model = network(name, size).to(memory_format=torch.channels_last)
        x, labels = phantoms(size, 4)
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

    def test_map_varies_and_lies_on_the_image(self, name: str) -> None:
        size = 96  # more than one cell of 32 pixels
        model = create_model(name, in_chans=1, input_size=size).eval()
        x = torch.from_numpy(np.stack([film(size, number, disease=bool(number)) for number in range(2)]))[:, None] / 255
        with torch.inference_mode():
            _, cam = model.forward_map(x)
        assert cam.isfinite().all()
        assert (cam.flatten(1).std(dim=1) > 0).all()
        last = model.geometry.first_centre + (cam.shape[-1] - 1) * model.geometry.stride
        assert 0 < model.geometry.first_centre <= last < size

    def test_map_changes_most_where_the_image_does(self, name: str) -> None:
        if self.facts(name).map_follows != "cell":
            pytest.skip(f"{name} does not claim it")
        stride, changes = changes_of_four_places(name)
        reach = patch_size(stride) / 2 + stride  # on the changed pixels, or one cell beside them
        for (row, column), change in changes.items():
            highest_row, highest_column = divmod(int(change.argmax()), len(change))
            distance = stride * max(abs(highest_row - row), abs(highest_column - column))
            assert distance <= reach, (row, column)

    def test_map_changes_on_the_side_where_the_image_does(self, name: str) -> None:
        if not self.facts(name).map_follows:
            pytest.skip(f"{name} does not claim it")
        _, changes = changes_of_four_places(name)
        for place, change in changes.items():
            offsets = torch.arange(len(change)) - (len(change) - 1) / 2  # of cells from the middle
            balance = (change.sum(dim=1) @ offsets, change.sum(dim=0) @ offsets)
            for cell, side in zip(place, balance, strict=True):
                assert (cell > 1) == (float(side) > 0), place


def network(name: str, size: int, *, in_chans: int = 1, **options: Any) -> Any:
    """The network of that name, drawn with the same numbers every time."""
    torch.manual_seed(11)
    return create_model(name, in_chans=in_chans, input_size=size, **options)


def settled(name: str, size: int) -> Any:
    """A network in the state that a few batches leave it in: its batch norms have seen images."""
    model = network(name, size)
    with torch.no_grad():
        for _ in range(3):
            model(phantoms(size, 8)[0])
    return model.eval()


def noise(size: int, n: int, *, channels: int = 1) -> Tensor:
    """Images of noise, float (n, channels, size, size) in 0–1."""
    return torch.rand(n, channels, size, size, generator=torch.Generator().manual_seed(5))


def phantoms(size: int, n: int) -> tuple[Tensor, Tensor]:
    """Chest films, every second one with disease: float (n, 1, S, S) in 0–1, labels float (n,)."""
    films = np.stack([film(size, number, disease=bool(number % 2)) for number in range(n)])
    return torch.from_numpy(films)[:, None].float() / 255, torch.arange(n).float() % 2


@cache
def changes_of_four_places(name: str, size: int = 160) -> tuple[float, dict[tuple[int, int], Tensor]]:
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
    """Pixels of a changed place, square."""
    return max(stride, 16.0)
