"""Short sounds: plucked tones to learn from, noises to be better than, and what is measured of them.

A sound is (1, L, 1) float32 in [-1, 1], a picture of height 1, L = 1024 samples at 8 kHz; several are (N, 1, L, 1).
"""

import wave

import numpy as np

from minigan import metrics
from minigan.base.errors import InputError
from minigan.base.files import atomic_write

RATE, LENGTH = 8000, 1024
LOWEST, SEMITONES = 220.0, 25  # A3 and the two octaves above it
PARTIALS = 6
WINDOW, HOP = 128, 64
BANDS, TIMES = 16, 5  # of the features
FLOOR = 0.3  # added to magnitudes before the logarithm: 40 dB below those of a full sine, hardly heard beside it
LAGS = (7, 45)  # periods looked for, 178 to 1143 Hz
IN_TUNE = 0.25  # of a semitone, by which a sound may miss the pitch that was asked for


def plucked(n, rng):
    """n tones x(t) = v Σ_k e^{-(3 + 4k) a t} sin(2π k f t) / k, scaled to a largest value of 0.9, and their pitches.

    f is a random semitone, the decay a from 1 to 3 per second, higher partials k decay faster, as of a string, and
    those above half the rate are left out. -> sounds, semitones above LOWEST (n,) int64."""
    t = np.arange(LENGTH) / RATE
    pitches = rng.integers(0, SEMITONES, n)
    f = LOWEST * 2 ** (pitches[:, None] / 12)
    decay = rng.uniform(1, 3, (n, 1))
    x = np.zeros((n, LENGTH))
    for k in range(1, PARTIALS + 1):
        x += (k * f < RATE / 2) * np.exp(-(3 + 4 * k) * decay * t) * np.sin(2 * np.pi * k * f * t) / k
    x *= 0.9 / np.abs(x).max(axis=1, keepdims=True)
    return x.astype(np.float32).reshape(n, 1, LENGTH, 1), pitches


def white_noise(sounds, n, rng):
    """n sounds of independent numbers with the deviation of these sounds."""
    return np.clip(sounds.std() * rng.standard_normal((n, 1, LENGTH, 1), dtype=np.float32), -1, 1)


def shaped_noise(sounds, n, rng):
    """n noises with the mean power spectrum of these sounds, and their mean loudness from sample to sample."""
    flat = _flat(sounds)
    spectrum = np.sqrt(np.square(np.abs(np.fft.rfft(flat))).mean(axis=0))
    noise = np.fft.irfft(np.fft.rfft(rng.standard_normal((n, LENGTH))) * spectrum, LENGTH)
    noise *= np.sqrt(np.square(flat).mean(axis=0).clip(1e-12)) / (noise.std() or 1)  # of silence too
    return np.clip(noise, -1, 1).astype(np.float32).reshape(n, 1, LENGTH, 1)


def spectrogram(sounds):
    """|STFT| with a Hann window: (N, 1, L, 1) -> magnitudes (N, frequencies, times)."""
    frames = np.lib.stride_tricks.sliding_window_view(_flat(sounds), WINDOW, axis=1)[:, ::HOP]
    return np.abs(np.fft.rfft(frames * _hann(WINDOW))).transpose(0, 2, 1)


def features(sounds):
    """Log magnitudes in BANDS x TIMES cells of the spectrogram: (N, BANDS · TIMES)."""
    logs = np.log(spectrogram(sounds)[:, 1 : 1 + 4 * BANDS] + FLOOR)
    bands = logs.reshape(len(logs), BANDS, 4, -1).mean(axis=2)
    whole = bands[..., : bands.shape[2] // TIMES * TIMES]
    return whole.reshape(len(logs), BANDS * TIMES, -1).mean(axis=2)


def harmonicity(sounds):
    """The largest correlation of each sound with itself a period later, over periods of LAGS: 1 for a steady tone, near
    0 for white noise. (N,)"""
    x = _flat(sounds)
    values = []
    for lag in range(*LAGS):
        a, b = x[:, :-lag], x[:, lag:]
        values.append((a * b).sum(axis=1) / np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1) + 1e-12))
    return np.max(values, axis=0)


def pitch(sounds):
    """The strongest frequency of each sound, in semitones above LOWEST, to less than a tenth of one. (N,)"""
    spectrum = np.abs(np.fft.rfft(_flat(sounds) * _hann(LENGTH), 4 * LENGTH))[:, 1:]  # padding: bins of 2 Hz, not 8
    return 12 * np.log2((1 + spectrum.argmax(axis=1)) * RATE / (4 * LENGTH) / LOWEST)


def fading(sounds):
    """By how many dB the second half of each sound is quieter than the first. (N,)"""
    halves = np.square(_flat(sounds)).reshape(len(sounds), 2, -1).sum(axis=2) + 1e-12
    return 10 * np.log10(halves[:, 0] / halves[:, 1])


def measure(sounds, pitches, reference):
    """What is heard of sounds (N, 1, L, 1) of which these pitches (N,) were asked for, beside reference sounds.

    frechet_distance: of the features from the reference's. harmonicity: the mean. in_tune: the share within IN_TUNE of
    the pitch asked for. fading_spread: the deviation of the fading at one pitch, 0 where such sounds are all alike."""
    faded = fading(sounds)
    return {
        "frechet_distance": metrics.frechet_distance(features(reference), features(sounds)),
        "harmonicity": float(harmonicity(sounds).mean()),
        "in_tune": float((np.abs(pitch(sounds) - pitches) < IN_TUNE).mean()),
        "fading_spread": float(np.sqrt(np.mean([faded[pitches == each].var() for each in np.unique(pitches)]))),
    }


def write_wav(path, sounds, gap=0.1):
    """The sounds one after another, `gap` seconds of silence between, as a .wav of 16 bits; whole or not at all."""
    x = _flat(sounds)
    if not np.isfinite(x).all():
        raise InputError("write_wav: the sounds hold NaN or infinite values, expected numbers in [-1, 1].")
    track = np.concatenate([x, np.zeros((len(x), round(gap * RATE)))], axis=1).reshape(-1)
    with atomic_write(path) as temporary, wave.open(str(temporary), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(np.rint(np.clip(track, -1, 1) * 32767).astype("<i2").tobytes())


def _hann(length):
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)


def _flat(sounds):
    return sounds.reshape(len(sounds), -1).astype(np.float64)
