"""What runs a network: ONNX Runtime by default, OpenVINO where it is asked for, and the same answers from both."""

import sys
import threading

import numpy as np
import pytest

from secondread.errors import BundleDamaged, ExtraMissing, UnknownName
from secondread.reading import Reader, list_bundles, load_bundle
from secondread.reading.session import RUNTIME_VARIABLE, open_session, runtime_asked_for

RUNTIME = "openvino"


@pytest.fixture
def openvino():
    """The library, or a skip."""
    return pytest.importorskip("openvino", reason="the extra 'openvino' is not installed")


def _pixels(bundle, *, n):
    spec = bundle.prepare_spec
    return np.random.default_rng(0).integers(0, 256, (n, 1, spec.size, spec.size, spec.depth), dtype=np.uint8)


@pytest.mark.parametrize("name", list_bundles())
def test_both_runtimes_answer_alike(openvino, name):
    bundle = load_bundle(name)
    ours, other = (open_session(bundle.model_path, threads=1, runtime=one) for one in ("onnxruntime", RUNTIME))
    for pixels in _pixels(bundle, n=3):
        (logit, cam), (other_logit, other_cam) = (one.run(["logit", "cam"], {"image": pixels}) for one in (ours, other))
        assert bundle.calibration.apply(other_logit) == pytest.approx(bundle.calibration.apply(logit), abs=1e-3)
        assert np.abs(other_cam - cam).max() < 1e-2 * max(1.0, np.abs(cam).max())


def test_what_it_answers_with_has_name_and_shape(openvino):
    bundle = load_bundle("tuberculosis/paper")
    found = {one.name: one.shape for one in open_session(bundle.model_path, runtime=RUNTIME).get_outputs()}
    assert len(found["logit"]) == 1
    assert found["cam"][1:] == [4, 4]


def test_threads_that_ask_at_once_get_their_own_answers(openvino):
    bundle = load_bundle("tuberculosis/paper")
    session, pixels = open_session(bundle.model_path, runtime=RUNTIME), _pixels(bundle, n=8)
    alone = [session.run(["logit"], {"image": one})[0] for one in pixels]
    together: dict[int, list[np.ndarray]] = {}

    def ask(number: int) -> None:
        together[number] = [session.run(["logit"], {"image": pixels[number]})[0] for _ in range(20)]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(len(pixels))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all((answer == alone[number]).all() for number, some in together.items() for answer in some)
    assert len(together) == len(pixels)


def test_a_reader_takes_the_runtime_it_is_given(openvino, monkeypatch):
    pixels = np.random.default_rng(0).integers(0, 256, (200, 200), dtype=np.uint8)
    default = Reader.load("tuberculosis/paper", gate=False).read(pixels)
    given = Reader.load("tuberculosis/paper", gate=False, runtime=RUNTIME).read(pixels)
    monkeypatch.setenv(RUNTIME_VARIABLE, RUNTIME)
    asked = Reader.load("tuberculosis/paper", gate=False).read(pixels)
    assert given.probability == asked.probability == pytest.approx(default.probability, abs=1e-3)


def test_a_network_of_others_stays_with_the_runtime_that_bounds_its_memory(monkeypatch):
    monkeypatch.setenv(RUNTIME_VARIABLE, RUNTIME)
    assert runtime_asked_for(shipped=True) == RUNTIME
    assert runtime_asked_for(shipped=False) == "onnxruntime"
    monkeypatch.delenv(RUNTIME_VARIABLE)
    assert runtime_asked_for(shipped=True) == "onnxruntime"


def test_an_unknown_runtime_is_named_with_those_there_are(monkeypatch):
    monkeypatch.setenv(RUNTIME_VARIABLE, "openvin")
    with pytest.raises(UnknownName, match="did you mean 'openvino'"):
        Reader.load("tuberculosis/paper")


def test_without_the_extra_it_is_said_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ExtraMissing, match="openvino"):
        open_session(load_bundle("tuberculosis/paper").model_path, runtime=RUNTIME)


def test_bytes_that_are_no_network_are_damaged_to_either(openvino):
    for runtime in ("onnxruntime", RUNTIME):
        with pytest.raises(BundleDamaged, match="cannot be run"):
            open_session(b"no network", runtime=runtime)
