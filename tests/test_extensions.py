"""What other packages bring by entry points: found by name, and where it is wrong, named and left out."""

import sys
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from secondread.cli.main import secondread
from secondread.data import import_with, known_importers, load_data
from secondread.errors import CannotOpen, DataInvalid, UnknownName, UsageError
from secondread.models import check_model, create_model, known_models, list_models
from secondread.reading import default_bundles, extension_folders, own_bundles
from secondread.tasks import extension_file, known_tasks, list_tasks, load_task, match_dicom, task_named
from secondread.tasks.task import _known

EXAMPLE = Path(__file__).parents[1] / "examples" / "secondread-example" / "src"
CACHES = (known_models, known_importers, extension_folders, _known, load_task)
Install = Callable[..., None]


class Point(EntryPoint):
    """An entry point of a package that need not be installed."""

    @property
    def dist(self) -> SimpleNamespace:  # type: ignore[override]
        return SimpleNamespace(name=self.name.partition(" ")[2] or "foo", version="1.0")


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """install("models", net="module:NAME"): what is there beside our own; '__' parts a name and its package."""
    points: list[EntryPoint] = []

    def add(group: str, **named: str) -> None:
        points.extend(Point(key.replace("__", " "), value, f"secondread.{group}") for key, value in named.items())
        for cache in CACHES:
            cache.cache_clear()

    monkeypatch.setattr(
        "secondread.extensions.entry_points", lambda group: [one for one in points if one.group == group]
    )
    monkeypatch.syspath_prepend(str(EXAMPLE))
    yield add
    for cache in CACHES:
        cache.cache_clear()
    for name in [name for name in sys.modules if name.startswith("secondread_example")]:
        del sys.modules[name]


def test_the_example_brings_a_task_a_network_an_importer(install: Install, tmp_path: Path) -> None:
    install("tasks", example="secondread_example.tasks")
    install("models", example="secondread_example.networks:NETWORKS")
    install("importers", wards="secondread_example.wards:import_wards")
    assert load_task("phantom-nodule") == task_named("phantom-nodule")
    assert extension_file("phantom-nodule") == EXAMPLE / "secondread_example" / "tasks" / "phantom-nodule.toml"
    assert extension_file("tuberculosis") is None
    assert (match_dicom("DX", "PHANTOM"), match_dicom("DX", "CHEST")) == ("phantom-nodule", "tuberculosis")
    assert list_models()["dots"].startswith("four convolutions")
    assert create_model("dots", in_chans=1, input_size=64).geometry.stride == 8

    from secondread_example.wards import write_example

    told = write_example(tmp_path)
    rows = load_data(f"wards:{tmp_path}", task=load_task("phantom-nodule")).rows
    assert {row.name: (row.label, row.patient) for row in rows} == told
    said = CliRunner().invoke(secondread, ["tasks"]).output
    assert "phantom-nodule: Does this film" in said
    assert "brought by foo 1.0" in said


def test_a_broken_import_names_the_extension_and_takes_nothing_down(install: Install, tmp_path: Path) -> None:
    shipped = list_tasks()
    install("tasks", broken__bar="no_such_module_at_all")
    install(
        "models",
        broken__bar="no_such_module_at_all:NETWORKS",
        wrong__bar="os:sep",
        example="secondread_example.networks:NETWORKS",
    )
    assert list_tasks() == shipped
    create_model("dots", in_chans=1, input_size=64)
    for command, working in (("tasks", "tuberculosis"), ("models", "lenet")):
        said = CliRunner().invoke(secondread, [command])
        assert said.exit_code == 0
        assert f"{working}:" in said.output
        told = " ".join(said.output.split())
        assert "left out: bar 1.0 (broken bar): no_such_module_at_all" in told
        assert "ModuleNotFoundError: No module named 'no_such_module_at_all'" in told
    assert "(wrong bar): must name a function, or a table" in " ".join(known_models().complaints)
    with pytest.raises(UnknownName, match=r"unknown model 'dotz'.*cannot be used: bar 1\.0"):
        check_model("dotz")


def test_what_is_asked_over_http_does_not_tell_where_extensions_lie(install: Install) -> None:
    install("tasks", broken__bar="no_such_module_at_all")
    with pytest.raises(UnknownName) as caught:
        task_named("nothing")
    assert "no_such_module_at_all" not in str(caught.value)


def test_of_two_extensions_with_one_name_neither_is_taken(install: Install) -> None:
    table = "secondread_example.networks:NETWORKS"
    install("models", one__bar=table, two__baz=table)
    assert "dots" not in list_models()
    for ask in (check_model, lambda name: create_model(name, in_chans=1)):
        with pytest.raises(UsageError, match=r"baz 1\.0 and bar 1\.0 both bring the model 'dots'; uninstall one"):
            ask("dots")


def test_a_name_of_ours_is_not_replaced(install: Install) -> None:
    before = dict(known_models().found)
    install("models", lenet="secondread_example.dots:Dots")
    assert known_models().found["lenet"] == before["lenet"]
    assert known_models().complaints == [
        "foo 1.0 (lenet): this program has a model of that name already; it must choose another"
    ]


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        ("channels = 1", "channels = 2", "channels"),
        ('name = "phantom-nodule"', 'name = "other"', "name the file other.toml"),
        ("channels = 1", 'channels = 1\nasked_after = "nothing"', "there is no task 'nothing'"),
        ("title = ", "title = = ", "not valid TOML"),
    ],
)
def test_a_wrong_task_file_is_left_out(
    before: str, after: str, why: str, install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (EXAMPLE / "secondread_example" / "tasks" / "phantom-nodule.toml").read_text(encoding="utf-8")
    assert before in text
    (tmp_path / "wrong_tasks.py").write_text(f"FOLDER = {str(tmp_path)!r}\n", encoding="utf-8")
    (tmp_path / "phantom-nodule.toml").write_text(text.replace(before, after, 1), encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    install("tasks", wrong="wrong_tasks:FOLDER")
    try:
        assert "phantom-nodule" not in list_tasks()
        assert why in " ".join(known_tasks().complaints)
        assert load_task("tuberculosis")
    finally:
        sys.modules.pop("wrong_tasks", None)


def test_a_model_by_module_and_function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "networks_here.py").write_text(
        "from secondread.models import create_model\n"
        "def create(**how):\n    return create_model('lenet', **how)\n"
        "def plain(**how):\n    return object()\n",
        encoding="utf-8",
    )
    (tmp_path / "broken_here.py").write_text("1 / 0\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    path = list(sys.path)
    assert create_model("networks_here:create", in_chans=1).geometry.stride > 1
    for name, why in {
        "networks_here:nothing": "has no function 'nothing'",
        "networks_here:": "has no function ''",
        "nowhere_at_all:create": "no module 'nowhere_at_all'",
        "broken_here:create": "ZeroDivisionError",
        ":create": "MODULE:FUNCTION",
    }.items():
        with pytest.raises(UsageError, match=why):
            check_model(name)
    with pytest.raises(UsageError, match="lacks forward_map, geometry, stages"):
        create_model("networks_here:plain", in_chans=1)
    assert sys.path == path


def test_unknown_names_are_refused_before_any_image_is_opened(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_text(
        "path,label,split\n"
        + "".join(f"{n}.png,{n % 2},{split}\n" for n, split in enumerate(["train"] * 4 + ["val"] * 4)),
        encoding="utf-8",
    )
    for number in range(8):
        (tmp_path / f"{number}.png").write_bytes(b"no image")
    for model, why in (("lenett", "did you mean 'lenet'"), ("nowhere_at_all:create", "no module")):
        words = [
            "train",
            "--task",
            "tuberculosis",
            "--model",
            model,
            "--data",
            str(tmp_path),
            "--out",
            str(tmp_path / "out"),
        ]
        said = CliRunner().invoke(secondread, words)
        assert said.exit_code != 0
        assert why in str(said.exception)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("out")]


def test_an_importer_is_asked_by_name(install: Install, tmp_path: Path) -> None:
    install("importers", wards="secondread_example.wards:import_wards", failing__bar="operator:not_")
    with pytest.raises(DataInvalid, match="no films of both kinds"):
        load_data(f"wards:{tmp_path}")
    with pytest.raises(UnknownName, match="did you mean 'wards'"):
        load_data(f"ward:{tmp_path}")
    with pytest.raises(CannotOpen, match="there is no folder"):
        load_data("wards:nowhere")
    with pytest.raises(DataInvalid, match="the importer 'failing bar' failed"):
        import_with("failing bar", tmp_path)
    with pytest.raises(CannotOpen, match="there is nothing at"):
        load_data("C:/nowhere")


def test_bundles_of_an_extension_are_found_and_read_where_none_is_shipped(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from secondread.reading import load
    from tests.boxed import boxed_bundle, spotted

    (tmp_path / "here_bundles.py").write_text(f"PLACE = {str(tmp_path)!r}\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    install("tasks", example="secondread_example.tasks")
    install("bundles", here="here_bundles:PLACE")
    try:
        boxed_bundle(tmp_path / "phantom-nodule" / "dots", task="phantom-nodule", name="dots")
        assert own_bundles().names == ("phantom-nodule/dots",)
        assert default_bundles()["phantom-nodule"] == "dots"
        assert load("phantom-nodule").read(spotted((80, 80, 250))).decision == "positive"
        said = CliRunner().invoke(secondread, ["bundles"]).output
        assert "phantom-nodule/dots@" in said
    finally:
        sys.modules.pop("here_bundles", None)
