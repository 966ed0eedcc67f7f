"""`secondread gate`: what must be given, and pictures packed for another machine."""

import pytest

from secondread.testing.phantoms import bone_phantom, chest_phantom, encode
from secondread.training.gate_data import unpack
from tests.cli.test_cli import call


@pytest.fixture
def data(tmp_path):
    """Two tasks of four pictures."""
    for task, draw in (("fracture", bone_phantom), ("tuberculosis", chest_phantom)):
        (tmp_path / task).mkdir()
        rows = ["path,label,source,split"]
        for number in range(4):
            (tmp_path / task / f"{number}.png").write_bytes(encode(draw(64, random_state=number), "PNG"))
            rows.append(f"{number}.png,{number % 2},made,{'val' if number == 3 else 'train'}")
        (tmp_path / task / "manifest.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


@pytest.mark.parametrize("both", [False, True])
def test_a_gate_is_trained_from_images_or_from_a_packed_file(capsys, data, both):
    packed = data / "gate.npz"
    packed.write_bytes(b"")
    given = ["--data", data, "--pictures", packed] if both else []
    code, _, err = call(capsys, "gate", "train", "--out", data / "gate", *given)
    assert code == 2
    assert "--data, or a packed file with --pictures" in err
    assert not (data / "gate").exists()


def test_pictures_are_packed_with_what_they_are(capsys, data):
    code, out, _ = call(capsys, "gate", "pack", "--data", data, "--out", data / "gate.npz")
    assert code == 0
    pictures, fingerprints = unpack(data / "gate.npz")
    assert sorted(fingerprints) == ["fracture", "tuberculosis"]
    assert (pictures.kinds == "fracture").sum() == 4
    assert f"{len(pictures)} pictures" in out


def test_a_damaged_packed_file_is_refused(capsys, data):
    (data / "gate.npz").write_bytes(b"junk")
    code, _, err = call(capsys, "gate", "train", "--pictures", data / "gate.npz", "--out", data / "gate")
    assert code == 2
    assert "secondread gate pack" in err
