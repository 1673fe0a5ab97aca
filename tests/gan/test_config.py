"""Settings: what each may be, where its value comes from, that flags, config.json and presets agree; the front door."""

import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import minigan
from minigan import __main__ as front
from minigan import train
from minigan.base.errors import InputError
from minigan.gan.config import Config
from minigan.models import PRESETS

FIELDS = {item.name: item for item in dataclasses.fields(Config)}

# a value for every setting, none of them a default of Config or of the preset toy
OTHER = {
    "preset": "toy",
    "dataset": "grid",
    "image_size": 32,
    "epochs": 1.5,
    "steps": 7,
    "batch_size": 12,
    "condition": "labels",
    "clusters": 3,
    "conditioning": "auxiliary",
    "latent_dim": 5,
    "optimizer": "rmsprop",
    "lr": 0.03,
    "d_lr": 0.02,
    "beta1": 0.7,
    "loss": "hinge",
    "label_smoothing": 0.2,
    "n_critic": 4,
    "l1": 0.1,
    "l2": 0.3,
    "orthogonal": 0.01,
    "clip_norm": 2.5,
    "weight_clip": 0.7,
    "gradient_penalty": 5.0,
    "r1": 0.6,
    "feature_matching": 1.5,
    "grow_steps": 77,
    "instance_noise": 0.4,
    "ema_decay": 0.95,
    "seed": 11,
    "sample_every": 9,
    "evaluate_every": 9,
    "checkpoint_every": 8,
}


def as_flags(settings):
    return [word for name, value in settings.items() for word in (f"--{name.replace('_', '-')}", str(value))]


# ---- where a value comes from


def test_the_table_above_is_complete():
    assert OTHER.keys() == FIELDS.keys()
    defaults = dataclasses.asdict(Config.for_preset("toy"))
    assert [name for name in OTHER if OTHER[name] == defaults[name]] == ["preset"]


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_sets_its_own_defaults_and_no_others(preset):
    got = dataclasses.asdict(Config.for_preset(preset))
    general = {name: item.default for name, item in FIELDS.items()}
    assert got == {**general, **PRESETS[preset].defaults, "preset": preset}


def test_what_is_given_wins_over_the_preset():
    assert Config.for_preset("toy").lr == 1e-3
    assert Config.for_preset("toy", lr=0.5).lr == 0.5
    # also when what is given is the general default, which the preset had replaced
    general = Config(preset="digits").ema_decay
    assert Config.for_preset("digits").ema_decay != general
    assert Config.for_preset("digits", ema_decay=general).ema_decay == general
    assert minigan.build_gan("toy", seed=4, lr=0.5).config == Config.for_preset("toy", seed=4, lr=0.5)


def test_every_setting_has_a_flag_that_sets_it():
    arguments = vars(train.parse(as_flags(OTHER)))
    assert {name: arguments[name] for name in FIELDS} == OTHER


def test_a_flag_that_is_not_given_leaves_the_preset_alone():
    assert not FIELDS.keys() & vars(train.parse(["--out", "somewhere"])).keys()


def test_help_has_every_flag_with_what_it_means_and_its_default(capsys):
    with pytest.raises(SystemExit) as stop:
        train.parse(["--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    options = text[text.index("\noptions:") :]
    # argparse puts an option on its own line, two spaces in, and what it means after it or below it
    entries = {
        entry.split()[0].rstrip(","): " ".join(entry.split()) for entry in re.split(r"\n  (?=-)", options)[1:] if entry
    }
    for name, item in FIELDS.items():
        entry = entries[f"--{name.replace('_', '-')}"]
        assert item.metadata["help"] in entry
        default = "none" if item.default is None else item.default
        assert re.search(rf"\(default: {re.escape(str(default))}[,)]", entry), entry
        for choice in item.metadata.get("choices", ()):
            assert choice in entry.replace("- ", "-")  # a line may end after a hyphen
    for flag, default in {
        "--out": "runs/<preset>",
        "--quiet": "shown",
        "--threads": str(minigan.get_threads()),
    }.items():
        assert f"(default: {default}" in entries[flag]
    assert "--resume" in entries
    for preset in PRESETS.values():
        assert re.search(rf"^  {preset.name} +{re.escape(preset.summary)}$", text, re.MULTILINE)


# ---- what a value may be


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("epochs", 0, "above 0"),
        ("epochs", float("inf"), "above 0"),
        ("steps", 0, "from 1 to"),
        ("steps", 2.5, "a whole number"),
        ("batch_size", 1, "from 2 to 1,000,000"),
        ("n_critic", True, "a whole number"),
        ("batch_size", "64", "a whole number"),
        ("batch_size", None, "such as 64"),
        ("latent_dim", 0, "from 1 to 1,000,000"),
        ("lr", 0, "above 0"),
        ("lr", -1e-3, "above 0"),
        ("lr", float("nan"), "a number above 0"),
        ("lr", "fast", "a number above 0"),
        pytest.param("lr", 10**400, "a number above 0", id="lr-an integer no float can hold"),
        ("d_lr", 0.0, "above 0"),
        ("beta1", 1, "below 1"),
        ("beta1", -0.1, "at least 0"),
        ("label_smoothing", 1.0, "below 1"),
        ("n_critic", 0, "at least 1"),
        ("l1", -1.0, "at least 0"),
        ("l2", -1.0, "at least 0"),
        ("clip_norm", 0.0, "above 0"),
        ("instance_noise", -0.5, "at least 0"),
        ("ema_decay", 1.0, "below 1"),
        ("ema_decay", -0.1, "at least 0"),
        ("sample_every", 0, "at least 1"),
        ("evaluate_every", 0, "at least 1"),
        ("checkpoint_every", -5, "at least 1"),
        ("seed", -1, "at least 0"),
        ("seed", 1.0, "a whole number"),
        ("optimizer", "adm", "adam"),
        ("loss", "wgan", "wasserstein"),
        ("loss", [], "a name"),
        ("dataset", None, "such as 'mnist'"),
        ("dataset", 3, "a name"),
        ("preset", "dcgna", "Did you mean 'dcgan'?"),
        ("preset", [], "preset"),  # what config.json might hold
        ("preset", None, "preset"),
    ],
)
def test_a_wrong_value_is_one_sentence_that_names_the_setting(name, value, expected):
    with pytest.raises(InputError) as caught:
        Config.for_preset(**{"preset": "toy", name: value})
    message = str(caught.value)
    assert name in message
    assert expected in message
    assert "\n" not in message
    assert len(message) < 300


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("batch_size", 2),
        ("beta1", 0.0),
        ("beta1", 0.999),
        ("label_smoothing", 0.0),
        ("l1", 0.0),
        ("ema_decay", 0.0),
        ("seed", 0),
        ("seed", 10**30),
        ("steps", 1),
        ("steps", None),
        ("d_lr", None),
        ("clip_norm", None),
    ],
)
def test_the_ends_of_the_range_are_in_it(name, value):
    assert getattr(Config.for_preset("toy", **{name: value}), name) == value


def test_whole_numbers_are_numbers():
    lr = Config.for_preset("toy", lr=1).lr
    assert (type(lr), lr) == (float, 1.0)


def test_unknown_settings_are_refused_and_the_known_ones_listed():
    with pytest.raises(InputError, match=r"no setting 'learning_rate'; the settings are .*\blr\b"):
        Config.for_preset("toy", learning_rate=1e-3)


def test_smoothing_goes_with_one_loss_only():
    with pytest.raises(InputError, match="label_smoothing goes with the loss non_saturating, not with hinge"):
        minigan.build_gan("toy", loss="hinge", label_smoothing=0.1)


def test_a_config_cannot_be_changed_unchecked():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config.for_preset("toy").lr = -1


# ---- config.json


def test_json_round_trip():
    config = Config(**OTHER)
    text = config.to_json()
    assert json.loads(text) == OTHER
    assert Config.from_json(text, "config.json") == config
    assert Config.from_json(Config().to_json(), "config.json") == Config()


def test_json_may_leave_settings_to_the_preset():
    assert Config.from_json('{"preset": "toy", "seed": 3}', "x") == Config.for_preset("toy", seed=3)


def test_json_of_an_earlier_version_loads_by_the_names_of_its_time():
    config = Config.for_preset("toy", condition="labels", conditioning="auxiliary")
    text = config.to_json().replace('"conditioning"', '"told_by"')
    assert "told_by" in text
    assert Config.from_json(text, "x") == config
    with pytest.raises(InputError, match="no setting 'told_by'"):
        Config.for_preset("toy", told_by="auxiliary")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "is not JSON"),
        ('{"preset": "toy", ', "is not JSON"),
        ('["toy"]', "holds a list, expected an object"),
        ("3", "holds a int, expected an object"),
        ('{"preset": "toy", "colour": 1}', "no setting 'colour'"),
        ('{"preset": "toy", "lr": "1e-3"}', "lr is '1e-3', expected a number above 0"),
        ('{"preset": "toy", "lr": NaN}', "lr is nan"),
        ('{"preset": "toy", "seed": null}', "seed must be given a value"),
        ('{"preset": "gone"}', "no preset 'gone'"),
        ('{"preset": {}}', "preset"),
    ],
)
def test_a_damaged_config_json_names_the_file_and_what_is_wrong(text, expected):
    with pytest.raises(InputError) as caught:
        Config.from_json(text, "some/config.json")
    assert str(caught.value).startswith("some/config.json")
    assert expected in str(caught.value)


# ---- how long a run is


@pytest.mark.parametrize(
    ("settings", "size", "steps"),
    [
        ({"epochs": 2, "batch_size": 10}, 100, 20),
        ({"epochs": 1, "batch_size": 64}, 60_000, 938),  # the last, incomplete batch is a step too
        ({"epochs": 0.5, "batch_size": 10}, 100, 5),
        ({"epochs": 0.001, "batch_size": 10}, 100, 1),
        ({"epochs": 2, "batch_size": 10, "steps": 3}, 100, 3),
    ],
)
def test_total_steps(settings, size, steps):
    assert Config.for_preset("toy", **settings).total_steps(size) == steps


# ---- the front door


def test_version_help_and_commands(capsys):
    assert front.main(["--version"]) is None
    assert capsys.readouterr().out == f"{minigan.__version__}\n"
    for argv in ([], ["--help"], ["-h"]):
        assert front.main(argv) is None
        out = capsys.readouterr().out
        for name in front.COMMANDS:
            assert re.search(rf"^  {name} +\w", out, re.MULTILINE)
    for argv, complaint in (
        (["trian"], "there is no command 'trian'; did you mean train?"),
        (["Bench", "--quick"], "there is no command 'Bench'; did you mean bench?"),
        (["xyz"], "there is no command 'xyz'; python -m minigan lists the commands."),
        (["--quick"], "there is no flag '--quick' before the command; python -m minigan lists the commands."),
    ):
        with pytest.raises(SystemExit) as stop:
            front.main(argv)
        assert (stop.value.code, *capsys.readouterr()) == (2, "", f"python -m minigan: {complaint}\n")


def in_a_shell(folder, *words):
    env = {**os.environ, "PYTHONPATH": str(Path(minigan.__file__).parents[1])}
    command = [sys.executable, "-m", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=folder, env=env)


@pytest.mark.parametrize(
    ("words", "status", "out", "err"),
    [
        (["minigan", "--version"], 0, rf"{re.escape(minigan.__version__)}\n", ""),
        (["minigan"], 0, r"usage: python -m minigan COMMAND (.*\n)*", ""),
        (["minigan", "train", "--help"], 0, r"usage: python -m minigan\.train (.*\n)*.*--lr X(.*\n)*", ""),
        (["minigan", "train", "--preset", "dcgam"], 2, "", r"python -m minigan\.train: .* Did you mean 'dcgan'\?\n"),
        (["minigan.sample", "nothing"], 2, "", r"python -m minigan\.sample: there is no checkpoint nothing/.*\n"),
    ],
)
def test_as_typed_in_a_shell(tmp_path, words, status, out, err):
    done = in_a_shell(tmp_path, *words)
    assert done.returncode == status
    assert re.fullmatch(out, done.stdout), done.stdout
    assert re.fullmatch(err, done.stderr), done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_learning_rate_far_too_large(tmp_path):
    done = in_a_shell(tmp_path, "minigan.train", "--preset", "toy", "--lr", "1e30", "--quiet", "--out", "run")
    assert done.returncode == 1
    sentence = r"python -m minigan\.train: training diverged at step \d: \w+ is (nan|inf); try a smaller --lr, .*\n"
    assert re.fullmatch(sentence, done.stderr), done.stderr  # and no warnings about lines of the library
    assert not (tmp_path / "run" / "checkpoint.npz").exists()
