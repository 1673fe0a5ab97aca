"""python -m minigan.restore: fill holes or take blur away, by a network trained for it or a search through a GAN."""

import numpy as np

from minigan import datasets
from minigan.base import pictures
from minigan.base.errors import InputError
from minigan.gan.run import LoadedRun
from minigan.image_to_image import command, gan_inversion, inpainting, restoration
from minigan.image_to_image.restoration import RestorationTask, Restorer
from minigan.tools import cli

STEPS = 3000
SEARCH_STEPS = 200
SEARCHED = 200  # test pictures: a search is made for each


def parse(argv):
    parser = command.make_parser(
        "restore",
        "Train a network that fills holes in pictures (--hole) or makes blurred ones sharp (--blur), and compare it\n"
        "with simple methods on the test pictures; or, given IN and OUT, use a network that was trained on a picture.\n"
        "With --generator nothing is trained: what a GAN can draw is searched for pictures that agree.",
        STEPS,
    )
    search = f"search this GAN, with {SEARCH_STEPS} --steps a picture and the run's --dataset unless they are given"
    parser.add_argument("--generator", metavar="RUN", help=search)
    holes = f"learn to fill only these holes: {', '.join(inpainting.HOLES)}"
    parser.add_argument("--hole", metavar="NAME", only=(command.COMPARISON,), help=holes, by_default="all")
    parser.add_argument("--blur", type=float, metavar="X", help="learn to undo a blur of σ = X pixels")
    mask = "a picture of the size of IN, white where IN is to be filled and black elsewhere"
    parser.add_argument("--mask", metavar="FILE", only=(command.PICTURE,), help=mask)
    return parser.parse_args(argv)


def run(argv=None):
    arguments = parse(argv)
    if arguments.generator is not None and "--steps" not in arguments.given:
        arguments.steps = SEARCH_STEPS
    task = _check(arguments)
    if arguments.input is not None:
        return _use(arguments, task)
    return _train(arguments, task) if arguments.generator is None else _search(arguments, task)


def _check(arguments):
    command.check("restore", arguments)
    if arguments.input is not None:
        cli.give_one(arguments, "are two ways to restore a picture", "--network", "--generator")
    cli.give_one(arguments, "are two tasks", "--hole", "--mask", "--blur")
    if arguments.blur is not None:
        return RestorationTask((), arguments.blur)
    return RestorationTask() if arguments.hole is None else RestorationTask((arguments.hole,))


# ---- on a picture


def _use(arguments, task):
    source, target = command.places("restore", arguments)
    if arguments.generator is None:
        restorer = command.load_network(Restorer, arguments)
        if arguments.blur is not None and arguments.blur != restorer.task.blur:
            raise InputError(f"this network was trained for {restorer.task}, not for --blur {arguments.blur:g}.")
        task, channels = restorer.task, restorer.channels
    else:
        trained = _load(arguments)
        channels = trained.gan.sample_shape[2]
    if bool(task.holes) != (arguments.mask is not None):
        wanted = "give a --mask" if task.holes else "leave out --mask"
        raise InputError(f"to restore a picture ({task}), {wanted}.")
    picture = pictures.read(source, channels)[None]
    degraded = restoration.with_hole(picture, _read_mask(arguments.mask, picture)) if task.holes else picture
    if arguments.generator is None:
        made = restorer.apply(degraded)
    else:
        trained.check_fits(picture, source)
        made = _inversion(arguments, trained.gan, task, arguments.seed).outputs(degraded)["search"]
    pictures.write(target, made[0])
    print(f"{target}: {picture.shape[2]} x {picture.shape[1]} pixels ({task})")
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


# ---- on the test pictures


def _train(arguments, task):
    out = command.train_and_compare(arguments, Restorer, task, _save_example)
    mask = f" --mask {out / 'mask.png'}" if task.holes else ""
    print(f"try python -m minigan.restore {out / 'example.png'} restored.png{mask} --network {out / 'network.npz'}")
    return 0


def _save_example(out, model, example):
    pictures.write(out / "example.png", model.task.show(example[None])[0])
    if model.task.holes:
        pictures.write(out / "mask.png", np.ascontiguousarray(example[..., -1:]))


def _search(arguments, task):
    trained = _load(arguments)
    named = arguments.dataset if "--dataset" in arguments.given else None
    arguments.dataset, arguments.image_size = where = trained.source(named, arguments.image_size)
    restorer = None if arguments.network is None else command.load_network(Restorer, arguments)
    if restorer is not None and (bool(restorer.task.holes), restorer.task.blur) != (bool(task.holes), task.blur):
        raise InputError(f"--network was trained for {restorer.task}, not for {task}; name one of the same task.")

    def learn(images, seed, out):
        inversion = _inversion(arguments, trained.gan, task, seed)
        return inversion if restorer is None else _Both(inversion, restorer)

    (images, _), (test, labels) = (trained.data(split, *where) for split in datasets.SPLITS)
    data = images, test[:SEARCHED], None if labels is None else labels[:SEARCHED]
    about = {"generator": arguments.generator, "network": arguments.network, "prior": gan_inversion.PRIOR}
    command.compare("restore", arguments, task, learn, _save_example, about, data)
    return 0


class _Both:
    """A search, and a network beside it."""

    def __init__(self, inversion, restorer):
        self.task, self.methods = inversion.task, (restorer, inversion)

    def outputs(self, degraded):
        return {name: made for method in self.methods for name, made in method.outputs(degraded).items()}


def _load(arguments):
    trained = LoadedRun(arguments.generator)
    gan_inversion.check(trained.gan)
    return trained


def _inversion(arguments, gan, task, seed):
    def progress(title, total):
        return cli.progress_bar(total, title, arguments.quiet)

    return gan_inversion.GanInversion(gan, task, arguments.steps, np.random.default_rng([seed, 0]), progress)


if __name__ == "__main__":
    cli.main("restore", run)
