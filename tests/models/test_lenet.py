"""The paper's network: its size, its two forms, its map in closed form."""

import pytest
import torch
from captum.attr import LayerGradientXActivation
from torch import nn

from secondread.errors import UsageError
from secondread.models import create_model


class Head(nn.Module):
    """The layers after the last pool, so that Captum can take the map at the pool itself."""

    def __init__(self, model):
        super().__init__()
        self.pool = nn.Identity()
        self.model = model

    def forward(self, x):
        features = self.pool(self.model.features(x)).flatten(1)
        return self.model.fc3(torch.relu(self.model.fc2(torch.relu(self.model.fc1(features)))))


def both_forms(channels, seed=0):
    torch.manual_seed(seed)
    plain = create_model("lenet", in_chans=channels, form="plain").double()
    fast = create_model("lenet", in_chans=channels, form="fast").double()
    fast.load_state_dict(plain.state_dict())
    x = torch.rand(5, channels, 128, 128, dtype=torch.float64)
    return plain, fast, x


@pytest.mark.parametrize(("channels", "parameters"), [(1, 43_661), (3, 43_961)])
def test_has_the_papers_number_of_parameters(channels, parameters):
    model = create_model("lenet", in_chans=channels)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters


def test_is_the_papers_network_layer_by_layer():
    plain, _, x = both_forms(1)
    reference = nn.Sequential(
        plain.conv1, nn.Tanh(), nn.AvgPool2d(2, stride=5), plain.conv2, nn.Tanh(), nn.AvgPool2d(2, stride=5),
        nn.Flatten(), plain.fc1, nn.ReLU(), plain.fc2, nn.ReLU(), plain.fc3,
    )  # fmt: skip
    assert plain.fc1.in_features == 256
    assert torch.equal(plain(x), reference(x))


@pytest.mark.parametrize("channels", [1, 3])
def test_fast_form_equals_plain_form_in_outputs_and_gradients(channels):
    plain, fast, x = both_forms(channels)
    x_plain, x_fast = x.clone().requires_grad_(), x.clone().requires_grad_()
    out_plain, out_fast = plain(x_plain), fast(x_fast)
    torch.testing.assert_close(out_fast, out_plain, rtol=0, atol=1e-9)
    out_plain.square().sum().backward()
    out_fast.square().sum().backward()
    torch.testing.assert_close(x_fast.grad, x_plain.grad, rtol=0, atol=1e-9)
    for (name, p), q in zip(plain.named_parameters(), fast.parameters(), strict=True):
        torch.testing.assert_close(q.grad, p.grad, rtol=0, atol=1e-9, msg=name)


@pytest.mark.parametrize("size", [31, 100, 127, 128, 129, 224])
def test_forms_agree_at_other_sizes(size):
    torch.manual_seed(1)
    plain = create_model("lenet", in_chans=1, input_size=size, form="plain")
    fast = create_model("lenet", in_chans=1, input_size=size)
    fast.load_state_dict(plain.state_dict())
    x = torch.rand(2, 1, size, size)
    torch.testing.assert_close(fast(x), plain(x))


def test_too_small_an_input_is_refused():
    with pytest.raises(UsageError, match="at least"):
        create_model("lenet", in_chans=1, input_size=30)


@pytest.mark.parametrize("channels", [1, 3])
def test_map_equals_captum_and_autograd(channels):
    _, fast, x = both_forms(channels)
    logit, cam = fast.forward_map(x)
    head = Head(fast)
    captum = LayerGradientXActivation(head, head.pool).attribute(x, target=0)
    expected = captum.view(len(x), 16, 4, 4).sum(dim=1)
    torch.testing.assert_close(cam, expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(logit, fast(x)[:, 0])
    features = fast.features(x).detach().requires_grad_()
    out = fast.fc3(torch.relu(fast.fc2(torch.relu(fast.fc1(features.flatten(1))))))
    (gradient,) = torch.autograd.grad(out.sum(), features)
    torch.testing.assert_close(cam, (gradient * features).sum(dim=1), rtol=0, atol=1e-9)


def test_geometry_names_the_pixels_that_a_cell_sees():
    _, fast, x = both_forms(1)
    cells = fast.features(x[:1]).shape[-1]
    for cell in range(cells):
        pixels = x[:1].clone().requires_grad_()
        fast.features(pixels)[0, :, cell, 0].sum().backward()
        seen = torch.nonzero(pixels.grad[0, 0].abs().sum(dim=1))[:, 0]
        centre = (float(seen.min()) + float(seen.max()) + 1) / 2
        assert centre == fast.geometry.first_centre + cell * fast.geometry.stride


@pytest.mark.parametrize("form", ["plain", "fast"])
def test_one_grey_channel_counts_as_three_equal_ones(form):
    torch.manual_seed(2)
    model = create_model("lenet", in_chans=3, form=form).double()
    grey = torch.rand(3, 1, 128, 128, dtype=torch.float64)
    model(grey).sum().backward()
    first = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    model.zero_grad()
    model(grey.expand(-1, 3, -1, -1)).sum().backward()
    torch.testing.assert_close(model(grey), model(grey.expand(-1, 3, -1, -1)), rtol=0, atol=1e-9)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, first[name], rtol=0, atol=1e-9, msg=name)
