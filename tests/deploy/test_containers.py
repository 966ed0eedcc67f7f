"""Image and compose file: linted, valid, without rights that are not needed; commands and settings that there are."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from limits.storage import RedisStorage, storage_from_string

from secondread.dicom.destinations import Destination
from secondread.service import SETTINGS
from tests.deploy.checks import DEPLOY, ROOT, VARIABLES, check_command, variables_in

DOCKERFILE, COMPOSE, PACS = DEPLOY / "Dockerfile", DEPLOY / "compose.yaml", DEPLOY / "pacs" / "compose.yaml"
SERVICES = {COMPOSE: ["app", "database", "redis", "worker"], PACS: ["app", "database", "node", "orthanc"]}
both = pytest.mark.parametrize("file", list(SERVICES), ids=lambda file: file.parent.name)


def _compose(file: Path = COMPOSE) -> dict[str, Any]:
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    return dict(yaml.safe_load(file.read_text(encoding="utf-8")))


def test_the_dockerfile_is_linted() -> None:
    program = shutil.which("hadolint", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if program is None:
        pytest.skip("hadolint is not installed: the extra 'dev' brings it")
    done = subprocess.run([program, str(DOCKERFILE)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_image_runs_as_nobody_special_and_tells_whether_it_is_well() -> None:
    lines = _instructions()
    last_stage = lines[max(number for number, (name, _) in enumerate(lines) if name == "FROM") :]
    found = dict(last_stage)
    assert found["USER"] == "10001:10001"
    assert "/readyz" in found["HEALTHCHECK"]
    check_command(json.loads(found["CMD"]))


def test_what_is_copied_into_the_image_is_there_and_not_ignored() -> None:
    copied = [words.split()[:-1] for name, words in _instructions() if name == "COPY" and "--from" not in words]
    sources = [source for line in copied for source in line]
    allowed = {line[1:] for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line[0] == "!"}
    assert set(sources) == allowed
    assert all((ROOT / source).exists() for source in sources)


@both
def test_the_compose_file_follows_the_compose_specification(file: Path) -> None:
    compose_spec = pytest.importorskip(
        "compose_spec", reason="compose-spec is not installed: the extra 'dev' brings it"
    )
    found = compose_spec.PyOptions(apply_merge=True).from_yaml(file.read_text(encoding="utf-8"))
    found.validate()
    assert sorted(found.service_names()) == SERVICES[file]


def test_the_store_of_the_counters_of_requests_can_be_made() -> None:
    """With the version of redis that is locked; it is reached only when it counts."""
    pytest.importorskip("redis", reason="redis is not installed: the extra 'redis' brings it")
    address = _compose()["services"]["app"]["environment"]["SECONDREAD_RATE_LIMIT_STORAGE"]
    assert isinstance(storage_from_string(address), RedisStorage)


@both
def test_services_have_the_commands_and_settings_that_there_are(file: Path) -> None:
    ours = [service for service in _compose(file)["services"].values() if service["image"] == "secondread"]
    assert len(ours) == 2
    for service in ours:
        check_command(service["command"])
        assert set(service["environment"]) <= VARIABLES
    used = variables_in(file.read_text() + (DEPLOY / "env.example").read_text() + DOCKERFILE.read_text())
    assert used <= VARIABLES


@both
def test_no_service_has_more_rights_than_it_needs(file: Path) -> None:
    for name, service in _compose(file)["services"].items():
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "privileged" not in service
        if name != "database":  # it gives its folder to its own user first
            assert service["cap_drop"] == ["ALL"], name
            assert service["read_only"], name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name


@both
def test_what_a_service_names_is_there(file: Path) -> None:
    found = _compose(file)
    services, volumes = found["services"], set()
    for name, service in services.items():
        image, _, version = service["image"].partition(":")
        assert (image == "secondread") != bool(version), name  # what is not built here is of a fixed version
        assert version != "latest", name
        assert set(service.get("depends_on", ())) <= set(services), name
        volumes |= {mount.partition(":")[0] for mount in service.get("volumes", ())}
        assert {one["source"] for one in service.get("configs", ())} <= set(found.get("configs", ())), name
    assert volumes == set(found["volumes"])
    files = [one["file"] for one in found.get("configs", {}).values() if "file" in one]
    assert all((file.parent / one).is_file() for one in files)


def test_the_archive_and_the_node_know_one_another() -> None:
    """Each calls the other by the name, host and port under which it listens."""
    found, defaults = _compose(PACS), {row.name: row.default for row in SETTINGS}
    node, archive = found["services"]["node"], found["services"]["orthanc"]
    settings = json.loads(re.sub(r"\$\{[^}]*\}", "a word", found["configs"]["orthanc"]["content"]))
    assert settings["DicomModalities"]["secondread"] == [defaults["dicom_aet"], "node", defaults["dicom_port"]]
    given = {name: text.partition(":-")[2].removesuffix("}") for name, text in node["environment"].items()}
    place = Destination.parse(given["SECONDREAD_DICOM_SEND_TO"])
    assert (place.aet, place.host, place.port) == (settings["DicomAet"], "orthanc", settings["DicomPort"])
    assert given["SECONDREAD_DICOM_CALLERS"] == settings["DicomAet"]
    assert node["ports"] == [f"127.0.0.1:{defaults['dicom_port']}:{defaults['dicom_port']}"]
    assert f"'127.0.0.1', {defaults['dicom_port']}" in node["healthcheck"]["test"][-1]
    assert settings["LuaScripts"] == [one["target"] for one in archive["configs"] if one["source"] == "forward"]
    assert f":{settings['HttpPort']}" in archive["ports"][0]
    beside = json.loads((PACS.parent / "orthanc.json").read_text(encoding="utf-8"))
    assert {name for name in settings if settings[name] != beside.get(name)} == {
        "DicomModalities", "LuaScripts", "Plugins", "RemoteAccessAllowed", "AuthenticationEnabled", "RegisteredUsers"
    }  # fmt: skip


@both
def test_no_password_is_written_down(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert text.count("POSTGRES_PASSWORD: ${POSTGRES_PASSWORD:?") == 1
    assert "//secondread:${POSTGRES_PASSWORD:?" in text
    given = re.findall(r"""(?i)(?:password|admin)"?: +"?(\S+)""", text)
    assert given
    assert all(one.startswith("${") for one in given)
    assert "POSTGRES_PASSWORD=\n" in (DEPLOY / "env.example").read_text(encoding="utf-8")


def _instructions() -> list[tuple[str, str]]:
    """(instruction, its words) of each, in order."""
    text = re.sub(r"^\s*#.*\n", "", DOCKERFILE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    joined = re.sub(r"\\\n\s*", " ", text)
    return [(name, words) for name, _, words in (line.partition(" ") for line in joined.splitlines() if line.strip())]
