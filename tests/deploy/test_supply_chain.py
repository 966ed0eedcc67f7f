"""What is installed: pinned, with the hash of each file, before the package itself; and listed with its licence."""

import ast
import hashlib
import json
import re
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path

import pytest
from benchmarks import sbom
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name as plain

from tests.deploy.checks import ROOT

REQUIREMENTS = ROOT / "requirements"
SERVE, DEV = REQUIREMENTS / "serve.lock", REQUIREMENTS / "dev.lock"
APART = REQUIREMENTS / "apart.txt"
BENCH = REQUIREMENTS / "bench.txt"
OURS = {"secondread", "tests", "benchmarks", "docs", "secondread_example"}
HERE = {"sys_platform": sys.platform, "extra": ""}


def pins(path: Path) -> dict[str, str]:
    """Version by name, of a lock or of what is installed apart."""
    lines = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;]+)", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {plain(name): version for name, version in lines}


@pytest.mark.parametrize("lock", [SERVE, DEV], ids=["serve", "dev"])
def test_a_lock_holds_a_version_and_hashes_of_everything_and_says_of_no_place(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")
    entries = re.split(r"\n(?=\S)", text.rstrip())
    pinned = re.compile(r"[a-z0-9._-]+==\S+( ; [^\\\n]+)? \\(\n    --hash=sha256:[0-9a-f]{64}( \\)?)+", re.IGNORECASE)
    assert [entry.splitlines()[0] for entry in entries if not pinned.fullmatch(entry)] == []
    assert len(entries) > 50
    assert "://" not in text
    assert "torch" not in pins(lock)


def test_serving_installs_the_very_files_that_the_tests_passed_with() -> None:
    serve, dev = (
        set(re.split(r"\n(?=\S)", re.sub(r" ; .*", " \\\\", lock.read_text().rstrip()))) for lock in (SERVE, DEV)
    )
    assert serve - dev == set()
    assert not {"pytest", "onnx", "uv"} & pins(SERVE).keys()


@pytest.mark.parametrize("lock", [SERVE, DEV], ids=["serve", "dev"])
def test_what_a_locked_package_needs_is_locked_too(lock: Path) -> None:
    """As pip is told to bring nothing else along; torch's needs among them, but those of a graphics card."""
    locked = pins(lock) | (pins(APART) if lock == DEV else {})
    missing = {
        f"{name} needs {need}"
        for name in locked
        for need in needs_of(name)
        if not need.name.startswith(("nvidia-", "cuda-", "triton"))
        if plain(need.name) not in locked or not need.specifier.contains(locked[plain(need.name)], prereleases=True)
    }
    assert missing == set()


def needs_of(name: str) -> Iterator[Requirement]:
    """What an installed package asks for on this machine, without its extras."""
    try:
        asked = distribution(name).requires or []
    except PackageNotFoundError:
        return  # of another Python or system
    for need in map(Requirement, asked):
        if need.marker is None or need.marker.evaluate(HERE):
            yield need


@pytest.mark.parametrize("folder", ["src", "tests", "benchmarks"])
def test_everything_imported_is_pinned(folder: str) -> None:
    pinned, owners = pins(DEV).keys() | pins(APART).keys(), packages_distributions()
    pinned |= pins(BENCH).keys() if folder == "benchmarks" else set()  # what a benchmark puts apart by itself
    paths = list((ROOT / folder).rglob("*.py"))
    imported = {name for path in paths for name in imports(path)}
    third = imported - set(sys.stdlib_module_names) - OURS - {path.stem for path in paths}
    assert len(third) > 5
    assert {name for name in third if not pinned & {plain(one) for one in owners.get(name, [name])}} == set()


def imports(path: Path) -> Iterator[str]:
    """The top-level packages that a module imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield str(node.module).partition(".")[0]


def test_what_is_locked_comes_first_by_hash_and_the_package_brings_nothing_along() -> None:
    makefile, dockerfile, guide = (
        (ROOT / name).read_text(encoding="utf-8")
        for name in ("Makefile", "deploy/Dockerfile", "docs/how-to/deployment.md")
    )
    for text in (dockerfile, guide):
        installs = [line for line in re.sub(r"\\\n\s*", " ", text).splitlines() if "pip install" in line]
        assert len(installs) >= 2
        for hashed, itself in zip(installs[::2], installs[1::2], strict=True):
            assert "--require-hashes --no-deps --requirement requirements/serve.lock" in hashed
            assert "--no-deps --no-build-isolation ." in itself
    reads = makefile.partition("$(VENV)/.reads:")[2].partition("\n\n")[0]
    assert re.findall(r"\$\((HASHED|ITSELF|PIP)\)", reads) == ["HASHED", "ITSELF"]
    assert "dev.lock" not in reads


def test_no_licence_of_what_is_served_reaches_beyond_its_package() -> None:
    """LGPL (psycopg) is a library beside ours; the GPL and AGPL would be everybody's."""
    said = {name: sbom.licence(name) for name, *_ in sbom.locked()}
    assert len(said) > 50
    assert {name: words for name, words in said.items() if re.search(r"(?<!L)GPL|General Public", words)} == {}
    assert sbom.licence("psycopg") == "LGPL-3.0-only"


def test_the_list_of_parts_is_the_one_of_today() -> None:
    kept = sbom.SBOM.read_text(encoding="utf-8")
    assert kept == sbom.document(), "docs/reference/sbom.cdx.json is of another day: run `make sbom`"


def test_the_list_of_parts_names_every_locked_file_and_every_network() -> None:
    table = json.loads(sbom.SBOM.read_text(encoding="utf-8"))
    assert (table["bomFormat"], table["specVersion"]) == ("CycloneDX", "1.6")
    listed = {one["bom-ref"]: one for one in table["components"]}
    for name, version, hashes in sbom.locked():
        (place,) = listed[f"{name}=={version}"]["externalReferences"]
        assert {one["content"] for one in place["hashes"]} == set(hashes) != set()
    networks = {one["hashes"][0]["content"] for one in listed.values() if one["type"] == "machine-learning-model"}
    assert networks == {hashlib.sha256(path.read_bytes()).hexdigest() for path in sbom.BUNDLES.rglob("*.onnx")}
    assert all(one["licenses"] for one in listed.values())
