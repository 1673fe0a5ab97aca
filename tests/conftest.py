"""What holds for all tests."""

import signal

import pytest

# Or their assertions would not say what.
pytest.register_assert_rewrite("image_to_image_calls", "small_gans", "training_runs")

from image_to_image_calls import load_digits, load_few
from training_runs import EVERY, TOY, begin, contents, samples_for_pictures

from minigan.kernels.parallel import threads
from minigan.models import domain, semi


@pytest.fixture(scope="session", autouse=True)
def signals_as_usual():
    """Whatever was settled about them where the tests were started: nohup and shell jobs in the background ignore some.

    Children inherit it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_DFL)


@pytest.fixture
def plain_torch(monkeypatch):
    """PyTorch as a reference for float32 convolutions; without it the test is skipped.

    One thread: idle ones spin for a while, on the cores that NumPy's products want next. And no oneDNN: on some
    processors it convolves in a way whose rounding reaches 3e-5 of the outcome, a hundred times that of the plain way
    (and thirty times ours, beside float64), which is no reference for 1e-5."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: it is a reference here, never a requirement")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setattr(torch.backends.mkldnn, "enabled", False)
    yield torch
    torch.set_num_threads(before)


@pytest.fixture
def quick():
    """Runs with numbers for pictures, on one core."""
    with threads.threads(1), samples_for_pictures():
        yield


@pytest.fixture(scope="session")
def never_stopped(tmp_path_factory):
    """25 steps in one go."""
    folder = tmp_path_factory.mktemp("never") / "run"
    with samples_for_pictures(), threads.threads(1):
        assert begin(folder, *TOY, *EVERY, "--steps", "25") == 0
    return contents(folder)


@pytest.fixture(scope="session")
def digits():
    return load_digits()


@pytest.fixture
def few(monkeypatch, tmp_path, digits):
    """An empty folder, and few pictures to load."""
    monkeypatch.chdir(tmp_path)
    load_few(monkeypatch, digits)


@pytest.fixture
def narrow_recognition(monkeypatch):
    """Narrow networks for recognition, on one core."""
    monkeypatch.setattr(semi, "HIDDEN", (24, 12))
    monkeypatch.setattr(domain, "FEATURES", 16)
    with threads.threads(1):
        yield
