"""Weights from a local file or a checked download: a network's own, or in torchvision's layout where it shares that."""

import hashlib
import pickle
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from secondread.data import download
from secondread.errors import CannotOpen, UsageError
from secondread.tasks import Source


@dataclass(frozen=True)
class LoadedWeights:
    """What became of a file's tensors."""

    loaded: tuple[str, ...]  # this network's names
    unused: tuple[str, ...]  # the file's names that have no place here, such as a head for other classes
    missing: tuple[str, ...]  # this network's names that the file lacks: they stay as they were


def load_weights(model: nn.Module, source: str | Path, *, sha256: str | None = None) -> LoadedWeights:
    """Loads `.pth` or `.safetensors`: this network's own tensors, such as `secondread lab pretrain` writes, or those of
    torchvision's layout into resnet18, resnet50, densenet121 or vgg16.

    source: a path, or an http(s) address, which needs the file's SHA-256. A head for another number of classes is left
    out; what was and was not matched is returned. A `.pth` is read with weights_only: it can run no code.
    Raises UsageError for a file that does not fit, CannotOpen, or DownloadError.
    """
    tensors = _fetch(str(source), sha256) if _is_address(source) else _read(Path(source), sha256)
    own, rules = model.state_dict(), getattr(model, "torchvision_names", ())
    places = {theirs: theirs if theirs in own else _renamed(theirs, rules) for theirs in tensors}
    fitting = {places[name]: tensor for name, tensor in tensors.items() if _fits(places[name], tensor, own)}
    if all(name.startswith("head.") for name in fitting):
        if not rules:
            raise UsageError(
                f"{type(model).__name__} does not share torchvision's layout (resnet, densenet and vgg do), and "
                f"{source} holds no tensor of its own"
            )
        raise UsageError(f"{source} holds no tensor of {type(model).__name__}; are these another network's weights?")
    model.load_state_dict(fitting, strict=False)
    return LoadedWeights(
        loaded=tuple(fitting),
        unused=tuple(name for name in tensors if places[name] not in fitting),
        missing=tuple(name for name in own if name not in fitting and not name.endswith("num_batches_tracked")),
    )


def sha256_of(source: str | Path, sha256: str | None = None) -> str:
    """What identifies the weights: the SHA-256 of a file, or the one that an address must have. Raises CannotOpen."""
    if _is_address(source):
        return (sha256 or "").lower()
    if not Path(source).is_file():
        raise CannotOpen(f"no weights at '{source}'; give the path of a .pth or .safetensors file")
    return _sha256(Path(source))


def _renamed(name: str, rules: tuple[tuple[str, str], ...]) -> str:
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


def _fits(name: str, tensor: Tensor, own: dict[str, Tensor]) -> bool:
    """Whether there is a place for the tensor; a wrong shape is an error, except in the head."""
    if name not in own:
        return False
    if name.startswith("head."):
        return own[name].shape == tensor.shape
    if own[name].shape != tensor.shape:
        raise UsageError(
            f"the weights do not fit: {name} is {tuple(tensor.shape)} in the file and {tuple(own[name].shape)} in the "
            "network; choose the weights of the same architecture"
        )
    return True


def _is_address(source: str | Path) -> bool:
    return isinstance(source, str) and urlsplit(source).scheme in ("http", "https")


def _fetch(address: str, sha256: str | None) -> dict[str, Tensor]:
    if not sha256:
        raise UsageError("weights from an address need their SHA-256, so that only the file that was meant is read")
    asked = Source(name="weights", title=address, page=address, terms="", citation="", url=address, sha256=sha256)
    with tempfile.TemporaryDirectory() as folder:
        return _read(download(asked, Path(folder), accept_terms=True), None)


def _read(path: Path, sha256: str | None) -> dict[str, Tensor]:
    if not path.is_file():
        raise CannotOpen(f"no weights at '{path}'; give the path of a .pth or .safetensors file")
    if sha256 and _sha256(path) != sha256.lower():
        raise UsageError(f"'{path}' is not the file that was meant: its SHA-256 is {_sha256(path)}, not {sha256}")
    try:
        tensors = load_file(path) if path.suffix == ".safetensors" else torch.load(path, weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise UsageError(f"'{path}' is not a file of weights: it must hold named tensors and nothing else") from error
    if not isinstance(tensors, dict) or not all(isinstance(tensor, Tensor) for tensor in tensors.values()):
        raise UsageError(f"'{path}' is not a file of weights: it must hold named tensors and nothing else")
    return tensors


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
