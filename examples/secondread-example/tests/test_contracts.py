"""This extension keeps what secondread asks of every network, task and importer."""

from secondread.testing.importers import ImporterContract
from secondread.testing.networks import Facts, NetworkContract
from secondread.testing.tasks import TaskContract


class TestNetwork(NetworkContract):
    names = ("dots",)

    def facts(self, name: str) -> Facts:
        return Facts(learning_rate=5e-3, steps=80)


class TestTask(TaskContract):
    names = ("phantom-nodule",)


class TestImporter(ImporterContract):
    names = ("wards",)
