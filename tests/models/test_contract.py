"""What every network of ours promises, by the contract of extensions; a new one joins by being listed."""

from collections.abc import Sequence
from typing import Any

import pytest

from secondread.errors import UnknownName, UsageError
from secondread.models import check_model, create_model, known_models, list_models
from secondread.models.registry import networks
from secondread.testing.networks import Facts, NetworkContract

FACTS = {
    "lenet": {"learning_rate": 5e-3, "steps": 80},
    "lenet-overlap": {"learning_rate": 5e-3, "steps": 150},
    "vit": {"learning_rate": 5e-4},
    "vgg16": {"size": 32, "learning_rate": 1e-4},  # heavy, and upset by larger steps without batch norm
}
# A change of one place moves other cells, too: in the lenets by the ReLUs of their head, in efficientnet-lite, while
# untrained, by fields wider than the image, and in those that find boxes by what the whole image adds to all alike.
NOT_LOCAL = ("lenet", "efficientnet-lite", "lesion-boxes", "plain-boxes")
# On the side of the image where the change is, but, before training, not always in its very cell.
WIDE = ("lesion-lite", "vgg", "vit")
EVERY = [name for name in list_models() if name not in known_models().owners]
# For what takes seconds: sizes of one architecture share their layers, so the first name of each stands for all.
ARCHITECTURES = {
    (home, maker.rstrip("0123456789")): name for name, (home, maker, _) in reversed(networks().items()) if name in EVERY
}.values()
# Those of them that take no more, and small ones with the layers of the others.
LIGHT = ("lenet", *(f"tests.models.small:{name}" for name in ("efficientnet_lite", "lesion_lite", "lesion_boxes")))
QUICK = (
    "test_answers_have_the_promised_shapes",
    "test_every_parameter_learns_and_belongs_to_one_stage",
    "test_an_image_is_answered_alike_alone_and_in_company",
    "test_map_varies_and_lies_on_the_image",
)


class TestOurNetworks(NetworkContract):
    """Quick tests over every name, the others over what is light; each whole architecture in `make test-peers`."""

    @classmethod
    def names_for(cls, test: str, config: Any) -> Sequence[Any]:
        if test in QUICK:
            return EVERY
        heavy = [name for name in ARCHITECTURES if name not in LIGHT]
        return [*LIGHT, *(pytest.param(name, marks=pytest.mark.peers) for name in heavy)]

    def facts(self, name: str) -> Facts:
        name = name.rpartition(":")[2].replace("_", "-")
        follows = "" if name.startswith(NOT_LOCAL) else "side" if name.startswith(WIDE) else "cell"
        return Facts(map_follows=follows, grey_is_three_channels=name == "lenet", **FACTS.get(name, {}))


def test_a_name_misspelt_is_answered_with_the_nearest():
    for ask in (check_model, lambda name: create_model(name, in_chans=1)):
        with pytest.raises(UnknownName, match="did you mean 'capsule'"):
            ask("capsul")


@pytest.mark.parametrize(("name", "size"), [("unet", 100), ("capsule", 24), ("lenet-overlap", 30)])
def test_an_input_that_does_not_fit_is_refused(name, size):
    with pytest.raises(UsageError, match="needs an input"):
        create_model(name, in_chans=1, input_size=size)
