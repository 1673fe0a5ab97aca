"""What the commands share: flags, and in which ways of running they count; threads, progress, and errors as one
sentence with an exit status."""

import argparse
import errno
import os
import re
import signal
import sys
import threading
from contextlib import contextmanager, suppress
from pathlib import PureWindowsPath

from tqdm import tqdm

from minigan.base import streams
from minigan.base.errors import InputError, MiniganError, shorten
from minigan.base.files import check_free
from minigan.base.ranges import LIMITS, check_range
from minigan.kernels.parallel import threads

# exit status where nobody takes the output any more: that of programs which the signal ends, 1 where there is none
NO_READER, NO_TERMINAL = (128 + getattr(signal, name, 1 - 128) for name in ("SIGPIPE", "SIGHUP"))
WINDOWS = os.name == "nt"
DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d) *(\.|$)", re.IGNORECASE)  # no names for files there
LONGEST = 1000  # characters of a message, in which an argument of any length may be quoted
PICTURES, POINTS = "a generator of pictures", "one of points"  # ways of running, see Parser.add_argument


class _NewFolder(argparse.Action):
    """The value is a folder that holds no files yet; told before any work is done."""

    def __call__(self, parser, namespace, value, option_string=None):
        check_free(value)
        setattr(namespace, self.dest, value)


SHARED = {  # what several commands take, see Parser.add_shared
    "run": {"metavar": "RUN", "help": "a run's folder, or a checkpoint file"},
    "--dataset": {"metavar": "NAME", "help": "data set: a name, a folder of pictures, or a .npy, .npz or .csv file"},
    "--image-size": {"type": int, "metavar": "N", "least": 1, "most": 1024,
                     "help": "pixels each way of a folder's pictures"},
    "--judge": {"metavar": "FILE", "help": "a classifier that classify has saved",
                "by_default": "for mnist the one in data/"},
    "--steps": {"type": int, "metavar": "N", "least": 1, "help": "training steps"},
    "--seed": {"type": int, "metavar": "N", "default": 0, "least": 0, "help": "of every random number"},
    "--seeds": {"type": int, "metavar": "N", "default": 1, "least": 1, "most": 100,
                "help": "train so many, seed, seed + 1, …, the first is kept"},
    "--quiet": {"action": "store_true", "help": "no progress bar", "by_default": "shown"},
    "--threads": {"type": int, "metavar": "N", "help": "cores for kernels and BLAS"},
    "--out": {"action": _NewFolder, "metavar": "FOLDER", "help": "a new folder for the files"},
}  # fmt: skip


class Parser(argparse.ArgumentParser):
    """An argparse parser with shared flags and ranges, and one sentence instead of the usage text on bad use.

    threaded: False for a command whose work is done by other processes, which has no use for --threads.
    """

    def __init__(self, command, description, threaded=True):
        super().__init__(
            prog=f"python -m minigan.{command}",
            description=description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        if threaded:
            self.add_shared("--threads", by_default=threads.get_threads())

    def add_argument(self, *names, only=None, by_default=None, **settings):
        """argparse's own. only: the ways of running in which it counts, in words; `check_ways` refuses it in others.
        by_default: what the help says of the default, if not `default`. least, most, above, below: its range."""
        by_default = settings.get("default") if by_default is None else by_default
        if by_default not in (None, argparse.SUPPRESS):
            settings["help"] += f" (default: {by_default})"
        limits = {name: settings.pop(name) for name in LIMITS if name in settings}
        action = super().add_argument(*names, **settings)
        action.only, action.limits = only, limits
        return action

    def add_shared(self, *names, **settings):
        """The arguments of these names in SHARED, with further settings as for add_argument."""
        for name in names:
            self.add_argument(name, **{**SHARED[name], **settings})

    def add_out(self, default, only=None):
        """--out, of a command that leaves a folder. default: what it is called, numbered by files.new_folder."""
        self.add_shared("--out", by_default=f"{default}, numbered if that is taken", only=only)

    def parse_args(self, args=None, namespace=None):
        """argparse's own; beside the values `given`: what was given, a flag or a positional's metavar -> its `only`.

        Sets the number of threads. InputError for a number out of its range.
        """
        words = sys.argv[1:] if args is None else args
        flags = {word.partition("=")[0] for word in words[: words.index("--") if "--" in words else None]}
        arguments = super().parse_args(args, namespace)
        arguments.given = {}
        for action in self._actions:
            value = getattr(arguments, action.dest, None)
            for name in action.option_strings or [action.metavar]:
                if name in flags or (not action.option_strings and value is not None):
                    arguments.given[name] = action.only
            if action.limits and value is not None:
                check_range(action.option_strings[0], value, action.limits, action.type)
        out = str(getattr(arguments, "out", None) or "")
        if WINDOWS and any(map(DEVICES.match, PureWindowsPath(out).parts)):
            self.error(f"--out is {out!r}, in which Windows sees a device, not a file; choose another name")
        if getattr(arguments, "threads", None) is not None:
            threads.set_threads(arguments.threads)
        return arguments

    def print_help(self, file=None):
        """argparse's own does not mind where the text cannot be written, and then ends as if it had been."""
        print(self.format_help(), end="", file=file)

    def error(self, message):
        self.exit(2, f"{self.prog}: {shorten(message, LONGEST)}; --help lists what there is.\n")


def check_ways(arguments, *ways):
    """InputError where something was given that counts in none of these ways of running, the first of which is named
    as the one at hand."""
    for name, only in arguments.given.items():
        if only is not None and not set(only) & set(ways):
            raise InputError(f"{name} goes with {' or '.join(only)}, not with {ways[0]}; leave it out.")


def give_one(arguments, what, *flags):
    """InputError where more than one of these flags was given; what: such as "are two tasks"."""
    given = [flag for flag in flags if flag in arguments.given]
    if len(given) > 1:
        raise InputError(f"{' and '.join(given)} {what}; give one of them.")


def interval():
    """Seconds between two looks of a progress bar: few lines where they are kept in a file."""
    return 0.5 if sys.stderr.isatty() else 15


@contextmanager
def progress_bar(total, title, quiet):
    """`with progress_bar(steps, "seed 0", quiet) as watch:` shows a bar that watch(step, metrics) moves on by a step.

    total: how many steps there will be, or None where nobody knows. metrics: name -> float, shown beside the bar.
    """
    with tqdm(total=total, desc=f"{title} (compiles on the first run)", disable=quiet, mininterval=interval()) as bar:

        def watch(step, metrics):
            bar.set_description(title, refresh=False)
            bar.set_postfix({name: f"{value:.3f}" for name, value in metrics.items()}, refresh=False)
            bar.update()

        yield watch


class Stopped(KeyboardInterrupt):
    """SIGTERM, or SIGHUP because the terminal was closed: as Ctrl-C, what was begun is put in order on the way out."""

    def __init__(self, number):
        self.number = number


def main(command, run, argv=None):
    """Parse and run a command: `run(argv)` returns an exit status or None. Errors become a sentence on stderr.

    Exit status: 0, 1 when the work failed, 2 for bad use, 128 + its number after a signal (Ctrl-C: 130), which is also
    what a shell says of programs that a closed pipe (141) or a closed terminal (129) has ended.
    """
    streams.settle()
    terminals = [stream for stream in (sys.stdout, sys.stderr) if stream is not None and stream.isatty()]
    status = None
    try:
        with _signals():
            try:
                status = run(argv)
            finally:
                if sys.stdout is not None:
                    sys.stdout.flush()  # while it can still be noticed that nobody reads it
        sys.exit(status)
    except MiniganError as error:
        _fail(command, error, error.exit_status)
    except KeyboardInterrupt as stop:
        number = getattr(stop, "number", signal.SIGINT)
        _fail(command, "interrupted; what was saved before is still there.", 128 + number)
    except BrokenPipeError:
        _leave(status or NO_READER)
    except MemoryError:
        _fail(command, "out of memory; try a smaller --batch-size or --n.", 1)
    except OSError as error:
        if error.errno == errno.EIO and not all(stream.isatty() for stream in terminals):  # it was closed
            _leave(status or NO_TERMINAL)
        if WINDOWS and error.errno == errno.EINVAL and error.filename is None:  # what a closed pipe is there
            _leave(status or NO_READER)
        where = f"{error.filename}: " if error.filename else ""
        _fail(command, f"{where}{error.strerror or error}; choose another place with --out or make room.", 1)


@contextmanager
def _signals():
    """SIGTERM and SIGHUP raise Stopped, unless something else was settled about them, as by nohup."""

    def stop(number, frame):
        raise Stopped(number)

    taken = []
    if threading.current_thread() is threading.main_thread():
        numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
        taken = [number for number in numbers if signal.getsignal(number) == signal.SIG_DFL]
    for number in taken:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


def _fail(command, message, status):
    with suppress(OSError):  # the terminal may be gone
        print(f"python -m minigan.{command}: {shorten(message, LONGEST)}", file=sys.stderr)
    _leave(status)


def _leave(status):
    """Exit; what nobody can take any more goes nowhere, or Python would complain about it on its way out."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    sys.exit(status)
