"""The systems that the seed paper names: which network or learner stands for each, and how it is trained here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from secondread.errors import UnknownName
from secondread.tasks import Task
from secondread.training.recipe import Recipe, change_fields, load_recipe
from secondread.training.train import recipe_for


@dataclass(frozen=True)
class System:
    """One line of the leaderboard.

    recipe: '' for a classical learner. pretraining: epochs of SimCLR on the images without labels that come first.
    """

    model: str
    named: str  # as the seed paper has it
    recipe: str = ""
    changes: Mapping[str, Any] = field(default_factory=dict)
    pretraining: int = 0

    def recipe_for(self, task: Task) -> Recipe:
        """Raises UnknownName or UsageError."""
        return recipe_for(change_fields(load_recipe(self.recipe, task), self.changes), self.model)


# Every network trains until its validation loss is flat, none from scratch for less than 30 epochs; where the number of
# epochs ends a training before, its line says so.
_FLAT: dict[str, Any] = {"scheduler": "plateau", "epochs": 150, "least_epochs": 30}
_FROM_IMAGENET: dict[str, Any] = {"scheduler": "plateau", "epochs": 60, "least_epochs": 12}
_LESIONS: dict[str, Any] = {"lesions_from": ("localisation", "external-negatives")}
_SLOW: dict[str, Any] = {"learning_rate": 0.0001}  # without normalisation it learns nothing at a rate of 0.001

_SYSTEMS = {
    "lenet": System("lenet", "the paper's network", "paper", {**_FLAT, "least_epochs": 50}),
    "lenet-overlap": System("lenet-overlap", "the paper's network with overlapping pools", "paper", _FLAT),
    "svm": System("svm", "SVM"),
    "decision-tree": System("decision-tree", "decision tree"),
    "knn": System("knn", "k-NN"),
    "random-forest": System("random-forest", "random forest"),
    "cnn-svm": System("cnn-svm", "CNN-SVM hybrid"),
    "capsule": System("capsule", "capsule network", "upright", _FLAT),
    "cbam": System("cbam", "attention CNN", "upright", _FLAT),
    "multiscale": System("multiscale", "multi-scale features", "upright", _FLAT),
    "vit": System("vit", "Vision Transformer", "upright", {**_FLAT, **_SLOW}),
    "resnet18": System("resnet18", "ResNet, 18 layers", "upright", _FLAT),
    "contrastive": System("resnet18", "contrastive pretraining, then the same ResNet", "upright", _FLAT, 100),
    "unet": System("unet", "U-Net, then CNN", "upright", {**_FLAT, **_LESIONS, "lesion_weight": 1.0}),
    "densenet121": System("densenet121", "DenseNet121", "upright", _FLAT),
    "resnet50": System("resnet50", "ResNet50", "upright", _FLAT),
    "vgg16": System("vgg16", "VGG16", "upright", {**_FLAT, **_SLOW}),
    "efficientnet-lite0": System("efficientnet-lite0", "EfficientNet, from ImageNet", "transfer", _FROM_IMAGENET),
    "detector": System(
        "lesion-boxes0", "YOLO-like detector", "transfer", {**_FROM_IMAGENET, **_LESIONS, "box_weight": 1.0}
    ),
}
# Of these, which the paper's related work names together, ensembles are made.
ENSEMBLED = ("vgg16", "resnet50", "densenet121")


def list_systems() -> dict[str, str]:
    """Name → what it is in the seed paper's words; the quickest to train come first."""
    return {name: system.named for name, system in _SYSTEMS.items()}


def load_system(name: str) -> System:
    """Raises UnknownName."""
    if name not in _SYSTEMS:
        raise UnknownName.of("system", name, _SYSTEMS)
    return _SYSTEMS[name]
