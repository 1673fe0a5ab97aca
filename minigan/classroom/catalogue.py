"""What can be judged, by name: the exercises in the order of their notebooks, and the layers of the library."""

from minigan.base.errors import InputError
from minigan.classroom import convolutions, layers, losses, training
from minigan.classroom.own_layer import KNOWN, OwnLayer

EXERCISES = {
    exercise.name: exercise
    for exercise in sorted(
        [*layers.EXERCISES, *convolutions.EXERCISES, *losses.EXERCISES, *training.EXERCISES], key=lambda e: e.notebook
    )
}


def find(name):
    """The exercise of that name, the one that a function of that name belongs to, or the layer that a class is."""
    for exercise in EXERCISES.values():
        if name == exercise.name or name in exercise.functions:
            return exercise
    if name in KNOWN:
        return OwnLayer(name)
    raise InputError(f"there is no exercise {name!r}; expected one of {', '.join([*EXERCISES, *KNOWN])}.")


def exercise_of(path):
    """The exercise that a file is about, by its name, else by the functions that it defines.

    Raises InputError where neither says it, OSError where the file cannot be read.
    """
    if path.stem in EXERCISES:
        return EXERCISES[path.stem]
    found = defined_in(path.read_text(encoding="utf-8", errors="replace"))
    if len(found) != 1:
        raise InputError(
            f"{path}: neither its name nor its functions are those of an exercise; write {path}:NAME with the exercise "
            f"or layer that it is, one of {', '.join([*EXERCISES, *KNOWN])}."
        )
    return found[0]


def defined_in(source):
    """The exercises all of whose functions a Python source defines."""
    return [e for e in EXERCISES.values() if all(f"def {name}(" in source for name in e.functions)]
