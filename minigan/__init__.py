"""minigan: generative adversarial networks all the way down, in NumPy, with every backward pass written by hand.

    gan = minigan.build_gan("dcgan", seed=0)
    gan.train_step(real)                  # real (N, 28, 28, 1) float32 in [-1, 1]
    gan.sample(16, rng)                   # (16, 28, 28, 1)

Modules are loaded when first used, so that `import minigan` takes no time.
"""

import importlib

__version__ = "0.2.0"

_MODULES = ("datasets", "gan", "gradcheck", "init", "layers", "losses", "metrics", "models", "optim", "penalties")
_NAMES = {
    "build_gan": "minigan.gan",
    "fit": "minigan.gan.session",
    "load": "minigan.gan.session",
    "plain": "minigan.base.mode",
    "InputError": "minigan.base.errors",
    "RunError": "minigan.base.errors",
    "get_threads": "minigan.kernels.parallel.threads",
    "set_threads": "minigan.kernels.parallel.threads",
}
__all__ = ["__version__", *_MODULES, *_NAMES]


def __getattr__(name):
    if name in _MODULES:
        return importlib.import_module(f"minigan.{name}")
    if name in _NAMES:
        return getattr(importlib.import_module(_NAMES[name]), name)
    raise AttributeError(f"module 'minigan' has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
