"""What a server is made of, as CycloneDX 1.6: the packages that serving installs, the shipped bundles, the gate.

python -m benchmarks.sbom     result in docs/reference/sbom.cdx.json; a test makes it again and so finds a stale one
"""

import hashlib
import json
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageMetadata, metadata
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import License
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.markers import Marker

from secondread import __version__
from secondread.reading import list_bundles, load_bundle, load_gate

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements" / "serve.lock"
SBOM = ROOT / "docs/reference/sbom.cdx.json"
BUNDLES = ROOT / "src" / "secondread" / "bundles"
SERVER = {
    "sys_platform": "linux", "platform_python_implementation": "CPython", "implementation_name": "cpython",
    "python_full_version": "3.13.0", "python_version": "3.13",
}  # fmt: skip
_PINNED = re.compile(r"^([A-Za-z0-9._-]+)==(\S+?)(?: ; (.*?))? \\$")
_HASH = re.compile(r"^    --hash=sha256:([0-9a-f]{64})")


def locked(path: Path = LOCK) -> Iterator[tuple[str, str, list[str]]]:
    """(name, version, SHA-256 of each file of the release) of what the lock installs on Linux."""
    found: list[tuple[str, str, list[str]]] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if pinned := _PINNED.match(line):
            name, version, marker = pinned.groups()
            hashes: list[str] = []
            if not marker or Marker(marker).evaluate(SERVER):
                found.append((name, version, hashes))
        elif one := _HASH.match(line):
            hashes.append(one[1])
    yield from found


def licence(name: str) -> str:
    """What a package is given under: an SPDX expression where it says one, else its own words. Raises LookupError."""
    said: PackageMetadata = metadata(name)
    classifiers = [
        line.rpartition(" :: ")[2] for line in said.get_all("Classifier") or [] if line.startswith("License")
    ]
    short = (said.get("License") or "").strip()
    # Some put the whole text into the field.
    for words in (said.get("License-Expression"), short if "\n" not in short else "", *classifiers):
        if words and words not in ("UNKNOWN", "OSI Approved", "Dual License"):
            return words
    raise LookupError(f"{name} does not say its licence: read it before it is locked")


def document() -> str:
    """The SBOM as JSON, without the moment it was made."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    itself = Component(
        name="secondread", version=__version__, type=ComponentType.APPLICATION, bom_ref="secondread",
        licenses=[LicenseFactory().make_from_string(project["license"])],
        purl=PackageURL("pypi", name="secondread", version=__version__),
    )  # fmt: skip
    packages = [_package(*one) for one in locked()]
    bom = Bom(components=[*packages, *_models()])
    bom.metadata.component = itself
    bom.register_dependency(itself, bom.components)
    table = json.loads(JsonV1Dot6(bom).output_as_string())
    del table["metadata"]["timestamp"]
    text = json.dumps({**table, "serialNumber": ""}, sort_keys=True)
    table["serialNumber"] = uuid5(NAMESPACE_URL, hashlib.sha256(text.encode()).hexdigest()).urn
    return json.dumps(table, indent=1, ensure_ascii=False) + "\n"


def _package(name: str, version: str, hashes: list[str]) -> Component:
    said = licence(name)
    try:
        named = LicenseFactory().make_from_string(said)
    except ValueError:
        named = License(name=said)
    return Component(
        name=name, version=version, type=ComponentType("library"), bom_ref=f"{name}=={version}", licenses=[named],
        purl=PackageURL("pypi", name=name, version=version),
        external_references=[
            ExternalReference(
                type=ExternalReferenceType.DISTRIBUTION,
                url=XsUri(f"https://pypi.org/project/{name}/{version}/"),
                comment="SHA-256 of each file of the release; one of them is installed",
                hashes=[HashType(alg=HashAlgorithm.SHA_256, content=one) for one in hashes],
            )
        ],
    )  # fmt: skip


def _models() -> Iterator[Component]:
    """Each shipped bundle and the gate, by the hash of its network; the version is what readings name it by."""
    folders = {name: (load_bundle(name).id.rpartition("@")[2], BUNDLES / name) for name in list_bundles()}
    gate = load_gate(BUNDLES / "gate")
    folders["gate"] = (gate.id, BUNDLES / "gate")
    for name, (version, folder) in sorted(folders.items()):
        (network,) = folder.glob("*.onnx")
        sha256 = hashlib.sha256(network.read_bytes()).hexdigest()
        yield Component(
            name=f"secondread/{name}", version=version, type=ComponentType.MACHINE_LEARNING_MODEL,
            bom_ref=f"{name}@{version}", hashes=[HashType(alg=HashAlgorithm.SHA_256, content=sha256)],
            licenses=[LicenseFactory().make_from_string("Apache-2.0")],
        )  # fmt: skip


def main() -> None:
    """Write it."""
    SBOM.write_text(document(), encoding="utf-8")
    sys.stdout.write(f"{SBOM.relative_to(ROOT)} written\n")


if __name__ == "__main__":
    main()
