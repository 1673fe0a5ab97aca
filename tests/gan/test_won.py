"""A discriminator that has won is noted in the log, and said once."""

import pytest
from training_runs import SMALL, around_step, begin, interrupt, log_rows, resume, samples_for_pictures

from minigan.gan import GAN, trainer
from minigan.kernels.parallel import threads


@pytest.fixture(autouse=True)
def quick():
    with threads.threads(1), samples_for_pictures():
        yield


@pytest.mark.parametrize("stop", [None, 25])
def test_a_discriminator_that_has_won_is_noted(tmp_path, monkeypatch, capsys, stop):
    monkeypatch.setattr(trainer, "MEMORY", 5)
    monkeypatch.setattr(trainer, "COLLAPSED_BELOW", 0)
    original = GAN.train_step

    def train_step(self, *batch):
        metrics = original(self, *batch)
        return {**metrics, "d_fake": 0.0 if 15 <= self.step <= 45 or self.step > 60 else 0.5}

    monkeypatch.setattr(GAN, "train_step", train_step)
    with around_step(stop, before=interrupt()):
        begin(tmp_path / "run", *SMALL, "--steps", "90")
    if stop:
        resume(tmp_path / "run", "--sample-every", "100000")  # the average goes on
    notes = {int(row["step"]): row["note"] for row in log_rows(tmp_path / "run")}
    # from 0.5 by a factor of 0.8 a step: below 0.03 after 13 steps
    assert notes == {10: "", 20: "", 30: "won", 40: "won", 50: "", 60: "", 70: "", 80: "won", 90: "won"}
    err = capsys.readouterr().err
    assert err.count("note:") == 1
    assert "the discriminator has won" in err
