"""What holds for all tests."""

import signal

import pytest


@pytest.fixture(scope="session", autouse=True)
def signals_as_usual():
    """Whatever was settled about them where the tests were started: nohup and shell jobs in the background ignore some.

    Children inherit it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_DFL)
