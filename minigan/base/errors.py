"""The two ways a call can go wrong, and the exit status each has on the command line."""


class MiniganError(Exception):
    """An error whose message is one sentence for a person: what was wrong, what was expected, what to do."""

    exit_status = 1


class InputError(MiniganError, ValueError):
    """What was passed in is wrong: a shape, a dtype, a name, a flag, a file's content. Exit status 2."""

    exit_status = 2


class RunError(MiniganError, RuntimeError):
    """The input was fine, yet the work could not be done (training diverged, the disk is full). Exit status 1."""


def shorten(text, most=200):
    """What someone else says, an exception or a command line, as a part of a sentence: one line of at most so many
    characters, its middle left out if it has more."""
    text = " ".join(str(text).split())
    return text if len(text) <= most else f"{text[: most - 60]} … {text[-57:]}"
