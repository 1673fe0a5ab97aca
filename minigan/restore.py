"""python -m minigan.restore: train a network that fills holes or takes blur away, or use it on a picture."""

import numpy as np

from minigan import cli, fills, mending_run, pictures, restoration
from minigan.errors import InputError
from minigan.kernels import threads
from minigan.restoration import Restorer, Task

STEPS = 3000


def parse(argv):
    parser = mending_run.make_parser(
        "restore",
        "Train a network that fills holes in pictures (--hole) or makes blurred ones sharp (--blur), and compare it\n"
        "with simple methods on the test pictures; or, given IN and OUT, use a network that was trained on a picture.",
        STEPS,
    )
    kinds = ", ".join(fills.HOLES)
    parser.add_argument("--hole", metavar="NAME", help=f"learn to fill only these holes: {kinds} (default: all)")
    parser.add_argument("--blur", type=float, metavar="X", help="learn to undo a blur of σ = X pixels")
    parser.add_argument(
        "--mask", metavar="FILE", help="a picture of the size of IN, white where IN is to be filled and black elsewhere"
    )
    return parser.parse_args(argv)


def run(argv=None):
    arguments = parse(argv)
    task = _check(arguments)
    if arguments.threads is not None:
        threads.set_threads(arguments.threads)
    return _use(arguments) if arguments.input is not None else _train(arguments, task)


def _check(arguments):
    mending_run.check("restore", arguments)
    if arguments.input is None and (arguments.network is not None or arguments.mask is not None):
        raise InputError("--network and --mask go with a picture to restore; name it and a file for the result.")
    if arguments.hole is not None and arguments.blur is not None:
        raise InputError("--hole and --blur are two tasks; give one of them.")
    if arguments.mask is not None and arguments.blur is not None:
        raise InputError("--mask and --blur are two tasks; give one of them.")
    if arguments.blur is not None:
        return Task((), arguments.blur)
    return Task() if arguments.hole is None else Task((arguments.hole,))


def _use(arguments):
    source, target = mending_run.places("restore", arguments)
    restorer = mending_run.load_network(Restorer, arguments)
    if arguments.blur is not None and arguments.blur != restorer.task.blur:
        raise InputError(f"this network was trained for {restorer.task}, not for --blur {arguments.blur:g}.")
    if bool(restorer.task.holes) != (arguments.mask is not None):
        wanted = "give a --mask" if restorer.task.holes else "leave out --mask"
        raise InputError(f"this network was trained for {restorer.task}; {wanted}.")
    picture = pictures.read(source, restorer.channels)[None]
    spoilt = restoration.with_hole(picture, _read_mask(arguments.mask, picture)) if restorer.task.holes else picture
    pictures.write(target, restorer.apply(spoilt)[0])
    print(f"{target}: {picture.shape[2]} x {picture.shape[1]} pixels ({restorer.task})")
    return 0


def _read_mask(path, picture):
    """The hole (1, H, W, 1) that a mask shows; InputError where it does not suit the picture (1, H, W, C)."""
    hole = pictures.read(path, 1)[None] > restoration.GREY
    if hole.shape[:3] != picture.shape[:3]:
        (_, h, w, _), (_, height, width, _) = hole.shape, picture.shape
        raise InputError(f"{path} has {w} x {h} pixels, expected {width} x {height}, those of the picture.")
    if hole.all() or not hole.any():
        got = "white" if hole.all() else "black"
        raise InputError(f"{path} is all {got}; make white what is to be filled and black what is to be kept.")
    return hole


def _train(arguments, task):
    learn = mending_run.train_network(arguments, Restorer, task)
    out = mending_run.compare(arguments, task, learn, _save, {"adversarial": arguments.adversarial})
    mask = f" --mask {out / 'mask.png'}" if task.holes else ""
    print(f"try python -m minigan.restore {out / 'example.png'} restored.png{mask} --network {out / 'network.npz'}")
    return 0


def _save(out, restorer, about, example):
    restorer.save(out / "network.npz", about)
    pictures.write(out / "example.png", restorer.task.show(example[None])[0])
    if restorer.task.holes:
        pictures.write(out / "mask.png", np.ascontiguousarray(example[..., -1:]))


if __name__ == "__main__":
    cli.main("restore", run)
