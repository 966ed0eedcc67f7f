"""Contrastive pretraining on images without labels: two views of an image shall be alike (SimCLR, Chen et al. 2020)."""

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional as F

from secondread.data import Manifest, Row, prepared_cache
from secondread.data.split import SHARED, training_share
from secondread.errors import TrainingError
from secondread.files import write_bytes
from secondread.tasks import Task
from secondread.training.augment import augment
from secondread.training.batches import without_copies
from secondread.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from secondread.training.device import choose_device, mixed_precision
from secondread.training.optimise import make_optimizer, set_learning_rate
from secondread.training.prepare import new_network, recorded_recipe
from secondread.training.recipe import Recipe, prepare_spec_of
from secondread.training.train import recipe_for

TEMPERATURE = 0.2  # of the similarities
_PROJECTED = 128  # numbers that stand for an image
_STRONG: dict[str, Any] = {  # views that share little but what they show
    "rotation_degrees": 20.0,
    "contrast": (0.6, 1.6),
    "blur_share": 0.5,
    "zoom": (1.0, 1.8),
    "stretch": 1.3,
    "shift": 0.15,
    "gamma": (0.5, 2.0),
    "noise": 10.0,
    "erase": 0.3,
}

OnEpoch = Callable[[int, int, float], None]  # epoch, epochs, mean loss


@dataclass(frozen=True)
class Pretrained:
    """What a pretraining gave."""

    path: Path
    sha256: str
    losses: tuple[float, ...]  # mean of every epoch
    n_images: int


def contrastive_recipe(
    recipe: Recipe, *, epochs: int = 100, batch_size: int = 128, learning_rate: float = 0.001
) -> Recipe:
    """The recipe's preprocessing and start, with strong augmentation and a schedule of its own.

    The allowed flips stay the recipe's: a film upside down is no other view of the same film.
    """
    return replace(
        recipe,
        name="contrastive",
        summary="SimCLR on images without labels",
        epochs=epochs,
        batch_size=batch_size,
        optimizer="adamw",
        learning_rate=learning_rate,
        weight_decay=1e-4,
        scheduler="one-cycle",
        warmup=0.1,
        stage_decay=1.0,
        frozen_stages=0,
        frozen_epochs=0,
        ema_decay=0.0,
        sizes=(1.0,),
        label_smoothing=0.0,
        lesion_weight=0.0,
        lesions_from=(),
        mixup=0.0,
        cutmix=0.0,
        patience=None,
        **_STRONG,
    )


def unlabelled_rows(manifest: Manifest) -> Manifest:
    """What is trained on without labels: the training images, and the training shares of the shared splits."""
    rows = list(manifest.split("train").rows)
    for split in SHARED:
        rows += training_share(manifest, split).rows
    return Manifest(tuple(rows), manifest.folder)


def nt_xent(first: Tensor, second: Tensor, groups: Tensor, *, temperature: float = TEMPERATURE) -> Tensor:
    """Normalised temperature-scaled cross-entropy: mean over all views of how badly each finds its other view.

    first, second: (B, d), two views of each image, of any length; groups: int (B,). Another image of the same group
    (patient, neighbouring slice) is no negative, since it may well look the same. Chen et al. 2020, equation 1.
    With N groups of one image the least value is log(1 + (2N − 2) exp(−N / ((N − 1) temperature))), at a simplex.
    """
    views = F.normalize(torch.cat([first, second]).float(), dim=1)  # (2B, d)
    n = len(first)
    partner = torch.arange(2 * n, device=views.device).roll(n)
    both = torch.cat([groups, groups])
    hidden = both[:, None] == both[None, :]
    hidden[torch.arange(2 * n, device=views.device), partner] = False
    similarity = (views @ views.T / temperature).masked_fill(hidden, float("-inf"))
    return F.cross_entropy(similarity, partner)


class Encoder(nn.Module):
    """A network up to its last stage, and two layers that are thrown away afterwards."""

    def __init__(self, network: nn.Module, example: Tensor):
        super().__init__()
        self.network = network
        self._seen: list[Tensor] = []
        self.head.register_forward_pre_hook(lambda _, inputs: self._seen.append(inputs[0]))
        width = self.features(example).shape[1]
        self.projection = nn.Sequential(
            nn.Linear(width, width, bias=False),
            nn.BatchNorm1d(width),  # as in SimCLR; without it all images start at nearly the same place
            nn.ReLU(),
            nn.Linear(width, _PROJECTED),
        )

    @property
    def head(self) -> nn.Module:
        """The network's last stage, which answers and is not trained here."""
        return self.network.stages()[-1]  # type: ignore[operator]

    def features(self, x: Tensor) -> Tensor:
        """x: (B, in_chans, S, S) → what the head is given, (B, d); of a map the mean over its places."""
        self._seen.clear()
        self.network(x)
        seen = self._seen.pop()
        return seen.mean(dim=(2, 3)) if seen.ndim == 4 else seen.flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, in_chans, S, S) in 0–1 → (B, 128)."""
        return self.projection(self.features(x))

    def stages(self) -> list[nn.Module]:
        """The parts that learn."""
        return [*self.network.stages()[:-1], self.projection]  # type: ignore[operator]

    def backbone(self) -> dict[str, Tensor]:
        """The network's tensors by their own names, without those of its head."""
        head = next(name for name, module in self.network.named_modules() if module is self.head)
        tensors = {
            name: tensor for name, tensor in self.network.state_dict().items() if not name.startswith(f"{head}.")
        }
        return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def pretrain(
    task: Task,
    manifest: Manifest,
    recipe: Recipe,
    *,
    model_name: str,
    out: Path,
    random_state: int = 0,
    command: str = "",
    fresh: bool = False,
    cache_folder: Path | None = None,
    on_epoch: OnEpoch | None = None,
) -> Pretrained:
    """Train a network without labels and write its tensors, but for its head, to the safetensors file `out`.

    recipe: as `contrastive_recipe` makes it. Validation, test and external images are not looked at. The run's state
    is kept in `<out>.run`; calling again goes on from there. The file's header holds the command and the data.
    Raises DataInvalid, UnknownName, or TrainingError if a checkpoint does not fit or the loss is no longer a number.
    """
    recipe = recipe_for(recipe, model_name)
    spec = prepare_spec_of(task, recipe)
    unlabelled = unlabelled_rows(manifest)
    prepared = prepared_cache(unlabelled, spec, folder=cache_folder)
    if len(prepared) < 2:
        raise TrainingError("one image has nothing to differ from; contrastive pretraining needs many")
    network = new_network(model_name, spec, recipe, random_state=random_state)
    grey = getattr(network, "takes_grey", False)
    images = without_copies(prepared.images) if grey else np.array(prepared.images)
    facts = _facts(task, unlabelled, recipe, model_name, random_state)
    run = _Run(network, images, _codes(prepared.rows, manifest.folder), recipe, random_state)
    run_folder = out.with_name(f"{out.name}.run")
    if fresh:
        (run_folder / "checkpoint.pt").unlink(missing_ok=True)
    losses = run.train(run_folder, _fingerprint(facts), on_epoch)
    header = {
        **facts,
        "n_images": len(prepared),
        "losses": losses,
        "seconds": round(run.seconds, 3),
        "date": date.today().isoformat(),
        "command": command,
    }
    data = save(run.encoder.backbone(), metadata={"secondread": json.dumps(header, sort_keys=True)})
    write_bytes(out, data)
    return Pretrained(out, hashlib.sha256(data).hexdigest(), tuple(losses), len(prepared))


def pretrained_weights(
    task: Task,
    manifest: Manifest,
    recipe: Recipe,
    *,
    model_name: str,
    out: Path,
    random_state: int = 0,
    command: str = "",
    cache_folder: Path | None = None,
) -> float:
    """The seconds that pretraining `out` took; what lies there already is kept, so that its SHA-256 stays the same.

    Raises as `pretrain`, or TrainingError where `out` was pretrained on other data or by other settings.
    """
    facts = _facts(task, unlabelled_rows(manifest), recipe_for(recipe, model_name), model_name, random_state)
    if not out.is_file():
        pretrain(
            task,
            manifest,
            recipe,
            model_name=model_name,
            out=out,
            random_state=random_state,
            command=command,
            cache_folder=cache_folder,
        )
        shutil.rmtree(out.with_name(f"{out.name}.run"))
    with safe_open(out, framework="pt") as file:
        header = json.loads((file.metadata() or {}).get("secondread", "{}"))
    if any(header.get(key) != value for key, value in json.loads(json.dumps(facts)).items()):
        raise TrainingError(f"'{out}' was pretrained with other data or settings; delete it, or name another --out")
    return float(header["seconds"])


def _facts(task: Task, unlabelled: Manifest, recipe: Recipe, model_name: str, random_state: int) -> dict[str, Any]:
    return {
        "task": task.name,
        "model": model_name,
        "recipe": recorded_recipe(recipe),
        "prepare": prepare_spec_of(task, recipe).to_dict(),
        "random_state": random_state,
        "data_fingerprint": unlabelled.fingerprint(),
        "splits": unlabelled.splits(),
    }


class _Run:
    """One pretraining: what stays the same over its epochs."""

    def __init__(self, network: nn.Module, images: np.ndarray, groups: np.ndarray, recipe: Recipe, random_state: int):
        self.images, self.groups, self.recipe, self.random_state = images, groups, recipe, random_state
        self.seconds = 0.0
        self.device = choose_device()
        self.order = torch.channels_last if recipe.bfloat16 else torch.contiguous_format
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(random_state)
            self.encoder = Encoder(network.eval(), _to_tensor(images[:2]))
        self.encoder.to(self.device, memory_format=self.order)  # type: ignore[call-overload]
        self.optimizer = make_optimizer(self.encoder, recipe, self.device)

    def train(self, folder: Path, fingerprint: str, on_epoch: OnEpoch | None) -> list[float]:
        """Mean loss of every epoch."""
        state = self._resume(folder, fingerprint) or Checkpoint(fingerprint)
        for epoch in range(len(state.history) + 1, self.recipe.epochs + 1):
            started = time.perf_counter()
            with torch.random.fork_rng(devices=[]):  # dropout draws from the global generator
                torch.manual_seed(1000 * self.random_state + epoch)
                loss = self._epoch(epoch)
            state.history.append({"epoch": epoch, "loss": loss, "seconds": time.perf_counter() - started})
            save_checkpoint(state, self.encoder, self.optimizer, folder)
            if on_epoch is not None:
                on_epoch(epoch, self.recipe.epochs, loss)
        self.seconds = sum(line.get("seconds", 0.0) for line in state.history)
        return [round(line["loss"], 6) for line in state.history]

    def _epoch(self, epoch: int) -> float:
        self.encoder.train()
        # Every epoch draws from a generator of its own, so an interrupted epoch repeats exactly.
        pieces = list(self._pieces(np.random.default_rng([self.random_state, epoch])))
        rng = np.random.default_rng([self.random_state, epoch, 1])
        losses = []
        for step, piece in enumerate(pieces):
            set_learning_rate(
                self.optimizer,
                self.recipe,
                epoch=epoch,
                done=(epoch - 1 + step / len(pieces)) / self.recipe.epochs,
            )
            views = np.concatenate([augment(self.images[piece], self.recipe, rng=rng) for _ in range(2)])
            x = _to_tensor(views).to(self.device, memory_format=self.order)
            with mixed_precision(self.encoder, self.device, bfloat16=self.recipe.bfloat16):
                first, second = self.encoder(x).chunk(2)
            loss = nt_xent(first, second, torch.from_numpy(self.groups[piece]).to(self.device))
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()
            losses.append(float(loss.detach()))
        if not np.isfinite(losses).all():
            raise TrainingError("the loss is no longer a number; lower the learning rate (--learning-rate)")
        return float(np.mean(losses))

    def _pieces(self, rng: np.random.Generator) -> Iterator[np.ndarray]:
        """Numbers of the images of every batch; a last one that is not whole has too few negatives and is left out."""
        order = rng.permutation(len(self.images))
        size = min(self.recipe.batch_size, len(order))
        for start in range(0, len(order) - size + 1, size):
            yield order[start : start + size]

    def _resume(self, folder: Path, fingerprint: str) -> Checkpoint | None:
        found = load_checkpoint(folder, self.device, fingerprint=fingerprint)
        if found is None:
            return None
        state, weights, optimizer, _ = found
        self.encoder.load_state_dict(weights)
        self.optimizer.load_state_dict(optimizer)
        return state


def _codes(rows: tuple[Row, ...], folder: Path) -> np.ndarray:
    """What belongs together, int (n,)."""
    return np.unique(np.array(Manifest(rows, folder).groups), return_inverse=True)[1].reshape(-1)


def _to_tensor(images: np.ndarray) -> Tensor:
    """uint8 (n, size, size, channels) → float (n, channels, size, size) in 0–1."""
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))).float() / 255


def _fingerprint(facts: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps([facts, torch.__version__], sort_keys=True).encode()).hexdigest()
