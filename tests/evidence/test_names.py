"""The package's public names: all there, and a reading pays for none that it does not use."""

import subprocess
import sys

import pytest

import secondread.evidence


@pytest.mark.parametrize("name", secondread.evidence.__all__)
def test_every_public_name_is_there(name):
    assert getattr(secondread.evidence, name) is not None
    assert name in dir(secondread.evidence)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        secondread.evidence.nothing  # noqa: B018


def test_applying_a_calibration_needs_numpy_alone():
    code = (
        "import sys\nfrom secondread.evidence import apply_calibration\n"
        "assert apply_calibration({'temperature': 2.0}, [0.0])[0] == 0.5\n"
        "heavy = {'scipy', 'sklearn', 'matplotlib', 'jinja2', 'secondread.data'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
