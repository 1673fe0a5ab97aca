"""Downloads from a server on this machine: whole or not at all, continued, checked, and what is said when they fail."""

import hashlib
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from image_to_image_calls import refused

from minigan import datasets
from minigan.base.errors import RunError
from minigan.datasets import __main__ as command
from minigan.datasets import fetch as fetching
from minigan.datasets import locations
from minigan.datasets.downloads import Download, Known
from minigan.datasets.fetch import fetch

CONTENT = np.random.default_rng(0).integers(0, 256, 300_000, np.uint8).tobytes()
MD5 = hashlib.md5(CONTENT).hexdigest()


@contextmanager
def server(content=CONTENT, ranges=True, cut=None, status=200, shift=0, length=True):
    """-> address, list of the Range headers asked for. cut: bytes after which an answer breaks off; length: whether it
    says how long it will be."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            wanted = self.headers.get("Range")
            asked.append(wanted)
            first = int(wanted[6:-1]) if wanted and ranges else 0
            self.send_response(status if status != 200 else 206 if first else 200)
            if first:
                self.send_header("Content-Range", f"bytes {first + shift}-{len(content) - 1}/{len(content)}")
            if length:
                self.send_header("Content-Length", str(len(content) - first))
            self.end_headers()
            self.wfile.write(content[first:][:cut])

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{http.server_port}/file.bin", asked
        finally:
            http.shutdown()
            thread.join(5)


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(fetching, "TIMEOUT", 5)
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def download(address):
    return Download("file.bin", address, MD5, len(CONTENT))


def left(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_comes_whole(tmp_path):
    with server() as (address, asked):
        path = fetch(download(address), tmp_path / "new", quiet=True)
    assert path.read_bytes() == CONTENT
    assert (left(tmp_path / "new"), asked) == (["file.bin"], [None])


def test_what_broke_off_goes_on(tmp_path):
    with server(cut=100_000) as (address, asked):
        for have in (100_000, 200_000):
            with pytest.raises(RunError, match=f"broke off after {have} of 300000 bytes, which are kept"):
                fetch(download(address), tmp_path, quiet=True)
            assert left(tmp_path) == ["file.bin.part"]
        assert fetch(download(address), tmp_path, quiet=True).read_bytes() == CONTENT
    assert asked == [None, "bytes=100000-", "bytes=200000-"]


def test_a_server_that_cannot_go_on_sends_all_again(tmp_path):
    (tmp_path / "file.bin.part").write_bytes(b"x" * 1000)
    with server(ranges=False) as (address, asked):
        assert fetch(download(address), tmp_path, quiet=True).read_bytes() == CONTENT
    assert asked == ["bytes=1000-"]


def test_a_wrong_part_is_not_believed(tmp_path):
    (tmp_path / "file.bin.part").write_bytes(b"x" * 1000)
    with server() as (address, _):
        with pytest.raises(RunError, match=f"its md5 is .*, expected 300000 bytes of md5 {MD5}"):
            fetch(download(address), tmp_path, quiet=True)
        assert left(tmp_path) == []
        assert fetch(download(address), tmp_path, quiet=True).read_bytes() == CONTENT


def test_a_range_that_was_not_asked_for(tmp_path):
    (tmp_path / "file.bin.part").write_bytes(CONTENT[:1000])
    with server(shift=5) as (address, _), pytest.raises(RunError, match="another part of the file"):
        fetch(download(address), tmp_path, quiet=True)
    assert left(tmp_path) == []


def test_a_whole_part_needs_no_server(tmp_path):
    (tmp_path / "file.bin.part").write_bytes(CONTENT)
    assert fetch(download("http://127.0.0.1:9/"), tmp_path, quiet=True).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"\n<!DOCTYPE html><html>not here</html>", "the server sent a web page instead, expected 300000 bytes"),
        (b"<html>" + b" " * 400_000, "the server sent a web page instead"),
        (CONTENT[:-1] + b"x", "its md5 is "),
        (CONTENT * 3, "its md5 is None"),
    ],
)
def test_what_is_not_the_file_leaves_nothing(tmp_path, content, match):
    with server(content, length=False) as (address, _), pytest.raises(RunError, match=match):
        fetch(download(address), tmp_path, quiet=True)
    assert left(tmp_path) == []


def test_another_file_does_not_replace_a_good_part(tmp_path):
    part = tmp_path / "file.bin.part"
    part.write_bytes(CONTENT[:1000])
    not_this = pytest.raises(RunError, match="the server sends 26 bytes, expected 300000: not this file")
    with server(b"<html>sign in first</html>", ranges=False) as (address, _), not_this:
        fetch(download(address), tmp_path, quiet=True)
    assert part.read_bytes() == CONTENT[:1000]


def test_an_endless_answer_ends(tmp_path):
    """No more is written than one byte beyond the published size."""
    written = []
    receive = fetching._receive

    def watched(download, part, quiet):
        receive(download, part, quiet)
        written.append(part.stat().st_size)

    fetching._receive = watched
    try:
        with server(CONTENT * 20, length=False) as (address, _), pytest.raises(RunError, match="its md5 is None"):
            fetch(download(address), tmp_path, quiet=True)
    finally:
        fetching._receive = receive
    assert written == [len(CONTENT) + 1]


@pytest.mark.parametrize("status", [403, 404, 503])
def test_a_server_that_refuses(tmp_path, status):
    with (
        server(b"<html>", status=status) as (address, _),
        pytest.raises(RunError, match=f"the server answered {status}"),
    ):
        fetch(download(address), tmp_path, quiet=True)
    assert left(tmp_path) == []


# ---- by name


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """Nothing is on disk, and whatever is fetched comes from a port where nobody listens."""
    monkeypatch.setattr(locations, "DATA_DIR", tmp_path / "data")
    monkeypatch.setattr(locations, "SYSTEM", {})
    monkeypatch.setenv("MINIGAN_DATA", str(tmp_path / "cache"))
    for known in (datasets.KNOWN["fashion-mnist"], datasets.KNOWN["cifar10"]):
        dead = tuple(Download(one.file, f"http://127.0.0.1:9/{one.file}", one.md5, one.size) for one in known.downloads)
        monkeypatch.setattr(known, "downloads", dead)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("cifar10", "get cifar-10-binary.tar.gz from"),
        (
            "fashion-mnist",
            "get train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz, "
            "t10k-labels-idx1-ubyte.gz from",
        ),
    ],
)
def test_offline_a_sentence_says_which_file_to_put_where(nowhere, capsys, name, files):
    err = refused(capsys, command, name, "--quiet", status=1)
    assert f"{name} is not on this machine" in err
    assert files in err
    assert f"put that into {nowhere / 'cache' / name}." in err
    with pytest.raises(RunError, match="could not be fetched"):
        datasets.load(name)


def test_only_what_is_missing_is_fetched(nowhere, monkeypatch):
    folder = nowhere / "cache" / "fashion-mnist"
    folder.mkdir(parents=True)
    for file in ("train-images-idx3-ubyte", "train-labels-idx1-ubyte.gz", "t10k-images-idx3-ubyte.gz"):
        (folder / file).write_bytes(b"")
    with pytest.raises(RunError, match=r"get t10k-labels-idx1-ubyte.gz from http://127.0.0.1:9/ and"):
        datasets.load("fashion-mnist", "test")


def test_what_is_fetched_is_found(nowhere):
    class Small(Known):
        name = "small"

        def found(self, split):
            path = locations.find("small", "file.bin")
            return path and (path,)

        def read(self, paths, split):
            return paths[0].read_bytes(), None

    small = Small()
    with server() as (address, asked):
        small.downloads = (download(address),)
        assert small.load("train")[0] == CONTENT
        assert small.load("test")[0] == CONTENT
    assert asked == [None]
    assert (nowhere / "cache" / "small" / "file.bin").exists()


def test_the_list_of_what_is_here(nowhere, capsys):
    (nowhere / "data" / "mnist").mkdir(parents=True)
    for split in datasets.SPLITS:
        for file in datasets.MNIST.files[split]:
            (nowhere / "data" / "mnist" / file).write_bytes(b"x" * 2**19)
    assert command.run([]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line}
    assert lines["mnist"].split() == ["mnist", "60000", "10000", "28x28x1", "2", str(nowhere / "data" / "mnist")]
    assert "not here; fetch with `python -m minigan.datasets cifar10`" in lines["cifar10"]
    assert lines["cifar10"].split()[:5] == ["cifar10", "50000", "10000", "32x32x3", "162"]
    assert lines["fashion-mnist"].split()[4] == "29"
    assert "drawn when asked for" in lines["ring"]


def test_a_name_nobody_knows(capsys):
    assert 'unknown dataset "cifar"' in refused(capsys, command, "cifar")


def test_the_cache_is_where_the_variable_says(monkeypatch, tmp_path):
    monkeypatch.setenv("MINIGAN_DATA", str(tmp_path))
    assert locations.cache("cifar10") == tmp_path / "cifar10"
    monkeypatch.setenv("MINIGAN_DATA", "")
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    assert locations.cache("cifar10") == tmp_path / "me" / ".cache" / "minigan" / "cifar10"
