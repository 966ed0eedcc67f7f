"""The code blocks of README and docs/, and how a page's blocks are run one after the other in a folder of phantoms."""

import os
import signal
import socket
import subprocess
import sys
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from unittest import SkipTest

from sybil import Sybil
from sybil.document import Document
from sybil.example import Example
from sybil.parsers.markdown import CodeBlockParser, SkipParser

from secondread.testing.phantoms import dicom_bytes, encode, film, write_phantom_data

ROOT = Path(__file__).parents[2]
PAGES = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "README.md", *ROOT.glob("docs/**/*.md")))
_SECONDS = 600  # of one block, on a machine with other work
_RULES = '[[rule]]\nname = "chest"\nwhen = { modality = ["CR", "DX"] }\nthen = "read"\ntask = "tuberculosis"\n'


@dataclass
class Run:
    """One page's blocks in a folder."""

    folder: Path
    port: int = field(default_factory=lambda: _free_port())
    groups: list[int] = field(default_factory=list)  # of processes, which blocks may leave behind

    def shell(self, example: Example) -> None:
        """Run a bash block; it fails where a command does."""
        code = self._code(example)
        said = self.folder / f"block-{example.line}.log"
        with said.open("wb") as output:
            process = subprocess.Popen(
                ["bash", "-euo", "pipefail", "-c", code], cwd=self.folder, env=self._environment(),
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
            self.groups.append(process.pid)
            status = process.wait(timeout=_SECONDS)
        assert status == 0, f"{example.path}:{example.line} ended with {status}\n{code}\n{said.read_text()}"

    def python(self, example: Example) -> None:
        """Run a block of Python with the names that those before it have left."""
        lines_before = "\n" * example.line  # so that a traceback names the page's own lines
        exec(compile(lines_before + self._code(example), example.path, "exec"), example.namespace)

    def end(self) -> None:
        """Stop what blocks left running."""
        for group in self.groups:
            try:
                os.killpg(group, signal.SIGKILL)
            except ProcessLookupError:
                continue

    def _code(self, example: Example) -> str:
        """With a port that is free, and patience for a busy machine."""
        code = str(example.parsed).replace("127.0.0.1:8000", f"127.0.0.1:{self.port}")
        return code.replace("--port 8000", f"--port {self.port}").replace("--retry 30", "--retry 300")

    def _environment(self) -> dict[str, str]:
        """No settings of whoever runs the tests; drawings pass, which the gate would refuse."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SECONDREAD_")}
        return kept | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "XDG_DATA_HOME": str(self.folder / "share"),
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            "SECONDREAD_GATE": "off",
            "SECONDREAD_PROCESSES": "1",
        }


def document(page: str, run: Run) -> Document:
    """A page's blocks as Sybil finds them, to be executed by the run."""
    parsers = [CodeBlockParser("bash", run.shell), CodeBlockParser("python", run.python), SkipParser()]
    return Sybil(parsers=parsers, path=str(ROOT)).parse(ROOT / page)


def evaluated(page: str, run: Run) -> int:
    """Run all blocks of a page in order, from its folder. Returns how many were run."""
    found, count = document(page, run), 0
    for example in found.examples():
        try:
            example.evaluate()
        except SkipTest:
            continue
        count += isinstance(example.parsed, str)
    return count


def prepare(folder: Path) -> None:
    """What the pages speak of as already there, drawn."""
    ill = encode(film(256, 1, disease=True), "PNG")
    for name in ("film.png", "chest.png"):
        (folder / name).write_bytes(ill)
    write_phantom_data(folder / "films", counts={"train": 24, "val": 8, "test": 8}, size=128)
    for place, names in {"local": ("normal", "tuberculosis"), "effusions": ("normal", "effusion")}.items():
        for number in range(40):
            path = folder / place / names[number % 2] / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode(film(128, number, disease=bool(number % 2)), "PNG"))
    with zipfile.ZipFile(folder / "films.zip", "w") as archive:
        for number in range(2):
            archive.writestr(f"{number}.png", encode(film(200, number, disease=False), "PNG"))
    (folder / "folder-of-dicom").mkdir()
    (folder / "folder-of-dicom" / "film.dcm").write_bytes(
        dicom_bytes(film(128, 1, disease=True), Modality="DX", BodyPartExamined="CHEST")
    )
    (folder / "sw.po").touch()  # a catalogue that somebody has begun
    (folder / "site.toml").write_text(_RULES, encoding="utf-8")


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
