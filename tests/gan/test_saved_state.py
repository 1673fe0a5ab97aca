"""What a checkpoint gives back of a GAN is what went in, or one sentence why not."""

import dataclasses

import numpy as np
import pytest
from samples import identical

import minigan
from minigan import datasets
from minigan.base import checkpoint
from minigan.base.errors import InputError
from minigan.gan.run import Run, load_gan

SETTINGS = {"batch_size": 8, "ema_decay": 0.9, "instance_noise": 0.1, "n_critic": 2}


def trained(preset="toy", steps=3, seed=1, **settings):
    gan = minigan.build_gan(preset, seed=seed, **{**SETTINGS, **settings})
    for step in range(steps):
        gan.train_step(np.random.default_rng(step).uniform(-1, 1, (8, *gan.sample_shape)).astype(np.float32))
    return gan


def saved(folder, gan):
    batches = datasets.BatchIterator(50, 8, np.random.default_rng(0))
    Run(folder).save(gan, batches, {})
    return Run(folder).checkpoint_path


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop", "momentum", "sgd"])
def test_a_loaded_gan_is_the_saved_one(tmp_path, optimizer):
    gan = trained(optimizer=optimizer)
    state = gan.state()
    for path in (saved(tmp_path, gan), tmp_path):  # the file, and the folder it lies in
        loaded, arrays, _ = load_gan(path)
        assert identical({key: arrays[key] for key in state}, state)
        assert identical(loaded.state(), state)
        assert loaded.config == gan.config
    # the state is all there is: both go on alike
    for step in range(2):
        real = np.random.default_rng(step).uniform(-1, 1, (8, 2)).astype(np.float32)
        assert gan.train_step(real) == loaded.train_step(real)
    assert identical(loaded.state(), gan.state())


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda arrays, about: arrays.pop("rng"), "rng"),
        (lambda arrays, about: arrays.pop("step"), "step"),
        (lambda arrays, about: arrays.update(rng=np.array("{")), "does not fit this version"),
        (
            lambda arrays, about: arrays.update(rng=np.array('{"bit_generator": "MT19937"}')),
            "does not fit this version",
        ),
        (lambda arrays, about: about.pop("config"), "config"),
        (lambda arrays, about: about.pop("sample_shape"), "sample_shape"),
        (lambda arrays, about: about["config"].update(preset="listing"), "listing"),
        (lambda arrays, about: about["config"].update(colour=1), "colour"),
        (lambda arrays, about: about["config"].update(latent_dim=3), "another network"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused(tmp_path, change, expected):
    path = saved(tmp_path, trained())
    arrays, about = checkpoint.load(path)
    change(arrays, about)
    checkpoint.save(path, arrays, {key: value for key, value in about.items() if key != "format"})
    with pytest.raises(InputError, match=expected):
        load_gan(path)


def test_config_in_the_checkpoint_is_the_whole_config(tmp_path):
    gan = trained()
    _, about = checkpoint.load(saved(tmp_path, gan))
    assert about["config"] == dataclasses.asdict(gan.config)
    assert about["minigan"] == minigan.__version__
