"""Networks trained on another machine: their weights with the record of how, in one file, and the way back from it.

There a pack of the training rows is enough; here the bundle is exported, decided on validation and measured as if the
network had been trained here.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from secondread.errors import CannotOpen, TrainingError
from secondread.files import write_bytes
from secondread.tasks import Task
from secondread.training.fit import Epoch, FitResult
from secondread.training.prepare import recorded_recipe
from secondread.training.recipe import Recipe, prepare_spec_of

_RECORD = "secondread"  # key of the file's metadata


def settings_of(task: Task, recipe: Recipe, model_name: str, random_state: int) -> dict[str, Any]:
    """What a network's training was asked for, as its bundle records it; `recipe` as the network can follow it."""
    return {
        "recipe": recorded_recipe(recipe),
        "model": model_name,
        "random_state": random_state,
        "prepare": prepare_spec_of(task, recipe).to_dict(),
    }


def save_trained(
    path: Path,
    result: FitResult,
    *,
    settings: dict[str, Any],
    fingerprint: str,
    versions: dict[str, str],
    command: str = "",
) -> None:
    """Kernels as float16, as bundles keep them; scales, biases and statistics as they are."""
    record = {
        "settings": settings,
        "fingerprint": fingerprint,
        "command": command,
        "device": device_in_words(result.device),
        "best_epoch": result.best_epoch,
        "history": [asdict(line) for line in result.history],
        "versions": versions,
    }
    tensors = {
        name: (tensor.half() if tensor.is_floating_point() and tensor.ndim > 1 else tensor).contiguous()
        for name, tensor in result.model.state_dict().items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, save(tensors, metadata={_RECORD: json.dumps(record)}))


def load_trained(
    path: Path, model: nn.Module, *, settings: dict[str, Any], fingerprint: str
) -> tuple[FitResult, dict[str, Any]]:
    """The network with the file's weights, how it got there, and the record: command, versions.

    fingerprint: of the manifest that it must have been trained on.
    Raises CannotOpen, or TrainingError for a file of another kind, of other settings or of other data.
    """
    record, tensors = _read(path)
    if record["settings"] != json.loads(json.dumps(settings)):
        differing = sorted(key for key, value in settings.items() if record["settings"].get(key) != _plain(value))
        raise TrainingError(
            f"'{path}' was trained with other settings ({', '.join(differing)}) than this recipe file asks for; "
            "give the recipe file that it was trained with"
        )
    if record["fingerprint"] != fingerprint:
        raise TrainingError(
            f"'{path}' was trained on other data than this manifest's; give the manifest it was made of"
        )
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise TrainingError(f"'{path}' does not hold the weights of {settings['model']}: {error}") from error
    history = [Epoch(**line) for line in record["history"]]
    return FitResult(model.eval(), history, record["best_epoch"], None, record["device"]), record


def _plain(value: Any) -> Any:
    """As JSON gives it back."""
    return json.loads(json.dumps(value))


def _read(path: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    if not path.is_file():
        raise CannotOpen(f"no trained network at '{path}'; `secondread lab fit` writes one for each member")
    try:
        with safe_open(path, framework="pt") as file:
            record = json.loads((file.metadata() or {})[_RECORD])
            return record, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, KeyError, ValueError) as error:
        raise TrainingError(f"'{path}' is no network trained by `secondread lab fit`") from error


def device_in_words(device: str) -> str:
    """The GPU's own name where it is one."""
    return f"{device} ({torch.cuda.get_device_name(device)})" if device.startswith("cuda") else device
