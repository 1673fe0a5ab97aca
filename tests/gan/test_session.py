"""minigan.fit and minigan.load: training from Python is what the command does."""

import numpy as np
import pytest
from training_runs import TOY, begin, contents, samples_for_pictures

import minigan
from minigan.base.errors import InputError
from minigan.kernels.parallel import threads


@pytest.fixture
def quick(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with threads.threads(1), samples_for_pictures():
        yield


def test_fit_leaves_what_the_command_leaves_and_goes_on_bit_for_bit(quick, tmp_path):
    assert begin(tmp_path / "command", *TOY, "--steps", "6") == 0
    settings = {"batch_size": 3000, "n_critic": 2, "instance_noise": 0.1, "ema_decay": 0.9}
    settings |= {"condition": "labels", "clusters": 2}
    minigan.fit("toy", out=tmp_path / "python", quiet=True, steps=4, **settings)
    gan = minigan.fit(tmp_path / "python", quiet=True, steps=6)
    wanted, got = (contents(tmp_path / name) for name in ("command", "python"))
    assert wanted.keys() == got.keys()
    loaded = minigan.load(tmp_path / "command")
    for name, array in loaded.state().items():
        np.testing.assert_array_equal(gan.state()[name], array, name)
    samples = [g.sample(3, np.random.default_rng(0)) for g in (gan, loaded)]
    np.testing.assert_array_equal(*samples)


def test_fit_refuses_what_the_command_refuses(quick, tmp_path):
    with pytest.raises(InputError, match="there is no preset 'dcgn'"):
        minigan.fit("dcgn", steps=1)
    with pytest.raises(InputError, match="there is no setting 'step'"):
        minigan.fit("toy", step=1)
    with pytest.raises(InputError, match="there is no preset"):
        minigan.fit(minigan.build_gan("toy"))
    minigan.fit("toy", out=tmp_path / "run", quiet=True, steps=2, batch_size=16)
    with pytest.raises(InputError, match="which goes on in its own folder"):
        minigan.fit(tmp_path / "run", out=tmp_path / "other", steps=3)
    assert not (tmp_path / "other").exists()
    with pytest.raises(InputError, match="nowhere"):
        minigan.load(tmp_path / "nowhere")


def test_a_folder_of_a_presets_name_is_not_taken_for_the_preset(quick, tmp_path):
    minigan.fit("toy", out=tmp_path / "toy", quiet=True, steps=2, batch_size=16)  # here, under that name
    assert minigan.fit("toy", out=tmp_path / "new", quiet=True, steps=1, batch_size=16).step == 1
