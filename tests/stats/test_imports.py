"""A reading pays for no statistics that it does not use."""

import subprocess
import sys


def test_applying_a_calibration_needs_numpy_alone():
    code = (
        "import sys\nfrom secondread.stats.calibration import Calibration\n"
        "assert Calibration(2.0).apply([0.0])[0] == 0.5\n"
        "heavy = {'scipy', 'sklearn', 'matplotlib', 'jinja2', 'secondread.data'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
