"""A disk that is full and a folder that cannot be written in: one sentence, status 1, and the last checkpoint loads.

A small tmpfs is mounted where the system lets us (as root, say); else those tests are skipped, and a limit on the size
of files stands in for a full disk, a folder without the right to write for one of another user.
"""

import os
import re
import subprocess
import sys

import pytest
from training_runs import (
    EVERY,
    TOY,
    around_step,
    assert_same,
    begin,
    contents,
    interrupt,
    log_rows,
    resume,
)

from minigan import sample, train
from minigan.gan.run import Run, load_gan
from minigan.tools import cli

FLAGS = [*TOY, *EVERY, "--steps", "25"]  # checkpoints at 8, 16, 24 and 25, pictures at 0, 6, 12, 18, 24 and 25
pytestmark = pytest.mark.usefixtures("quick")


def mount(*words):
    return subprocess.run(["mount", *words], capture_output=True, text=True, check=False)


@pytest.fixture
def disk(tmp_path):
    """A file system of its own of 8 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    try:
        mounted = mount("-t", "tmpfs", "-o", "size=8m", "tmpfs", str(place))
    except FileNotFoundError:
        pytest.skip("there is no mount")
    if mounted.returncode:
        pytest.skip(f"a tmpfs cannot be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def fill(place):
    """Take all the room there is, down to the last page."""
    with open(place / "filler", "ab", buffering=0) as filler:
        for size in (1 << 20, 1 << 12):
            try:
                while filler.write(bytes(size)) == size:
                    pass
            except OSError:
                continue


def fails(capsys, *words):
    """The one sentence of a training that fails with status 1."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        cli.main("train", train.run, [*map(str, words), "--quiet"])
    err = capsys.readouterr().err
    assert stop.value.code == 1
    assert re.fullmatch(r"(the run in .* begins again at step 0\n)?python -m minigan\.train: .{10,600}\n", err), err
    return err


def check_kept(run, saved):
    """The checkpoint of that step loads, and samples can be drawn from it."""
    assert load_gan(run)[0].step == saved
    assert sample.run([str(run), "--n", "2", "--out", str(run.parents[1] / "x.npy")]) == 0
    assert not list(run.rglob(".*"))


@pytest.mark.parametrize(("full_at", "saved"), [(3, None), (8, None), (11, 8), (15, 8), (16, 8), (17, 16), (24, 16)])
def test_a_disk_that_fills_up(disk, never_stopped, capsys, full_at, saved):
    run = disk / "run"
    with around_step(full_at, before=lambda: fill(disk)):
        assert "No space left on device" in fails(capsys, "--out", run, *FLAGS)
    if saved is None:
        assert not Run(run).checkpoint_path.exists()
    else:
        check_kept(run, saved)
    # still no room: refused again, and nothing is lost by trying
    assert "No space left on device" in fails(capsys, "--resume", run)
    if saved:
        check_kept(run, saved)
    (disk / "filler").unlink()
    assert resume(run) == 0
    assert_same(contents(run), never_stopped)


def test_a_disk_that_is_full_from_the_start(disk, capsys):
    fill(disk)
    assert "No space left on device" in fails(capsys, "--out", disk / "run", *FLAGS)
    assert not [path for path in (disk / "run").rglob("*") if path.is_file() and path.stat().st_size]
    (disk / "filler").unlink()
    assert begin(disk / "run", *FLAGS) == 0  # no run was begun, so none is in the way


def test_a_disk_that_has_become_read_only(disk, never_stopped, capsys):
    run = disk / "run"
    with around_step(11, before=interrupt()):
        assert begin(run, *FLAGS) == 130
    if mount("-o", "remount,ro", str(disk)).returncode:
        pytest.skip("a tmpfs cannot be made read-only here")
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    err = fails(capsys, "--resume", run)
    assert "Read-only file system" in err
    assert str(run) in err
    assert str(disk / "other") in fails(capsys, "--out", disk / "other", *FLAGS)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    check_kept(run, 11)
    assert mount("-o", "remount,rw", str(disk)).returncode == 0
    assert resume(run) == 0
    assert_same(contents(run), never_stopped)


def test_a_folder_without_the_right_to_write(tmp_path, never_stopped, capsys):
    (tmp_path / "deep").mkdir(mode=0o555)
    if os.access(tmp_path / "deep", os.W_OK):
        pytest.skip("this user may write in every folder, as root may")
    run = tmp_path / "deep" / "run"
    assert str(run) in fails(capsys, "--out", run, *FLAGS)
    (tmp_path / "deep").chmod(0o755)
    with around_step(11, before=lambda: run.chmod(0o555)):
        assert "Permission denied" in fails(capsys, "--out", run, *FLAGS)
    try:
        assert load_gan(run)[0].step == 8
        assert "Permission denied" in fails(capsys, "--resume", run)
    finally:
        run.chmod(0o755)
    check_kept(run, 8)
    assert resume(run) == 0
    assert_same(contents(run), never_stopped)


@pytest.mark.skipif(sys.platform == "win32", reason="the system has no limit on the size of files")
def test_a_limit_on_the_size_of_files(tmp_path, never_stopped, capsys):
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))

    run = tmp_path / "deep" / "run"
    try:
        with around_step(12, before=limit):
            assert "File too large" in fails(capsys, "--out", run, *FLAGS)
        check_kept(run, 8)
        assert "File too large" in fails(capsys, "--resume", run)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    check_kept(run, 8)
    assert [row["step"] for row in log_rows(run)] == ["10"]
    assert resume(run) == 0
    assert_same(contents(run), never_stopped)
