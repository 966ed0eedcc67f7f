"""Networks by name. A new architecture is a new file and a new line here."""

from importlib import import_module
from typing import Any

from secondread.errors import ExtraMissing, UnknownName

_HOME = {  # name → module, class, what it is
    "lenet": (
        "secondread.models.lenet",
        "LeNet",
        "the paper's network: two 5×5 convolutions, tanh, average pools of stride 5",
    ),
}


def list_models() -> dict[str, str]:
    """Name → one line that says what the network is."""
    return {name: summary for name, (_, _, summary) in _HOME.items()}


def create_model(name: str, *, num_classes: int = 1, in_chans: int, input_size: int = 128, **options: Any) -> Any:
    """A freshly initialised network; weights come from torch's global generator.

    num_classes: 1 for a yes/no question (one logit). in_chans: 1 grey, 3 RGB. input_size: pixels, square.
    Raises UnknownName, or ExtraMissing without torch.
    """
    if name not in _HOME:
        raise UnknownName.of("model", name, _HOME)
    module, cls, _ = _HOME[name]
    try:
        home = import_module(module)
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ExtraMissing.of("training and networks", "train") from error
    return getattr(home, cls)(num_classes=num_classes, in_chans=in_chans, input_size=input_size, **options)
