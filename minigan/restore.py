"""python -m minigan.restore: fill holes or take blur away, by a network trained for it or a search through a GAN."""

import numpy as np

from minigan.base import pictures
from minigan.base.errors import InputError
from minigan.gan.run import load_gan
from minigan.image_to_image import command, gan_inversion, inpainting, restoration
from minigan.image_to_image.restoration import RestorationTask, Restorer
from minigan.kernels.parallel import threads
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
    parser.set_defaults(steps=None, dataset=None)
    parser.add_argument(
        "--generator",
        metavar="RUN",
        help=f"search this GAN, a folder of train, in so many --steps (default: {SEARCH_STEPS}) for each picture of "
        "--dataset (default: the run's)",
    )
    kinds = ", ".join(inpainting.HOLES)
    parser.add_argument(
        "--hole",
        metavar="NAME",
        only=(command.COMPARISON,),
        help=f"learn to fill only these holes: {kinds} (default: all)",
    )
    parser.add_argument("--blur", type=float, metavar="X", help="learn to undo a blur of σ = X pixels")
    parser.add_argument(
        "--mask",
        metavar="FILE",
        only=(command.PICTURE,),
        help="a picture of the size of IN, white where IN is to be filled and black elsewhere",
    )
    return parser.parse_args(argv)


def run(argv=None):
    arguments = parse(argv)
    if arguments.steps is None:
        arguments.steps = STEPS if arguments.generator is None else SEARCH_STEPS
    task = _check(arguments)
    if arguments.threads is not None:
        threads.set_threads(arguments.threads)
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
        gan = _load(arguments)
        channels = gan.sample_shape[2]
    if bool(task.holes) != (arguments.mask is not None):
        wanted = "give a --mask" if task.holes else "leave out --mask"
        raise InputError(f"to restore a picture ({task}), {wanted}.")
    picture = pictures.read(source, channels)[None]
    degraded = restoration.with_hole(picture, _read_mask(arguments.mask, picture)) if task.holes else picture
    if arguments.generator is None:
        made = restorer.apply(degraded)
    else:
        _same_size(gan, picture, source)
        made = _inversion(arguments, gan, task, arguments.seed).outputs(degraded)["search"]
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
    if arguments.dataset is None:
        arguments.dataset = "mnist"
    learn = command.train_network(arguments, Restorer, task)
    out = command.compare("restore", arguments, task, learn, _save_example, {"adversarial": arguments.adversarial})
    mask = f" --mask {out / 'mask.png'}" if task.holes else ""
    print(f"try python -m minigan.restore {out / 'example.png'} restored.png{mask} --network {out / 'network.npz'}")
    return 0


def _save_example(out, model, example):
    pictures.write(out / "example.png", model.task.show(example[None])[0])
    if model.task.holes:
        pictures.write(out / "mask.png", np.ascontiguousarray(example[..., -1:]))


def _search(arguments, task):
    gan = _load(arguments)
    if arguments.dataset is None:
        arguments.dataset = gan.config.dataset
        arguments.image_size = gan.config.image_size if arguments.image_size is None else arguments.image_size
    restorer = None if arguments.network is None else command.load_network(Restorer, arguments)
    if restorer is not None and (bool(restorer.task.holes), restorer.task.blur) != (bool(task.holes), task.blur):
        raise InputError(f"--network was trained for {restorer.task}, not for {task}; name one of the same task.")

    def learn(images, seed, out):
        inversion = _inversion(arguments, gan, task, seed)
        return inversion if restorer is None else _Both(inversion, restorer)

    def check(images):
        _same_size(gan, images, arguments.dataset)

    about = {"generator": arguments.generator, "network": arguments.network, "prior": gan_inversion.PRIOR}
    command.compare("restore", arguments, task, learn, _save_example, about, SEARCHED, check)
    return 0


class _Both:
    """A search, and a network beside it."""

    def __init__(self, inversion, restorer):
        self.task, self.methods = inversion.task, (restorer, inversion)

    def outputs(self, degraded):
        return {name: made for method in self.methods for name, made in method.outputs(degraded).items()}


def _load(arguments):
    gan, _, _ = load_gan(arguments.generator)
    gan_inversion.check(gan)
    return gan


def _inversion(arguments, gan, task, seed):
    def progress(title, total):
        return cli.progress_bar(total, title, arguments.quiet)

    return gan_inversion.GanInversion(gan, task, arguments.steps, np.random.default_rng([seed, 0]), progress)


def _same_size(gan, images, name):
    """InputError unless these pictures (N, H, W, C) are such as the generator draws."""
    if images.shape[1:] != gan.sample_shape:
        (h, w, c), (height, width, channels) = images.shape[1:], gan.sample_shape
        raise InputError(
            f"{name} has {w} x {h} pixels of {c} numbers, expected {width} x {height} of {channels}, such as the "
            "generator draws."
        )


if __name__ == "__main__":
    cli.main("restore", run)
