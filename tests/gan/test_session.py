"""minigan.fit and minigan.load: training from Python is what the command does."""

import numpy as np
import pytest
from training_runs import SMALL, TOY, begin, contents, samples_for_pictures

import minigan
from minigan.base.errors import InputError
from minigan.gan import trainer
from minigan.gan.run import LoadedRun
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


def test_fit_says_what_is_wrong_with_the_run_as_the_command_does(quick, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(trainer, "WON_BELOW", 1)
    minigan.fit("toy", out=tmp_path / "run", quiet=True, steps=1, batch_size=16)
    assert "note: the discriminator has won" in capsys.readouterr().err


def test_a_loaded_run_knows_its_data_and_its_folder(quick, tmp_path):
    begin(tmp_path / "run", *SMALL, "--dataset", "grid", "--steps", "2")
    for path in (tmp_path / "run", tmp_path / "run" / "checkpoint.npz"):
        run = LoadedRun(path)
        assert (run.gan.step, run.config, run.of_pictures) == (2, run.gan.config, False)
        assert run.progress["seconds"] > 0
        assert run.default_out("x.png") == tmp_path / "run" / "x.png"
        assert (run.source(), run.source("ring")) == (("grid", None), ("ring", None))
        np.testing.assert_array_equal(run.data("test")[0], minigan.datasets.load("grid", "test")[0])
    with pytest.raises(InputError, match=r"mnist holds samples of \(28, 28, 1\), but the run .* samples of \(2,\)"):
        run.data("test", "mnist")
