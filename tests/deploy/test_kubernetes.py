"""The manifests: valid, without rights that are not needed, fitting one another and the program. No cluster ran."""

import importlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from secondread import __version__
from secondread.errors import ServiceError
from secondread.service import SETTINGS, Service
from tests.deploy.checks import DEPLOY, ROOT, VARIABLES, check_command, commands_in

yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
FILES = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
PAGE = (ROOT / "docs/how-to/scaling-out.md").read_text(encoding="utf-8")
AWS = {"AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
OF_PODS = ("Deployment", "Job", "CronJob")
TOLD = [table for path in FILES for table in yaml.safe_load_all(path.read_text(encoding="utf-8"))]


def of_kind(*kinds: str) -> list[dict[str, Any]]:
    return [table for table in TOLD if table["kind"] in kinds]


def named(table: dict[str, Any]) -> str:
    return f"{table['kind']} {table['metadata']['name']}"


def template(table: dict[str, Any]) -> dict[str, Any]:
    """Of the pods that it makes."""
    spec = table["spec"]["jobTemplate"]["spec"] if table["kind"] == "CronJob" else table["spec"]
    return dict(spec["template"])


def containers() -> Iterator[tuple[str, dict[str, Any]]]:
    for table in of_kind(*OF_PODS):
        for container in template(table)["spec"]["containers"]:
            yield named(table), container


def chosen(selector: dict[str, Any]) -> list[str]:
    """What makes pods that a selector picks."""
    wanted = selector.get("matchLabels", {})
    found = []
    for table in of_kind(*OF_PODS):
        labels = template(table)["metadata"]["labels"]
        without = all(
            rule["operator"] == "NotIn" and labels[rule["key"]] not in rule["values"]
            for rule in selector.get("matchExpressions", [])
        )
        if wanted.items() <= labels.items() and without:
            found.append(named(table))
    return found


@pytest.mark.parametrize("version", ["1.28", "1.32", "latest"])
def test_each_follows_the_schema_of_the_version(version: str) -> None:
    check = pytest.importorskip(
        "kubernetes_validate", reason="kubernetes-validate is not installed: the extra 'dev' brings it"
    )
    for table in TOLD:
        check.validate(table, check.latest_version() if version == "latest" else version, strict=True)


def test_all_of_it_is_in_one_namespace() -> None:
    places = {table["metadata"].get("namespace") for table in TOLD if table["kind"] != "Namespace"}
    assert places == {table["metadata"]["name"] for table in of_kind("Namespace")}


@pytest.mark.parametrize("table", of_kind(*OF_PODS), ids=named)
def test_no_pod_has_more_rights_than_it_needs(table: dict[str, Any]) -> None:
    spec = template(table)["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False  # SECONDREAD_SERVICE_HOST … would stop the start as unknown settings
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] == 10001  # as deploy/Dockerfile makes it
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in spec["containers"]:
        rights = container["securityContext"]
        assert rights["readOnlyRootFilesystem"] is True
        assert rights["allowPrivilegeEscalation"] is False
        assert rights["capabilities"] == {"drop": ["ALL"]}
        assert set(container["resources"]["requests"]) == {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"]
        mounted = {mount["mountPath"] for mount in container["volumeMounts"]}
        assert {"/tmp", "/var/lib/secondread"} <= mounted
        assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in spec["volumes"]}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
    assert all("hostPath" not in volume for volume in spec["volumes"])


def test_selectors_pick_the_pods_that_they_mean() -> None:
    for table in of_kind("Deployment"):
        assert chosen(table["spec"]["selector"]) == [named(table)]
    for table in of_kind("Service"):
        assert chosen({"matchLabels": table["spec"]["selector"]}) == ["Deployment secondread-web"]
    for table in of_kind("PodDisruptionBudget"):
        assert chosen(table["spec"]["selector"]) == [f"Deployment {table['metadata']['name']}"]
    scaled = [table["spec"]["scaleTargetRef"] for table in of_kind("HorizontalPodAutoscaler")]
    assert {f"{one['kind']} {one['name']}" for one in scaled} <= set(map(named, of_kind("Deployment")))


def test_everything_is_refused_but_what_is_needed() -> None:
    policies = {table["metadata"]["name"]: table["spec"] for table in of_kind("NetworkPolicy")}
    assert policies.pop("nothing") == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    every = set(map(named, of_kind(*OF_PODS)))
    ports = {
        name: [port["port"] for rule in spec.get("egress", spec.get("ingress")) for port in rule["ports"]]
        for name, spec in policies.items()
    }
    picked = {name: set(chosen(spec["podSelector"])) for name, spec in policies.items()}
    assert picked["names"] == picked["all-to-database"] == every
    assert picked["all-but-migrate-to-storage"] == every - {"Job secondread-migrate"}
    assert picked["web-to-redis"] == picked["into-web"] == {"Deployment secondread-web"}
    assert ports == {
        "names": [53, 53],
        "into-web": ["http"],
        "all-to-database": [5432],
        "all-but-migrate-to-storage": [443, 9000],
        "web-to-redis": [6379],
    }


def test_ports_and_probes_are_the_programs(tmp_path: Path) -> None:
    (web,) = [found for name, found in containers() if name == "Deployment secondread-web"]
    (port,) = web["ports"]
    assert str(port["containerPort"]) == web["args"][web["args"].index("--port") + 1]
    (service,) = of_kind("Service")
    assert [one["targetPort"] for one in service["spec"]["ports"]] == [port["name"]]
    app = importlib.import_module("secondread.web").create_app({"DATA_FOLDER": str(tmp_path)})
    routes = {str(rule) for rule in app.url_map.iter_rules()}
    for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert web[kind]["httpGet"]["port"] == port["name"]
        assert web[kind]["httpGet"]["path"] in routes
    assert web["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert web["readinessProbe"]["timeoutSeconds"] > 2.5  # /readyz answers within that
    (ingress,) = of_kind("Ingress")
    backends = [path["backend"]["service"] for rule in ingress["spec"]["rules"] for path in rule["http"]["paths"]]
    assert backends == [{"name": service["metadata"]["name"], "port": {"name": "http"}}]
    most = next(row.default for row in SETTINGS if row.name == "max_body_mb")
    assert ingress["metadata"]["annotations"]["nginx.ingress.kubernetes.io/proxy-body-size"] == f"{most}m"


def test_a_pod_that_ends_is_given_the_time_it_needs() -> None:
    spec = template(next(table for table in of_kind("Deployment") if named(table).endswith("web")))["spec"]
    waits = int(spec["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])
    stop = importlib.import_module("secondread.web.serving.processes")._STOP_SECONDS
    assert spec["terminationGracePeriodSeconds"] > waits + stop


def test_some_of_the_web_stays_while_hosts_are_emptied() -> None:
    (scaler,) = of_kind("HorizontalPodAutoscaler")
    budgets = {table["metadata"]["name"]: table["spec"] for table in of_kind("PodDisruptionBudget")}
    assert 0 < budgets["secondread-web"]["minAvailable"] < scaler["spec"]["minReplicas"]
    (workers,) = [table for table in of_kind("Deployment") if named(table).endswith("worker")]
    assert 0 < budgets["secondread-worker"]["maxUnavailable"] < workers["spec"]["replicas"]


def test_commands_and_settings_are_those_that_there_are() -> None:
    for name, container in containers():
        shell = container.get("command", [""])[-1]
        run = [container["args"]] if "args" in container else commands_in(shell)
        assert run, name
        for arguments in run:
            check_command(arguments)
        assert {one["name"] for one in container["env"]} <= VARIABLES | AWS, name
    (settings,) = of_kind("ConfigMap")
    assert set(settings["data"]) <= VARIABLES | AWS | {"OMP_NUM_THREADS"}
    assert all(isinstance(value, str) for value in settings["data"].values())


def test_what_is_set_can_be_opened() -> None:
    """By the program's own rules for numbers and words."""
    (settings,) = of_kind("ConfigMap")
    rows = {row.variable: row for row in SETTINGS}
    parsed = {name: rows[name].parse(value) for name, value in settings["data"].items() if name in rows}
    assert parsed["SECONDREAD_IMAGES"].startswith("s3://")
    key = parsed["SECONDREAD_SITE_KEY"]
    for name, container in containers():
        folders = [mount["mountPath"] for mount in container["volumeMounts"] if mount["name"] == "site-key"]
        assert folders == ([] if name == "Job secondread-migrate" else [str(key).rpartition("/")[0]]), name


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_the_data_folder_is_one_that_the_program_takes(tmp_path: Path) -> None:
    """A volume is root's there, with the pod's group and open to everyone: the data folder has to lie within."""
    (settings,) = of_kind("ConfigMap")
    for name, container in containers():
        (mounted,) = [one["mountPath"] for one in container["volumeMounts"] if one["name"] == "data"]
        assert Path(settings["data"]["SECONDREAD_DATA_FOLDER"]).parent == Path(mounted), name
    volume = tmp_path / "volume"
    volume.mkdir()
    os.chown(volume, 10002, 10001)
    volume.chmod(0o2777)
    with pytest.raises(ServiceError, match="everyone may write to it"):
        Service.open({"DATA_FOLDER": str(volume)})
    Service.open({"DATA_FOLDER": str(volume / "data")}).close()


def test_secrets_are_named_and_never_written_down() -> None:
    assert not of_kind("Secret")
    text = "\n".join(path.read_text(encoding="utf-8") for path in FILES)
    assert not re.search(r"(postgresql|redis)://", text)
    asked = {one["valueFrom"]["secretKeyRef"]["key"] for _, found in containers() for one in found["env"]} | {
        "site.key"
    }
    told = set(re.findall(r"--from-(?:literal|file)=([\w.-]+)=", PAGE))
    assert told == asked


def test_commands_that_the_page_gives_are_there() -> None:
    """What is run in a pod, behind `--`."""
    found = re.findall(r"-- secondread (.+)$", PAGE, flags=re.MULTILINE)
    assert found
    for arguments in found:
        check_command(arguments.split())


def test_every_pod_runs_this_version() -> None:
    assert {container["image"] for _, container in containers()} == {f"secondread:{__version__}"}
