"""python -m minigan COMMAND: the commands under one name."""

import importlib.util
import os
import sys

from minigan import __version__

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
    "gradcheck": "judge a file with a layer or an exercise that someone wrote",
    "grade": "judge a folder of such files of a whole class, into a table",
    "bench": "measure time and memory of training steps, beside PyTorch where it is there",
}


def main(argv):
    if argv and argv[0] in COMMANDS:
        command = importlib.import_module(f"minigan.{argv[0]}")
        if hasattr(command, "__path__"):  # a folder's command is beside its library
            command = importlib.import_module(f"minigan.{argv[0]}.__main__")
        from minigan import cli

        cli.main(argv[0], command.run, argv[1:])
    lines = [
        "usage: python -m minigan COMMAND …, each with --help",
        *(f"  {name:11}{line}" for name, line in COMMANDS.items()),
    ]
    if argv in (["--help"], ["-h"]):
        print("\n".join(lines))
    elif argv == ["--version"]:
        print(__version__)
    else:
        got = f"there is no command {argv[0]!r}" if argv else "a command is missing"
        print(f"python -m minigan: {got}\n" + "\n".join(lines), file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        from minigan.cli import NO_READER

        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains again while it exits
        sys.exit(NO_READER)
