"""What pytest finds by itself where this package is installed: options, and the names that contracts run over."""

import pytest

CONTRACTS = ("networks", "tasks", "importers")
for _each in CONTRACTS:  # their assertions say as much as those of a test file
    pytest.register_assert_rewrite(f"secondread.testing.{_each}")


def pytest_addoption(parser: pytest.Parser) -> None:
    """--secondread-model, --secondread-task, --secondread-importer."""
    group = parser.getgroup("secondread", "what `--pyargs secondread.testing` looks at, besides what is installed")
    for kind, metavar in (("model", "NAME|MODULE:FUNCTION"), ("task", "NAME|FILE"), ("importer", "NAME")):
        group.addoption(f"--secondread-{kind}", action="append", default=[], metavar=metavar, help=f"This {kind} too.")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test of a contract over the names that its class gives."""
    names_for = getattr(metafunc.cls, "names_for", None)
    if names_for is not None and "name" in metafunc.fixturenames:
        metafunc.parametrize("name", names_for(metafunc.definition.originalname, metafunc.config))
