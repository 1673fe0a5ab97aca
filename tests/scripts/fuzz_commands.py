"""Command lines for fuzz.py: every command with flags and values of all kinds, in a folder with a few files.

Where a command's long work would begin, such as the first training step, it raises Begun instead: then the command line
was found good, and nothing else of it is replaced. The known data sets are small ones, drawn here.
"""

import importlib
import io
import re
import sys
from contextlib import redirect_stdout
from operator import attrgetter
from pathlib import Path

import numpy as np
from PIL import Image

from minigan import __main__ as front
from minigan import datasets
from minigan.gan import GAN
from minigan.tools import cli, plotting

COMMANDS = list(front.COMMANDS)
NUMBERS = "0 1 2 3 7 28 100 -1 -0 1e3 0.5 1e-300 1e999 nan inf 1_000 0x10 ٣ 1,2 1.5,,2 " + "9" * 30 + " " + "9" * 5000
NAMES = "toy mlp dcgan digits wgan-gp progan mnist fashion-mnist cifar10 ring grid adam sgd labels clusters projection "
NAMES += "auxiliary none plain resnet non_saturating wasserstein 7-1+2 7- 64,128 mlp,toy dense dense.py:Dense"
PLACES = "run toy.npz classifier.npz enhancer.npz folder a.npz broken.npz empty.npz a.png a.txt gone.png b.png out.npy "
PLACES += "dense.py students . .. / /dev/null run/config.json a.txt/b gone/deeper/x.png x.jpg out"
ODD = ["", " ", "-", "--", "--help", "é", "\udcff", "a" * 300, "a\nb", "%s%n{}", "*", "$(touch x)", "../../x/y.png"]
WORDS = [*NUMBERS.split(), *NAMES.split(), *PLACES.split(), *ODD]
FLAGS = {}  # command -> its flags, read off its --help
PARSED = {name: f"minigan.{name}.__main__" for name in ("audio", "bench", "datasets", "gradcheck")}
LARGE = 2000  # samples at once, from which drawing them counts as long work


class Begun(BaseException):
    """The command line was found good, and the work would begin."""


def begun(*_, **__):
    raise Begun


def module(command):
    return importlib.import_module(PARSED.get(command, f"minigan.{command}"))


def prepare(folder):
    """The files that command lines name, and the work of every command replaced."""
    rng = np.random.default_rng(0)
    (folder / "folder").mkdir()
    for i in range(12):
        Image.fromarray(rng.integers(0, 256, (9, 9), np.uint8)).save(folder / "folder" / f"{i:02}.png")
    Image.fromarray(rng.integers(0, 256, (9, 11), np.uint8)).save(folder / "a.png")
    np.savez(folder / "a.npz", images=rng.integers(0, 256, (40, 16, 16, 1), np.uint8), labels=np.arange(40) % 4)
    (folder / "broken.npz").write_bytes((folder / "a.npz").read_bytes()[:300])
    (folder / "empty.npz").write_bytes(b"")
    (folder / "a.txt").write_text("nothing\n")
    (folder / "dense.py").write_text("import numpy as np\n")
    (folder / "students" / "ada").mkdir(parents=True)
    (folder / "run" / "samples").mkdir(exist_ok=True)
    for known in datasets.KNOWN.values():
        small = rng.integers(0, 256, (200, *known.sample_shape), np.uint8), np.arange(200) % 10
        type(known).load = lambda self, split, small=small: tuple(array.copy() for array in small)
        type(known).fetch = begun
    datasets.toy.SIZES = {"train": 300, "test": 200}
    for owner, name in {
        "train": "session.Trainer.fit",
        "classify": "_train",
        "enhance": "command.compare",  # and restore
        "autoencode": "autoencoder.fit",
        "inside": "_gradients",
        "audio": "sounds.plucked",
        "recognise": "load",
        "gradcheck": "grade_file",
        "grade": "_grade",
        "bench": "benchmark",
        "evaluate": "evaluation.Reference",
    }.items():
        place, _, last = name.rpartition(".")
        setattr(attrgetter(place)(module(owner)) if place else module(owner), last, begun)
    module("bench").scaling.measure = module("grade").solutions.write = begun
    make = GAN.make
    GAN.make = lambda self, z, conditions=None: begun() if len(z) > LARGE else make(self, z, conditions)
    for name in [name for name in vars(plotting) if name.startswith("save_")]:
        setattr(plotting, name, lambda *_, **__: None)
    for command in COMMANDS:
        found = re.findall(r"--[a-z0-9-]+", help_of(command))
        FLAGS[command] = sorted(set(found) - {"--help"})
    words = ["a.png", "b.png", "--network", "enhancer.npz"]
    with redirect_stdout(io.StringIO()):
        module("enhance").run([str(folder / word) if "." in word else word for word in words])
    (folder / "b.png").unlink()


def help_of(command):
    """The text of --help."""
    texts, parser = [], cli.Parser.parse_args
    try:
        cli.Parser.parse_args = lambda self, argv: texts.append(self.format_help()) or begun()
        module(command).parse([])
    except Begun:
        pass
    finally:
        cli.Parser.parse_args = parser
    return texts[0]


def make(rng, folder):
    """-> a command and its words."""

    def word():
        return WORDS[int(rng.integers(len(WORDS)))]

    command = COMMANDS[int(rng.integers(len(COMMANDS)))]
    words = [word() for _ in range(int(rng.integers(3)))] if command not in ("train", "bench", "classify") else []
    if command in ("sample", "evaluate") and rng.random() < 0.7:
        words = ["run"]
    if command == "train" and rng.random() < 0.8:
        words = ["--preset", ("toy", "mlp", "listing", "dcgan")[int(rng.integers(4))]]
        words += ["--resume", "run"] if rng.random() < 0.2 else []
    for _ in range(int(rng.integers(4))):
        flag = FLAGS[command][int(rng.integers(len(FLAGS[command])))]
        words += [flag, word()] if rng.random() < 0.85 else [flag]
    if rng.random() < 0.05:
        words.insert(0, command)
        command = None
    return command, words


def use(command, words):
    """The command as typed; None: through `python -m minigan`."""
    if command is None:
        front.main(words)
    else:
        cli.main(command, module(command).run, words)


if __name__ == "__main__":
    sys.exit(f"{Path(__file__).name} is used by fuzz.py")
