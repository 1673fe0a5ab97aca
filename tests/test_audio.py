"""Sounds: what is made and measured, the networks' gradients, WAV files, and the command as typed."""

import json
import wave
from pathlib import Path

import numpy as np
import pytest

from minigan import audio, cli, sounds
from minigan.gan import build_gan
from minigan.gradcheck import check_gradients
from minigan.kernels import threads


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(audio, "TRAINED", 64)
    monkeypatch.setattr(audio, "JUDGED", 200)
    with threads.threads(1):
        yield


def test_gradients_of_networks_of_height_1():
    gan = build_gan("wavegan", dtype=np.float64, sample_shape=(1, 64, 1), latent_dim=3)
    rng = np.random.default_rng(1)
    for network, x in (
        (gan.generator, rng.standard_normal((3, 3))),
        (gan.discriminator, rng.standard_normal((3, 1, 64, 1))),
    ):
        for name, param in network.params.items():
            if name.endswith("weight"):
                param[...] = rng.standard_normal(param.shape) / np.sqrt(param[..., 0].size)
        report = check_gradients(network, x, max_entries=6)
        assert report.ok, report


def test_tones_are_tones_and_noises_are_not():
    rng = np.random.default_rng(1)
    tones, others = sounds.plucked(500, rng), sounds.plucked(500, rng)
    assert np.abs(tones).max() == pytest.approx(0.9)
    real, white, shaped = (
        sounds.measure(some, others)
        for some in (tones, sounds.white_noise(tones, 500, rng), sounds.shaped_noise(tones, 500, rng))
    )
    assert real["frechet_distance"] < 0.1 * shaped["frechet_distance"] < 0.5 * white["frechet_distance"]
    assert real["harmonicity"] > 0.9
    assert white["harmonicity"] < 0.2
    assert white["harmonicity"] < shaped["harmonicity"] < 0.9


def test_a_sine_has_its_frequency_and_its_period():
    sine = np.sin(2 * np.pi * 500 / sounds.RATE * np.arange(sounds.LENGTH)).reshape(1, 1, -1, 1).astype(np.float32)
    made = sounds.spectrogram(sine)
    assert made.shape == (1, sounds.WINDOW // 2 + 1, 15)
    assert (made[0].argmax(axis=0) == 500 * sounds.WINDOW / sounds.RATE).all()
    np.testing.assert_allclose(made[0].max(axis=0), sounds.WINDOW / 4, rtol=1e-3)
    assert sounds.harmonicity(sine)[0] == pytest.approx(1, abs=1e-6)


def test_a_wav_file_holds_the_sounds():
    some = sounds.plucked(3, np.random.default_rng(1))
    sounds.write_wav(Path("x.wav"), some, gap=0.01)
    with wave.open("x.wav") as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (8000, 1, 2)
        track = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(3, -1)
    np.testing.assert_allclose(track[:, : sounds.LENGTH] / 32767, some[:, 0, :, 0], atol=1 / 32767)
    assert not track[:, sounds.LENGTH :].any()
    assert track.shape[1] == sounds.LENGTH + 80


def test_the_command():
    assert audio.run(["--steps", "2", "--seeds", "2", "--out", "made", "--quiet"]) == 0
    report = json.loads(Path("made/figures.json").read_text())
    first, second = (run["figures"] for run in report["runs"])
    assert list(first) == ["real", "white noise", "shaped noise", "GAN"]
    assert first["GAN"] != second["GAN"]
    both = [run["GAN"]["harmonicity"] for run in (first, second)]
    assert report["mean"]["GAN"]["harmonicity"] == pytest.approx(np.mean(both))
    names = {"figures.json", "spectrograms.png", "real.wav", "white_noise.wav", "shaped_noise.wav", "gan.wav"}
    assert {path.name for path in Path("made").iterdir()} == names


@pytest.mark.parametrize(
    ("words", "expected"), [(["--steps", "0"], "--steps is 0"), (["--seeds", "0"], "--seeds from 1 to 100")], ids=str
)
def test_bad_use_is_one_sentence(capsys, tmp_path, words, expected):
    with pytest.raises(SystemExit) as stop:
        cli.main("audio", audio.run, words)
    assert stop.value.code == 2
    assert expected in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
