"""The systemd units: valid, shut in, and naming commands and settings that there are."""

import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from secondread.service import settings_from
from tests.deploy.checks import DEPLOY, VARIABLES, check_command, variables_in

FOLDER = DEPLOY / "systemd"
SERVICES = sorted(path.name for path in FOLDER.glob("*.service"))
PROGRAM = "/opt/secondread/bin/secondread"
MOST_EXPOSED = 2.0  # of 10, by `systemd-analyze security`

pytestmark = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units with a program and a user that this machine has; all the rest is as it is."""
    for path in FOLDER.glob("*.*"):
        text = path.read_text(encoding="utf-8").replace(PROGRAM, "/bin/true")
        text = re.sub(r"^(User|Group)=secondread$", r"\1=root", text, flags=re.MULTILINE)
        (tmp_path / path.name.replace("@.", "@1.")).write_text(text, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.glob("*.[st]*r*") if path.suffix != ".sysusers"))
def test_systemd_finds_nothing_to_mend(units: Path, name: str) -> None:
    done = _run("verify", str(units / name.replace("@.", "@1.")))
    told = [line for line in done.stderr.splitlines() if str(units) in line]
    assert (done.returncode, told) == (0, [])


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_shut_in(units: Path, name: str) -> None:
    done = _run("security", "--offline=true", "--threshold=100", str(units / name.replace("@.", "@1.")))
    found = re.search(r"exposure level for \S+: ([\d.]+)", done.stdout)
    if found is None:
        pytest.skip("this systemd-analyze does not judge units that are not installed")
    assert float(found[1]) <= MOST_EXPOSED


@pytest.mark.parametrize("name", SERVICES)
def test_the_command_of_a_service_is_one_that_there_is(name: str) -> None:
    text = (FOLDER / name).read_text(encoding="utf-8")
    (line,) = re.findall(r"^ExecStart=(.*)$", text, flags=re.MULTILINE)
    words = shlex.split(line)
    if words[0] == "/bin/sh":
        words = shlex.split(words[-1].replace("$(", "").removeprefix("exec "))
    assert words[0] == PROGRAM
    check_command([word for word in words[1:] if not word.startswith("+")])
    assert variables_in(text) <= VARIABLES


def test_every_timer_starts_a_service_that_there_is() -> None:
    timers = {path.stem for path in FOLDER.glob("*.timer")}
    assert timers == {"secondread-retention", "secondread-backup"}
    assert {f"{name}.service" for name in timers} <= set(SERVICES)


def test_the_settings_file_is_read(tmp_path: Path) -> None:
    path = DEPLOY / "secondread.toml"
    found = settings_from({}, config=path)
    assert found["WORKERS"] == 0
    assert found["DATA_FOLDER"] == "/var/lib/secondread"
    assert "database" not in tomllib.loads(path.read_text(encoding="utf-8"))  # its password belongs elsewhere


def test_the_commands_run_as_the_services_do() -> None:
    script = (FOLDER.parent / "secondread-admin").read_text(encoding="utf-8")
    unit = (FOLDER / "secondread.service").read_text(encoding="utf-8")
    for shared in (PROGRAM, "SECONDREAD_CONFIG=/etc/secondread/secondread.toml", "/etc/secondread/secrets"):
        assert shared in script
        assert shared in unit
    assert subprocess.run(["sh", "-n", FOLDER.parent / "secondread-admin"], check=False).returncode == 0


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, check=False, timeout=60)
