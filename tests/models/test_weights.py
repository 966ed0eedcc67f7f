"""Weights in torchvision's layout: every tensor finds its place, and what does not fit is said."""

import functools
import hashlib
import http.server
import threading

import pytest
import torch
from safetensors.torch import save_file

from secondread.errors import CannotOpen, DownloadError, UsageError
from secondread.models import create_model
from secondread.models.weights import load_weights

NAMES = ["resnet18", "resnet50", "densenet121", "vgg16"]


def norm(name, channels):
    return {f"{name}.{part}": (channels,) for part in ("weight", "bias", "running_mean", "running_var")}


def resnet(depths, *, bottleneck):
    """torchvision/models/resnet.py: layer{1-4}.{block}.conv{1-3}, bn{1-3}, downsample.0 and .1."""
    shapes = {"conv1.weight": (64, 3, 7, 7), **norm("bn1", 64)}
    before = 64
    for stage, depth in enumerate(depths):
        width = 64 * 2**stage
        after = width * 4 if bottleneck else width
        kernels = [(width, 1), (width, 3), (after, 1)] if bottleneck else [(width, 3), (width, 3)]
        for block in range(depth):
            prefix, inner = f"layer{stage + 1}.{block}", before
            for i, (channels, kernel) in enumerate(kernels, start=1):
                shapes |= {f"{prefix}.conv{i}.weight": (channels, inner, kernel, kernel)}
                shapes |= norm(f"{prefix}.bn{i}", channels)
                inner = channels
            if block == 0 and before != after:
                shapes |= {f"{prefix}.downsample.0.weight": (after, before, 1, 1)}
                shapes |= norm(f"{prefix}.downsample.1", after)
            before = after
    return shapes | {"fc.weight": (1000, before), "fc.bias": (1000,)}


def densenet(*, dotted):
    """torchvision/models/densenet.py; the published file has norm.1 for norm1."""
    dot = "." if dotted else ""
    shapes = {"features.conv0.weight": (64, 3, 7, 7), **norm("features.norm0", 64)}
    channels = 64
    for block, depth in enumerate((6, 12, 24, 16), start=1):
        for layer in range(1, depth + 1):
            prefix = f"features.denseblock{block}.denselayer{layer}"
            shapes |= norm(f"{prefix}.norm{dot}1", channels) | norm(f"{prefix}.norm{dot}2", 128)
            shapes |= {f"{prefix}.conv{dot}1.weight": (128, channels, 1, 1)}
            shapes |= {f"{prefix}.conv{dot}2.weight": (32, 128, 3, 3)}
            channels += 32
        if block < 4:
            shapes |= norm(f"features.transition{block}.norm", channels)
            shapes |= {f"features.transition{block}.conv.weight": (channels // 2, channels, 1, 1)}
            channels //= 2
    return shapes | norm("features.norm5", channels) | {"classifier.weight": (1000, 1024), "classifier.bias": (1000,)}


def vgg16():
    """torchvision/models/vgg.py, configuration D: convolutions at the places that ReLU and pools leave."""
    shapes, before, place = {}, 3, 0
    for stage in ((64,) * 2, (128,) * 2, (256,) * 3, (512,) * 3, (512,) * 3):
        for channels in stage:
            shapes |= {f"features.{place}.weight": (channels, before, 3, 3), f"features.{place}.bias": (channels,)}
            before, place = channels, place + 2
        place += 1
    return shapes | {"classifier.6.weight": (1000, 8), "classifier.6.bias": (1000,)}  # its wide layers left out


LAYOUTS = {
    "resnet18": functools.partial(resnet, (2, 2, 2, 2), bottleneck=False),
    "resnet50": functools.partial(resnet, (3, 4, 6, 3), bottleneck=True),
    "densenet121": functools.partial(densenet, dotted=False),
    "vgg16": vgg16,
}


def tensors(shapes, seed=3):
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.rand(shape, generator=generator) for name, shape in shapes.items()}


def network(name, **options):
    return create_model(name, in_chans=3, input_size=64, **options)


def file_of(folder, name, shapes=None):
    path = folder / f"{name}.safetensors"
    save_file(tensors(shapes or LAYOUTS[name]()), path)
    return path


@pytest.fixture
def served(tmp_path):
    """A web server over a folder: its address and the folder."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=tmp_path))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", tmp_path
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("name", NAMES)
def test_every_backbone_tensor_is_loaded(name, tmp_path):
    model = network(name)
    report = load_weights(model, file_of(tmp_path, name))
    backbone = {key for key in model.state_dict() if key.startswith("backbone.")}
    assert set(report.loaded) == {key for key in backbone if not key.endswith("num_batches_tracked")}
    assert set(report.missing) == {"head.weight", "head.bias"}
    assert all(key.startswith(("fc.", "classifier.")) for key in report.unused)
    given, prefix = tensors(LAYOUTS[name]()), "" if name.startswith("resnet") else "features."
    for key in report.loaded:
        theirs = key.replace("backbone.", prefix).replace(".layers.", ".")
        torch.testing.assert_close(model.state_dict()[key], given[theirs], rtol=0, atol=0)


def test_a_head_for_the_same_classes_is_loaded_too(tmp_path):
    report = load_weights(network("resnet18", num_classes=1000), file_of(tmp_path, "resnet18"))
    assert report.missing == report.unused == ()
    assert {"head.weight", "head.bias"} <= set(report.loaded)


def test_densenets_published_names_are_understood(tmp_path):
    report = load_weights(network("densenet121"), file_of(tmp_path, "densenet121", densenet(dotted=True)))
    assert set(report.missing) == {"head.weight", "head.bias"}


def test_pth_and_safetensors_load_alike(tmp_path):
    torch.save(tensors(LAYOUTS["resnet18"]()), tmp_path / "resnet18.pth")
    first, second = network("resnet18"), network("resnet18")
    load_weights(first, tmp_path / "resnet18.pth")
    load_weights(second, file_of(tmp_path, "resnet18"))
    torch.testing.assert_close(first.backbone.state_dict(), second.backbone.state_dict())


def test_what_the_file_lacks_is_named(tmp_path):
    shapes = {key: shape for key, shape in LAYOUTS["resnet18"]().items() if not key.startswith("layer4.1.conv2")}
    report = load_weights(network("resnet18"), file_of(tmp_path, "resnet18", shapes))
    assert set(report.missing) == {"backbone.layer4.1.conv2.weight", "head.weight", "head.bias"}


def test_an_address_is_fetched_and_checked(served):
    address, folder = served
    path = file_of(folder, "resnet18")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    model = network("resnet18")
    assert load_weights(model, f"{address}/{path.name}", sha256=digest).loaded
    with pytest.raises(DownloadError, match="SHA-256"):
        load_weights(model, f"{address}/{path.name}", sha256="0" * 64)
    with pytest.raises(UsageError, match="need their SHA-256"):
        load_weights(model, f"{address}/{path.name}")


def test_a_local_file_is_checked_where_a_digest_is_given(tmp_path):
    with pytest.raises(UsageError, match="SHA-256"):
        load_weights(network("resnet18"), file_of(tmp_path, "resnet18"), sha256="0" * 64)


class Code:
    """What a pickle could run."""

    def __reduce__(self):
        return (print, ("run",))


def test_files_that_are_no_weights_are_refused(tmp_path, capsys):
    model = network("resnet18")
    torch.save({"fc.weight": Code()}, tmp_path / "code.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    (tmp_path / "text.pth").write_text("not weights")
    (tmp_path / "text.safetensors").write_text("not weights")
    for name in ("code.pth", "list.pth", "text.pth", "text.safetensors"):
        with pytest.raises(UsageError, match="not a file of weights"):
            load_weights(model, tmp_path / name)
    assert capsys.readouterr().out == ""


def test_weights_of_another_network_are_refused(tmp_path):
    with pytest.raises(UsageError, match=r"do not fit: backbone\.layer1\.0\.conv1\.weight is \(64, 64, 1, 1\)"):
        load_weights(network("resnet18"), file_of(tmp_path, "resnet50"))
    with pytest.raises(UsageError, match="holds no tensor of VGG16"):
        load_weights(network("vgg16"), file_of(tmp_path, "resnet50"))


def test_a_network_of_its_own_layout_and_a_missing_file_are_named(tmp_path):
    with pytest.raises(UsageError, match="VisionTransformer does not share"):
        load_weights(network("vit"), file_of(tmp_path, "resnet18"))
    with pytest.raises(CannotOpen, match=r"no weights at .*away\.pth"):
        load_weights(network("resnet18"), tmp_path / "away.pth")
