"""Archives in S3, against a server that speaks like it: the same rows, bounds, and sentences for what goes wrong."""

import json
import socket
import tarfile
from io import BytesIO

import pytest

from secondread.errors import CannotOpen, Conflict, UsageError
from secondread.screening import objects, screen
from secondread.screening.objects import Place
from tests.screening.test_screening import PAPER, pack, rows_of

pytest.importorskip("s3fs", reason="s3fs is not installed")
server = pytest.importorskip("moto.server", reason="moto's server is not installed")
boto3 = pytest.importorskip("boto3", reason="boto3 is not installed")

from tests.screening.test_screening import films, folder, interrupted  # noqa: E402, F401

pytestmark = [
    pytest.mark.peers,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def running():
    """The server's address."""
    here = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    here.start()
    host, port = here.get_host_and_port()
    yield f"http://{host}:{port}"
    here.stop()


@pytest.fixture
def s3(running, monkeypatch):
    """A client of an empty server, which the environment names."""
    for name, value in {
        "AWS_ENDPOINT_URL": running,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    objects._client.cache_clear()
    client = boto3.client("s3")
    client.create_bucket(Bucket="archive")
    yield client
    for one in client.list_objects_v2(Bucket="archive").get("Contents", ()):
        client.delete_object(Bucket="archive", Key=one["Key"])
    objects._client.cache_clear()


def put(client, key, data):
    client.put_object(Bucket="archive", Key=key, Body=data)


def run(source, out, **more):
    return screen(source, out=out, reference=PAPER, gate=False, workers=2, **more)


def by_name(out):
    """Rows without the folders of their paths."""
    return [{**row, "path": row["path"].rpartition("/")[2]} for row in rows_of(out)]


@pytest.fixture
def expected(folder, tmp_path):  # noqa: F811
    run(folder, tmp_path / "local.csv")
    return by_name(tmp_path / "local.csv")


def test_every_kind_of_source_gives_the_rows_of_the_folder(s3, films, expected, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setattr(objects, "_PAGE", 4)
    pack(films, tmp_path / "films.zip")
    packed = BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, data in films.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, BytesIO(data))
    for name, data in films.items():
        put(s3, f"films/{'a' if name < '06' else 'b'}/{name}", data)
    put(s3, "films/.hidden/x.png", b"")
    put(s3, "films/a/", b"")  # as a console makes a folder
    put(s3, "films-of-others/x.png", b"")
    put(s3, "packed/films.zip", (tmp_path / "films.zip").read_bytes())
    put(s3, "packed/films.tar.gz", packed.getvalue())
    names = [f"s3://archive/films/a/{name}" if name < "06" else f"films/b/{name}" for name in films]
    put(s3, "films.csv", "\n".join(["path", *names]).encode())
    for source in ("films", "films/", "packed/films.zip", "packed/films.tar.gz", "films.csv"):
        run(f"s3://archive/{source}", tmp_path / "out.csv")
        assert by_name(tmp_path / "out.csv") == expected, source


def test_a_key_is_no_pattern_and_one_object_is_an_archive_of_one(s3, films, tmp_path):  # noqa: F811
    for key in ("odd/a[1]*.png", "odd/ä ü?.png"):
        put(s3, key, films["00.png"])
    run("s3://archive/odd", tmp_path / "out.csv")
    assert [row["path"] for row in rows_of(tmp_path / "out.csv")] == ["a[1]*.png", "ä ü?.png"]
    assert all(row["decision"] for row in rows_of(tmp_path / "out.csv"))
    run("s3://archive/odd/a[1]*.png", tmp_path / "out.csv")
    assert [row["path"] for row in rows_of(tmp_path / "out.csv")] == ["s3://archive/odd/a[1]*.png"]


def test_what_is_gone_or_too_large_is_a_row(s3, films, tmp_path):  # noqa: F811
    from secondread.images import Limits

    put(s3, "a.png", films["00.png"])
    put(s3, "large.png", b"x" * 200_000)
    put(s3, "table.csv", b"path\na.png\ngone.png\nlarge.png\n")
    found = run("s3://archive/table.csv", tmp_path / "out.csv", limits=Limits(max_bytes=100_000))
    rows = rows_of(tmp_path / "out.csv")
    assert rows[0]["decision"]
    assert [json.loads(row["refusal"])["code"] for row in rows[1:]] == ["cannot_open", "too_large"]
    assert found.not_opened == 1
    run("s3://archive", tmp_path / "out.csv", limits=Limits(max_bytes=100_000))
    codes = {
        row["path"]: row["refusal"] and json.loads(row["refusal"])["code"] for row in rows_of(tmp_path / "out.csv")
    }
    assert codes == {"a.png": "", "large.png": "too_large", "table.csv": "not_an_image"}


def test_a_stopped_run_goes_on_and_sees_what_changed(s3, films, expected, tmp_path):  # noqa: F811
    for name, data in films.items():
        put(s3, f"films/{name}", data)
    out = tmp_path / "out.csv"
    interrupted("s3://archive/films", out, at=5)
    put(s3, "films/00.png", films["01.png"])
    with pytest.raises(Conflict, match=r"'00.png' has another size or date"):
        run("s3://archive/films", out)
    put(s3, "films/00.png", films["00.png"])
    found = run("s3://archive/films", out)
    assert found.resumed >= 5
    assert by_name(out) == expected
    s3.put_object(Bucket="archive", Key="films.zip", Body=b"")


def test_wrong_names_and_keys_say_what_to_do(s3, tmp_path, monkeypatch):
    out = tmp_path / "out.csv"
    with pytest.raises(CannotOpen, match="no bucket"):
        run("s3://not-there/films", out)
    with pytest.raises(CannotOpen, match="nothing in 's3://archive/films'"):
        run("s3://archive/films", out)
    with pytest.raises(UsageError, match="s3://bucket/prefix"):
        run("s3://A_B/x", out)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    objects._client.cache_clear()
    with pytest.raises(CannotOpen, match="AWS_ACCESS_KEY_ID"):
        run("s3://archive/films", out)
    assert list(tmp_path.iterdir()) == []


def test_a_storage_that_is_away_stops_the_run_and_leaves_the_journal(s3, films, tmp_path, monkeypatch):  # noqa: F811
    for name, data in films.items():
        put(s3, f"films/{name}", data)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}"

    def cut(done, total):
        if done == 2:
            monkeypatch.setenv("AWS_ENDPOINT_URL", nobody)
            objects._client.cache_clear()
            objects._client().retries = 1

    with pytest.raises(CannotOpen, match="does not answer"):
        run("s3://archive/films", tmp_path / "out.csv", progress=cut)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.csv.journal"]


def test_an_archive_whose_connection_is_cut_is_not_damaged(s3, films, tmp_path, monkeypatch):  # noqa: F811
    pack({f"{n}.png": films["00.png"] for n in range(200)}, tmp_path / "films.zip")
    put(s3, "films.zip", (tmp_path / "films.zip").read_bytes())
    monkeypatch.setattr(objects, "_AHEAD", 1 << 16)
    real = Place.open

    def cut(self, found):
        file = real(self, found)
        n_read = 0

        def read(size):
            nonlocal n_read
            n_read += 1
            if n_read > 60:
                raise OSError("connection reset")
            return type(file._file).read(file._file, size)

        monkeypatch.setattr(file._file, "read", read)
        return file

    monkeypatch.setattr(Place, "open", cut)
    with pytest.raises(CannotOpen, match="does not answer"):
        run("s3://archive/films.zip", tmp_path / "out.csv")
    monkeypatch.setattr(Place, "open", real)
    found = run("s3://archive/films.zip", tmp_path / "out.csv")
    assert found.n == 200
    assert 0 < found.resumed < 200
    assert found.decisions["refused"] == 0
