"""python -m minigan.enhance: train a network that makes pictures larger or free of noise, or use it on a picture."""

from minigan.base import pictures
from minigan.image_to_image import command, enhancement
from minigan.image_to_image.enhancement import EnhancementTask, Enhancer
from minigan.tools import cli

STEPS = 2000


def parse(argv):
    parser = command.make_parser(
        "enhance",
        "Train a network that makes pictures larger (--factor) or takes noise away (--noise), and compare it with\n"
        "simple filters on the test pictures; or, given IN and OUT, use a network that was trained on a picture.",
        STEPS,
    )
    training = {"only": (command.TRAINING,)}
    factor = f"learn to make N times larger, {' or '.join(map(str, enhancement.FACTORS))}"
    parser.add_argument("--factor", type=int, metavar="N", help=factor, by_default=2, **training)
    noise = "learn to take away noise of so much of the range from black to white"
    parser.add_argument("--noise", type=float, metavar="X", help=noise, **training)
    return parser.parse_args(argv)


def run(argv=None):
    arguments = parse(argv)
    task = _check(arguments)
    return _use(arguments) if arguments.input is not None else _train(arguments, task)


def _check(arguments):
    command.check("enhance", arguments)
    cli.give_one(arguments, "are two tasks", "--factor", "--noise")
    if arguments.noise is None:
        return EnhancementTask(2 if arguments.factor is None else arguments.factor)
    return EnhancementTask(1, arguments.noise)


def _use(arguments):
    source, target = command.places("enhance", arguments)
    enhancer = command.load_network(Enhancer, arguments)
    picture = pictures.read(source, enhancer.channels)
    made = enhancer.apply(picture[None])[0]
    pictures.write(target, made)
    (h, w, _), (more_h, more_w, _) = picture.shape, made.shape
    print(f"{target}: {w} x {h} pixels made {more_w} x {more_h} ({enhancer.task})")
    return 0


def _train(arguments, task):
    out = command.train_and_compare(arguments, Enhancer, task, _save_example)
    print(f"try python -m minigan.enhance {out / 'example.png'} enhanced.png --network {out / 'network.npz'}")
    return 0


def _save_example(out, enhancer, example):
    pictures.write(out / "example.png", example)


if __name__ == "__main__":
    cli.main("enhance", run)
