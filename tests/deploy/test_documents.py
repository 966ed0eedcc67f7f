"""What docs/how-to/deployment.md, scaling-out.md and dicom.md name is there: every command, setting and file."""

import importlib
import re
from typing import Any

import pytest

from secondread.service import SETTINGS
from tests.deploy.checks import DEPLOY, ROOT, VARIABLES, check_command, commands_in, variables_in

PAGE = (ROOT / "docs/how-to/deployment.md").read_text(encoding="utf-8")
OTHER = (ROOT / "docs/how-to/scaling-out.md").read_text(encoding="utf-8")
NODE = (ROOT / "docs/how-to/dicom.md").read_text(encoding="utf-8")
ALL = f"{PAGE}\n{OTHER}\n{NODE}"
LISTINGS = "\n".join(re.findall(r"^```bash\n(.*?)^```", f"{PAGE}\n{NODE}", flags=re.MULTILINE | re.DOTALL))
INLINE = sorted(set(re.findall(r"`(secondread [^`]*)`", ALL)))


def test_listings_run_commands_that_there_are() -> None:
    found = commands_in(LISTINGS)
    assert len(found) >= 6
    for arguments in found:
        check_command(arguments)


@pytest.mark.parametrize("code", INLINE)
def test_a_command_in_the_text_is_one_that_there_is(code: str) -> None:
    check_command(code.split()[1:])


def test_settings_that_it_names_are_there() -> None:
    assert variables_in(ALL) - {"SECONDREAD_"} <= VARIABLES
    names = {row.name for row in SETTINGS}
    assert {"max_body_mb", "hosts", "retention_days", "data_folder"} <= names
    assert {"max_body_mb", "hosts", "retention_days", "data_folder"} <= set(re.findall(r"`([a-z_]+)`", PAGE))


def test_files_that_it_names_are_there() -> None:
    named = re.findall(r"\b(?:deploy|tests)/[\w./*-]+\w", ALL)
    assert named
    assert all(list(ROOT.glob(name)) for name in named if not name.endswith("/.env"))
    table = re.findall(r"^\| `([^|]+)` \|", PAGE.partition("## ")[0], flags=re.MULTILINE)
    for name in ", ".join(table).replace("`", "").split(", "):
        assert (DEPLOY / name).exists(), name


def test_manifests_have_a_line_each() -> None:
    told = re.findall(r"^\| `(\d-[a-z]+\.yaml)` \|", OTHER, flags=re.MULTILINE)
    assert told == sorted(path.name for path in (DEPLOY / "kubernetes").iterdir())


def test_metrics_that_it_and_the_alerts_name_are_counted() -> None:
    alerts = (DEPLOY / "prometheus-alerts.yaml").read_text(encoding="utf-8")
    metrics = importlib.import_module("secondread.web.health").Metrics()
    told = {sample for family in metrics.registry.collect() for sample in _samples(family)}
    named = set(re.findall(r"\bsecondread_[a-z_]+\b", PAGE + alerts))
    assert len(named) >= 5
    assert named <= told


def _samples(family: Any) -> set[str]:
    """The names under which Prometheus keeps a metric."""
    suffixes = {"counter": ["_total"], "histogram": ["", "_bucket", "_sum", "_count"]}.get(family.type, [""])
    return {family.name + suffix for suffix in suffixes}
