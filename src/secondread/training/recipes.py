"""How a network is trained, as named recipes: every default with its unit or reason."""

from dataclasses import asdict, dataclass, replace
from typing import Any

from secondread.errors import UnknownName
from secondread.images import PrepareSpec
from secondread.tasks import AUGMENTATIONS, Task


@dataclass(frozen=True)
class Recipe:
    """What a training run does; the images themselves come from the task."""

    name: str
    summary: str
    epochs: int = 50
    batch_size: int = 32
    learning_rate: float = 0.001  # Adam
    scheduler: str = "cosine"  # 'cosine' falls to 0 over the epochs; 'constant' does not
    augmentations: tuple[str, ...] = AUGMENTATIONS
    rotation_degrees: float = 15.0  # each image turns by up to this much either way
    contrast: tuple[float, float] = (0.8, 1.2)  # factor about the image's own mean
    blur_share: float = 0.3  # of the images get the Gaussian filter
    blur_sigma: float = 1.0  # pixels of the input
    patience: int | None = None  # epochs without a better validation AUC before stopping; None: never

    def to_dict(self) -> dict[str, Any]:
        """As JSON keeps it."""
        return asdict(self)


_RECIPES = {
    "paper": Recipe("paper", "the seed paper's: Adam 0.001, batch 32, 50 epochs, its full set of augmentations"),
    "upright": Recipe("upright", "the paper's, with only the augmentations that the task allows (no film upside down)"),
}


def list_recipes() -> dict[str, str]:
    """Name → one line that says what the recipe is."""
    return {name: recipe.summary for name, recipe in _RECIPES.items()}


def load_recipe(name: str, task: Task, **changes: Any) -> Recipe:
    """The recipe of that name for a task, with any field changed by keyword. Raises UnknownName."""
    if name not in _RECIPES:
        raise UnknownName.of("recipe", name, _RECIPES)
    recipe = _RECIPES[name]
    if name == "upright":
        recipe = replace(recipe, augmentations=task.augmentations)
    return replace(recipe, **{key: value for key, value in changes.items() if value is not None})


def prepare_spec_of(task: Task) -> PrepareSpec:
    """The paper's preprocessing: resized to a square, grey or RGB as the task says; scaling to 0–1 is in the model."""
    return PrepareSpec(size=task.input_size, channels=task.channels)
