"""python -m minigan COMMAND: the commands under one name."""

import difflib
import importlib
import os
import sys

from minigan import __version__
from minigan.base import streams
from minigan.base.errors import shorten

COMMANDS = {
    "train": "train a GAN and leave a folder of pictures, curves and a checkpoint",
    "sample": "draw samples from a trained generator",
    "evaluate": "measure a trained generator: distances to the data, precision, recall, copies",
    "classify": "train the classifier that recognises digits and judges generated ones",
    "recognise": "measure what GANs do for recognition: few labels, features, samples, other domains",
    "enhance": "make pictures larger or free of noise, and train the network that does it",
    "restore": "fill holes in pictures or take blur away, and train the network that does it",
    "autoencode": "train a plain and a variational autoencoder, and compare them with a GAN",
    "inside": "look into a trained GAN: walks, what filters see, where D(x) comes from",
    "audio": "train a GAN of short sounds, and write its sounds as WAV files",
    "datasets": "list the data sets, say where they are, and fetch them",
    "gradcheck": "grade a file with a layer or an exercise that someone wrote",
    "grade": "grade a folder of such files of a whole class, into a table",
    "bench": "measure time and memory of training steps, beside PyTorch where it is there",
}
LISTED = "python -m minigan lists the commands."


def main(argv=None):
    argv = sys.argv[1:] if argv is None else argv
    streams.settle()
    try:
        _command(argv) if argv and not argv[0].startswith("-") else _about(argv)
        sys.stdout.flush()
    except BrokenPipeError:
        from minigan.tools.cli import NO_READER

        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains again while it exits
        sys.exit(NO_READER)


def _command(argv):
    name, *words = argv
    if name not in COMMANDS:
        close = difflib.get_close_matches(name.lower(), COMMANDS, n=1)
        _refuse(f"there is no command {shorten(name)!r}" + (f"; did you mean {close[0]}?" if close else f"; {LISTED}"))
    command = importlib.import_module(f"minigan.{name}")
    if hasattr(command, "__path__"):  # a folder's command is beside its library
        command = importlib.import_module(f"minigan.{name}.__main__")
    from minigan.tools import cli

    cli.main(name, command.run, words)


def _about(argv):
    if argv in ([], ["--help"], ["-h"]):
        print("usage: python -m minigan COMMAND …, each with --help")
        print(*(f"  {name:11}{line}" for name, line in COMMANDS.items()), sep="\n")
    elif argv == ["--version"]:
        print(__version__)
    else:
        _refuse(f"there is no flag {shorten(argv[0])!r} before the command; {LISTED}")


def _refuse(sentence):
    print(f"python -m minigan: {sentence}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
