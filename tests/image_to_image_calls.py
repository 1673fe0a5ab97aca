"""For the tests of commands: calls as typed, and few pictures to load."""

import re

import numpy as np
import pytest

from minigan import datasets
from minigan.tools import cli

FEW = 300


def name_of(command):
    return command.__name__.removesuffix(".__main__")


def call(capsys, command, *words):
    """-> exit status, stdout, stderr of a command (its module) run in this process."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        cli.main(name_of(command).removeprefix("minigan."), command.run, [str(word) for word in words])
    return stop.value.code, *capsys.readouterr()


def refused(capsys, command, *words, status=2):
    """The one sentence on stderr with which the command refuses."""
    code, out, err = call(capsys, command, *words)
    assert (code, out) == (status, ""), err
    assert re.fullmatch(rf"python -m {re.escape(name_of(command))}: .{{10,600}}\n", err), err
    return err


def few_steps(words):
    """Flags for words that should be refused: something long would begin if they passed, were it not for a picture."""
    return ["--steps", "1"] if words[0].startswith("-") else []


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def load_digits():
    return {split: tuple(a[:FEW] for a in datasets.load("mnist", split)) for split in ("train", "test")}


def load_few(monkeypatch, digits):
    """From now on there are 60 digits a split, and 40 "coloured" pictures of 16 x 12."""
    load = datasets.load

    def some(name, split="train", image_size=None):
        if name == "coloured":
            return np.random.default_rng(1).integers(0, 256, (40, 16, 12, 3)).astype(np.uint8), np.arange(40) % 10
        return tuple(array[:60] for array in digits[split]) if name == "mnist" else load(name, split, image_size)

    monkeypatch.setattr(datasets, "load", some)
