"""ResNet, DenseNet, VGG and the vision transformer: published sizes, exact maps in their place, MONAI's answers.

MONAI takes seconds to import, which every process that collects these tests would spend at the top of this file.
"""

import pytest
import torch

from secondread.errors import UsageError
from secondread.models import create_model

CONVOLUTIONAL = ["resnet18", "resnet50", "densenet121", "vgg16"]
NAMES = [*CONVOLUTIONAL, "vit"]


def network(name, *, in_chans=1, size=64, **options):
    torch.manual_seed(0)
    return create_model(name, in_chans=in_chans, input_size=size, **options).eval()


def noise(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def test_sizes_are_the_published_ones():
    """torchvision 0.20 and Touvron et al. 2021, table 1 (less its class token), with 1000 classes."""
    published = {"resnet18": 11_689_512, "resnet50": 25_557_032, "densenet121": 7_978_856}
    for name, parameters in published.items():
        model = network(name, in_chans=3, num_classes=1000)
        assert sum(parameter.numel() for parameter in model.parameters()) == parameters, name
    vit = network("vit", in_chans=3, size=224, num_classes=1000)
    class_token_and_its_place = 2 * 192
    own_parameters = sum(parameter.numel() for parameter in vit.parameters())
    assert own_parameters + class_token_and_its_place == 5_717_416


@pytest.mark.parametrize("name", NAMES)
def test_map_cells_add_up_to_the_logit_minus_its_bias(name):
    model = network(name)
    torch.nn.init.constant_(model.head.bias, 0.7)
    with torch.inference_mode():
        logit, cam = model.forward_map(noise(2, 1, 64, 64))
    assert cam.shape == (2, 4, 4) if name == "vit" else (2, 2, 2)
    torch.testing.assert_close(cam.sum(dim=(1, 2)), logit - 0.7, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_grey_answers_as_three_equal_channels(name):
    grey, colour = network(name, in_chans=1), network(name, in_chans=3)
    colour.load_state_dict(grey.state_dict())
    x = noise(2, 1, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(grey(x), colour(x.expand(-1, 3, -1, -1)))


@pytest.mark.parametrize("name", NAMES)
def test_a_change_moves_most_the_cell_that_geometry_names(name):
    model = network(name, size=128)
    first, stride = model.geometry.first_centre, model.geometry.stride
    row, column = 1, 2
    y, x, half = int(first + stride * row), int(first + stride * column), int(stride / 4)
    images = noise(4, 1, 128, 128)
    changed = images.clone()
    changed[:, :, y - half : y + half, x - half : x + half] = noise(4, 1, 1, 1, seed=1)
    with torch.inference_mode():
        moved = (model.features(changed) - model.features(images)).abs().sum(dim=(0, 1))
    assert divmod(int(moved.argmax()), moved.shape[1]) == (row, column)


def test_resnet_is_monais():
    ours = network("resnet18", in_chans=3)
    from monai.networks.nets.resnet import ResNet as MonaiResNet

    reference = MonaiResNet(
        "basic", [2, 2, 2, 2], [64, 128, 256, 512], 2, 3, conv1_t_stride=2, bias_downsample=False, num_classes=1
    ).eval()
    reference.load_state_dict(dict(zip(reference.state_dict(), ours.state_dict().values(), strict=True)))
    x = noise(2, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(ours(x), reference(ours.scale(x)))


def test_densenet_is_monais():
    ours = network("densenet121", in_chans=3)
    from monai.networks.nets.densenet import DenseNet121

    reference = DenseNet121(spatial_dims=2, in_channels=3, out_channels=1).eval()
    reference.load_state_dict(dict(zip(reference.state_dict(), ours.state_dict().values(), strict=True)))
    x = noise(2, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(ours(x), reference(ours.scale(x)))


@pytest.mark.parametrize("name", NAMES)
def test_bfloat16_and_channels_last_stay_near_float32(name):
    model = network(name)
    x = noise(2, 1, 64, 64)
    with torch.inference_mode():
        expected = model(x)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = model.to(memory_format=torch.channels_last)(x.to(memory_format=torch.channels_last))
    scale = max(1.0, float(expected.abs().max()))
    torch.testing.assert_close(logits.float(), expected, atol=0.05 * scale, rtol=0)


@pytest.mark.parametrize("size", [8, 100])
def test_vit_refuses_a_size_its_patches_do_not_fill(size):
    with pytest.raises(UsageError, match=f"vit needs an input size that is a multiple of 16 pixels, not {size}"):
        create_model("vit", in_chans=1, input_size=size)
