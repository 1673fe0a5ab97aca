"""Sounds: what is made and measured, the networks' gradients, WAV files, and the command as typed."""

import json
import wave
from pathlib import Path

import numpy as np
import pytest
from image_to_image_calls import refused

from minigan.audio import __main__ as audio
from minigan.audio import sounds
from minigan.gan import build_gan
from minigan.gradcheck import check_gradients
from minigan.kernels.parallel import threads


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(audio, "TRAINED", 400)
    monkeypatch.setattr(audio, "JUDGED", 200)
    with threads.threads(1):
        yield


def test_gradients_of_networks_of_height_1():
    gan = build_gan("wavegan", dtype=np.float64, sample_shape=(1, 64, 1), latent_dim=3, condition="none")
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
    (tones, pitches), (others, _) = sounds.plucked(500, rng), sounds.plucked(500, rng)
    assert np.abs(tones).max() == pytest.approx(0.9)
    assert set(pitches) == set(range(sounds.SEMITONES))
    real, white, shaped, silent = (
        sounds.measure(some, pitches, others)
        for some in (
            tones,
            sounds.white_noise(tones, 500, rng),
            sounds.shaped_noise(tones, 500, rng),
            np.zeros_like(tones),
        )
    )
    far = {name: metrics["frechet_distance"] for name, metrics in (("white", white), ("shaped", shaped))}
    assert real["frechet_distance"] < 0.05 * silent["frechet_distance"]
    assert real["frechet_distance"] < 0.02 * far["shaped"] < 0.01 * far["white"]
    assert real["harmonicity"] > 0.98
    assert silent["harmonicity"] == 0
    assert white["harmonicity"] < 0.1 < shaped["harmonicity"] < 0.3
    assert real["in_tune"] == 1
    assert max(noise["in_tune"] for noise in (white, shaped, silent)) < 0.1
    assert real["fading_spread"] > 2 * shaped["fading_spread"]
    assert silent["fading_spread"] == 0


def test_each_fault_is_measured():
    rng = np.random.default_rng(2)
    (tones, pitches), (others, _) = sounds.plucked(500, rng), sounds.plucked(500, rng)

    def metrics(some, asked=pitches):
        return sounds.measure(some, asked, others)

    real = metrics(tones)
    noisy = metrics(tones + 0.05 * rng.standard_normal(tones.shape))
    assert noisy["harmonicity"] < real["harmonicity"] - 0.02
    assert noisy["frechet_distance"] > 20 * real["frechet_distance"]
    assert metrics(tones, rng.permutation(pitches))["in_tune"] < 0.15  # tones, but not those asked for
    assert metrics(tones, pitches + 0.5)["in_tune"] == 0
    _, first, which = np.unique(pitches, return_index=True, return_inverse=True)
    alike = metrics(tones[first][which])  # one tone of each pitch, again and again
    assert alike["in_tune"] == 1
    assert alike["fading_spread"] < 1e-6 < 1 < real["fading_spread"]
    assert alike["frechet_distance"] > 5 * real["frechet_distance"]
    steady = tones * np.exp(16 * np.arange(sounds.LENGTH) / sounds.RATE).reshape(1, 1, -1, 1)
    assert metrics(steady)["frechet_distance"] > 20 * real["frechet_distance"]
    loud = sounds.fading(np.concatenate([tones, tones / 10]))
    np.testing.assert_allclose(loud[:500], loud[500:], atol=1e-3)


def test_a_sine_has_its_frequency_and_its_period():
    sine = np.sin(2 * np.pi * 500 / sounds.RATE * np.arange(sounds.LENGTH)).reshape(1, 1, -1, 1).astype(np.float32)
    made = sounds.spectrogram(sine)
    assert made.shape == (1, sounds.WINDOW // 2 + 1, 15)
    assert (made[0].argmax(axis=0) == 500 * sounds.WINDOW / sounds.RATE).all()
    np.testing.assert_allclose(made[0].max(axis=0), sounds.WINDOW / 4, rtol=1e-3)
    assert sounds.harmonicity(sine)[0] == pytest.approx(1, abs=1e-6)
    assert sounds.pitch(sine)[0] == pytest.approx(12 * np.log2(500 / sounds.LOWEST), abs=0.05)
    assert sounds.fading(sine)[0] == pytest.approx(0, abs=0.01)


def test_a_wav_file_holds_the_sounds():
    some, _ = sounds.plucked(3, np.random.default_rng(1))
    sounds.write_wav(Path("x.wav"), some, gap=0.01)
    with wave.open("x.wav") as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (8000, 1, 2)
        track = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(3, -1)
    np.testing.assert_allclose(track[:, : sounds.LENGTH] / 32767, some[:, 0, :, 0], atol=1 / 32767)
    assert not track[:, sounds.LENGTH :].any()
    assert track.shape[1] == sounds.LENGTH + 80


NAMES = ["real", "white noise", "shaped noise", "untrained", "GAN"]


def test_the_command():
    assert audio.run(["--steps", "2", "--seeds", "2", "--out", "made", "--quiet"]) == 0
    report = json.loads(Path("made/metrics.json").read_text())
    first, second = (run["metrics"] for run in report["runs"])
    assert list(first) == NAMES
    assert first["untrained"] != first["GAN"] != second["GAN"]
    both = [run["GAN"]["harmonicity"] for run in (first, second)]
    assert report["mean"]["GAN"]["harmonicity"] == pytest.approx(np.mean(both))
    wavs = {f"{name.lower().replace(' ', '_')}.wav" for name in NAMES}
    assert {path.name for path in Path("made").iterdir()} == {"metrics.json", "spectrograms.png", *wavs}


class Parrot:
    """In the place of a GAN: gives back what it heard of the pitches asked for, silence before it heard anything."""

    def __init__(self, config, sample_shape, shares):
        self.config, self.heard = config, {}
        assert len(shares) == sounds.SEMITONES * config.clusters

    def train_step(self, heard, conditions):
        pitches = conditions // self.config.clusters
        assert (np.abs(sounds.pitch(heard) - pitches) < 0.1).all()
        self.heard |= dict(zip(pitches.tolist(), heard, strict=True))
        return {"loss": 0.0}

    def sample(self, n, rng, pitches):
        silence = np.zeros((1, sounds.LENGTH, 1), np.float32)
        return np.stack([self.heard.get(each, silence) for each in pitches.tolist()])


def test_the_command_tells_and_asks_for_pitches(monkeypatch):
    monkeypatch.setattr(audio, "GAN", Parrot)
    assert audio.run(["--steps", "6", "--out", "made", "--quiet"]) == 0
    metrics = json.loads(Path("made/metrics.json").read_text())["runs"][0]["metrics"]
    assert [metrics[name]["in_tune"] for name in ("real", "untrained", "GAN")] == [1, 0, 1]
    with wave.open("made/gan.wav") as file:
        track = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(audio.SHOWN, -1)
    shown = sounds.pitch(track[:, : sounds.LENGTH].astype(np.float64).reshape(-1, 1, sounds.LENGTH, 1))
    assert (np.diff(shown) > 1).all()  # rising


@pytest.mark.parametrize(
    ("words", "expected"),
    [(["--steps", "0"], "--steps is 0"), (["--seeds", "0"], "expected a whole number from 1 to 100")],
    ids=str,
)
def test_bad_use_is_one_sentence(capsys, tmp_path, words, expected):
    assert expected in refused(capsys, audio, *words)
    assert not list(tmp_path.iterdir())
