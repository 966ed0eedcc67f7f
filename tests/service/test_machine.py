"""What a machine, its container or its unit gives."""

from pathlib import Path

import pytest

from secondread.service.machine import cores, memory_bytes


def _said(system: Path, group: str, file: str, words: str) -> None:
    place = system / "sys/fs/cgroup" / group
    place.mkdir(parents=True, exist_ok=True)
    (place / file).write_text(f"{words}\n")


@pytest.mark.parametrize(
    ("words", "most"), [("100000 100000", 1), ("150000 100000", 2), ("max 100000", 10_000), ("", 10_000)]
)
def test_a_container_may_have_fewer_cores_than_its_machine(tmp_path: Path, words: str, most: int) -> None:
    machine = cores(tmp_path)
    assert machine >= 1
    _said(tmp_path, "", "cpu.max", words)
    assert cores(tmp_path) == min(machine, most)


def test_a_unit_is_bound_by_its_own_group_and_by_those_above(tmp_path: Path) -> None:
    machine = memory_bytes(tmp_path)
    assert machine is None or machine > 100_000_000
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("1:name=systemd:/x\n0::/system.slice/secondread.service\n")
    _said(tmp_path, "", "memory.max", "max")
    assert memory_bytes(tmp_path) == machine
    _said(tmp_path, "system.slice", "memory.max", "60000000")
    assert memory_bytes(tmp_path) == 60_000_000
    _said(tmp_path, "system.slice/secondread.service", "memory.max", "50000000")
    _said(tmp_path, "system.slice/secondread.service", "cpu.max", "50000 100000")
    assert (memory_bytes(tmp_path), cores(tmp_path)) == (50_000_000, 1)
