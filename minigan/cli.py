"""What the commands share: flags made from Config, threads, and errors as one sentence with an exit status."""

import argparse
import os
import sys
from dataclasses import fields

from minigan.config import Config, value_type
from minigan.errors import MiniganError
from minigan.kernels import threads


class Parser(argparse.ArgumentParser):
    """An argparse parser with one common flag, and one sentence instead of the usage text on bad use.

    threaded: False for a command whose work is done by other processes, which has no use for that flag.
    """

    def __init__(self, command, description, threaded=True):
        super().__init__(
            prog=f"python -m minigan.{command}",
            description=description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        if threaded:
            cores = f"cores for kernels and BLAS (default: {threads.get_threads()})"
            self.add_argument("--threads", type=int, metavar="N", help=cores)

    def error(self, message):
        self.exit(2, f"{self.prog}: {message}; --help lists what there is.\n")


def add_config_flags(parser, names):
    """A flag for each of these fields of Config, absent from the result unless given."""
    for item in fields(Config):
        if item.name not in names:
            continue
        choices = list(item.metadata["choices"]) if "choices" in item.metadata else None
        if item.name == "preset" or item.default is None:
            default = f" (default: {item.default or 'none'})"
        else:
            default = f" (default: {item.default}, unless the preset sets it)"
        if choices:
            default = f": {', '.join(choices)}{default}"
        parser.add_argument(
            f"--{item.name.replace('_', '-')}",
            dest=item.name,
            type=value_type(item),
            metavar={int: "N", float: "X", str: "NAME"}[value_type(item)],
            default=argparse.SUPPRESS,
            help=(item.metadata["help"] + default).replace("%", "%%"),
        )


def main(command, run, argv=None):
    """Parse and run a command: `run(argv)` returns an exit status or None. Errors become a sentence on stderr.

    Exit status: 0, 1 when the work failed, 2 for bad use, 130 after Ctrl-C.
    """
    try:
        sys.exit(run(argv))
    except MiniganError as error:
        _fail(command, error, error.exit_status)
    except KeyboardInterrupt:
        _fail(command, "interrupted; what was saved before is still there.", 130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains again while it exits
        sys.exit(1)
    except MemoryError:
        _fail(command, "out of memory; try a smaller --batch-size or --n.", 1)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _fail(command, f"{where}{error.strerror or error}; choose another place with --out or make room.", 1)


def _fail(command, message, status):
    print(f"python -m minigan.{command}: {message}", file=sys.stderr)
    sys.exit(status)
