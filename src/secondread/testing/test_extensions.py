"""Everything that installed extensions bring keeps its promises: `pytest --pyargs secondread.testing`.

What is in the making is named by --secondread-model, --secondread-task and --secondread-importer.
"""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import pytest

from secondread.data import known_importers
from secondread.extensions import Brought
from secondread.models import known_models
from secondread.tasks import known_tasks
from secondread.testing.importers import ImporterContract
from secondread.testing.tasks import TaskContract

if find_spec("torch"):
    from secondread.testing.networks import Facts, NetworkContract

    class TestNetworks(NetworkContract):
        @classmethod
        def names_for(cls, test: str, config: Any) -> Sequence[Any]:
            return [*known_models().owners, *config.getoption("--secondread-model")]

        def facts(self, name: str) -> Facts:
            """Time enough to learn, and nothing claimed: that is for the extension's own tests to say."""
            return Facts(learning_rate=5e-3, steps=300, map_follows="")


class TestTasks(TaskContract):
    @classmethod
    def names_for(cls, test: str, config: Any) -> Sequence[Any]:
        return [*known_tasks().owners, *config.getoption("--secondread-task")]


class TestImporters(ImporterContract):
    @classmethod
    def names_for(cls, test: str, config: Any) -> Sequence[Any]:
        return [*known_importers().owners, *config.getoption("--secondread-importer")]


@pytest.mark.parametrize("brought", [known_tasks(), known_models(), known_importers()], ids=lambda one: one.kind)
def test_every_extension_can_be_used(brought: Brought[Any]) -> None:
    assert brought.complaints == []
