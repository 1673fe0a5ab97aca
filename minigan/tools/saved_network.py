"""One network and the settings that it is made from in one .npz, read back as the object that it was."""

import numpy as np

from minigan.base import checkpoint
from minigan.base.errors import InputError, shorten


class SavedNetwork:
    """What can be saved and loaded: an object with a `network` that it makes from settings which JSON can hold.

    A subclass gives `noun`, what its files call it, `command`, which makes it, `sizes`, the names of the settings that
    its weights grow with, and `settings()`, a dict; `from_settings(**settings)` makes it again, by its class unless a
    subclass has its own.
    """

    noun, command, sizes = "", "", ()

    @classmethod
    def from_settings(cls, **settings):
        return cls(**settings)

    def arrays(self):
        """Name -> array, the very ones: the parameters and buffers of the network."""
        return self.network.params | self.network.buffers

    def save(self, path, about):
        """Write the weights to `path` with `about`, a dict that says where they come from."""
        checkpoint.save(path, self.arrays(), {self.noun: self.settings(), **about})

    @classmethod
    def load(cls, path):
        """What `path` holds; InputError where there is none, or a damaged or foreign file."""
        arrays, about = checkpoint.load(path)
        try:
            settings = dict(about[cls.noun])
            largest = np.max(np.hstack([settings[name] for name in cls.sizes]))
            if largest > sum(array.size for array in arrays.values()):  # before such a network is made
                raise InputError(f"it has too few weights for {', '.join(map(str, cls.sizes))} up to {largest}")
            made = cls.from_settings(**settings)
            checkpoint.fill(made.arrays(), arrays)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise InputError(
                f"{path} holds no {cls.noun} of this version ({shorten(error)}); make one with {cls.command}."
            ) from None
        return made
