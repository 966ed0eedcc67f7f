"""What `import secondread` offers: quick, without torch, every name there, and the commands call the same functions."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import secondread
from secondread.cli import audit, evaluate, recalibrate, screen, train
from secondread.workflows.progress import ProgressEvent

SOURCES = Path(secondread.__file__).parent


def test_importing_loads_next_to_nothing_and_reading_never_torch() -> None:
    code = """
import sys
import secondread
early = {name for name in sys.modules if name.split(".")[0] in ("numpy", "torch", "cv2", "matplotlib", "click")}
assert not early, f"imported with the package: {early}"
from secondread import ProgressEvent, audit, evaluate, recalibrate, screen, train
assert not {"torch", "cv2", "matplotlib"} & set(sys.modules), "imported with a function's name"
import numpy as np
reading = secondread.load("tuberculosis/paper", gate=False).read(np.full((64, 64), 9, np.uint8))
reading._repr_html_()
assert not {"torch", "matplotlib"} & set(sys.modules), "imported by a reading"
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_every_public_name_is_there_and_typed_for_whoever_checks() -> None:
    text = (SOURCES / "__init__.py").read_text("utf-8")
    for name in secondread.__all__:
        assert getattr(secondread, name) is not None
        assert name in dir(secondread)
        assert name == "__version__" or f"import {name} as {name}\n" in text, f"{name} has no type for a checker"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = secondread.nothing


def test_no_part_of_the_package_hides_a_public_function() -> None:
    """`import secondread.audit` would put a module in the place of `secondread.audit(...)`."""
    parts = {path.stem for path in SOURCES.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert parts & set(secondread.__all__) == set()


@pytest.mark.parametrize("module", [audit, evaluate, recalibrate, screen, train], ids=lambda one: one.__name__)
def test_a_command_calls_the_public_function(module, monkeypatch) -> None:
    name = module.__name__.rpartition(".")[2]
    function = getattr(secondread, name)
    assert f"from secondread.workflows import {name} as run" in inspect.getsource(module)
    asked = set(inspect.signature(function).parameters)
    assert all(parameter.annotation is not inspect.Parameter.empty for parameter in
               inspect.signature(function).parameters.values())  # fmt: skip
    assert name == "recalibrate" or "progress" in asked


def test_an_event_has_a_title() -> None:
    assert ProgressEvent("read", 1, 2, "test").title == "read test"
    assert ProgressEvent("compare", 1).title == "compare"
