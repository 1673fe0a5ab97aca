"""A flag counts or is refused: all flags of all commands, in every way of running them; and where their files go."""

import importlib
import re
from pathlib import Path

import pytest
from image_to_image_calls import call

from minigan import __main__ as front
from minigan import build_gan, datasets, train
from minigan.base import files
from minigan.base.errors import InputError
from minigan.gan import run, session
from minigan.gan.config import Config
from minigan.image_to_image import command as image_to_image
from minigan.tools import cli
from minigan.tools.tables import text_table

NAN, INF = float("nan"), float("inf")
ALWAYS = {"--help", "--threads", "--quiet"}  # how much is said and by how many cores: no result depends on them
SETTINGS = {f"--{name.replace('_', '-')}" for name in Config.__dataclass_fields__}
TRAINED = {"--steps", "--seed"}
COMPARED = {"--dataset", "--image-size", "--judge", "--seeds", "--out"}
WAYS = {  # command -> [(words that make it run that way, the flags that count then)]
    "train": [
        ([], SETTINGS | {"--out"}),
        (["--resume", "pictures"], SETTINGS | {"--resume"}),
        (["--list"], {"--list"}),
    ],
    "sample": [
        (["pictures"], {"RUN", "--n", "--seed", "--label", "--interpolate", "--truncation", "--out"}),
        (["pictures", "--arithmetic", "7-1"], {"RUN", "--seed", "--arithmetic", "--out"}),
    ],
    "evaluate": [
        (["pictures"], {"RUN", "--n", "--seed", "--truncations", "--judge", "--out"}),
        (["points"], {"RUN", "--n", "--seed", "--out"}),
    ],
    "inside": [
        (["pictures"], {"RUN", "--arithmetic", "--judge", "--seed", "--out"}),
        (["points"], {"RUN", "--seed", "--out"}),
    ],
    "classify": [
        ([], TRAINED | {"--dataset", "--image-size", "--network", "--epochs", "--seeds", "--out"}),
    ],
    "recognise": [
        ([name], TRAINED | {"EXPERIMENT", "--dataset", "--image-size", "--seeds", "--out"} | run)
        for name, run in {"probe": {"--run"}, "augment": {"--run"}, "semi": set(), "domain": set()}.items()
    ],
    "enhance": [
        ([], TRAINED | COMPARED | {"--adversarial", "--factor", "--noise"}),
        (["in.png", "out.png"], {"IN", "OUT", "--network"}),
    ],
    "restore": [
        ([], TRAINED | COMPARED | {"--adversarial", "--hole", "--blur"}),
        (["in.png", "out.png"], {"IN", "OUT", "--network", "--mask", "--blur"}),
        (["--generator", "pictures"], TRAINED | COMPARED | {"--generator", "--network", "--hole", "--blur"}),
        (
            ["in.png", "out.png", "--generator", "pictures"],
            TRAINED | {"IN", "OUT", "--generator", "--network", "--mask", "--blur"},  # --network: see below
        ),
    ],
    "autoencode": [
        (
            [],
            TRAINED
            | COMPARED
            | {"--variational", "--run", "--minutes", "--latent-dim", "--likelihood"},
        )
    ],
    "audio": [([], TRAINED | {"--seeds", "--out"})],
    "bench": [([], {"--quick", "--scaling", "--presets", "--batches", "--out"})],
    "datasets": [([], {"NAME"})],
    "gradcheck": [(["dense.py"], {"FILE[:NAME]", "--seconds", "--seed"})],
    "grade": [
        (["class"], {"FOLDER", "--out", "--seconds", "--seed"}),
        (["--solutions", "new"], {"--solutions"}),
    ],
}  # fmt: skip
TOGETHER = [  # flags that each count, but not beside each other or without another
    ("train", "--steps 2 --epochs 1", "--steps and --epochs both say how long to train"),
    ("classify", "--steps 2 --epochs 1", "--steps and --epochs both say how long to train"),
    ("autoencode", "--steps 2 --minutes 1", "--steps and --minutes both say how long to train"),
    ("enhance", "--factor 2 --noise 0.1", "--factor and --noise are two tasks"),
    ("restore", "--hole centre --blur 2", "--hole and --blur are two tasks"),
    ("restore", "in.png out.png --mask m.png --blur 2", "--mask and --blur are two tasks"),
    ("restore", "in.png out.png --network n.npz --generator g", "--network and --generator are two ways"),
    (
        "train",
        "--preset toy --conditioning auxiliary",
        "--conditioning goes with --condition labels or clusters, not with none",
    ),
    ("train", "--preset toy --clusters 3", "--clusters goes with --condition labels or clusters, not with none"),
    ("train", "--preset toy --optimizer sgd --beta1 0.9", "--beta1 goes with --optimizer adam or momentum, not with s"),
    ("train", "--preset toy --grow-steps 5", "--grow-steps goes with --preset progan, not with toy"),
]
EXAMPLES = {"--n": "100", "--truncations": "0.5,1", "--arithmetic": "7-1"}  # where "1" and "x" are no good
TRAINERS = ("train", "classify", "recognise", "enhance", "restore", "autoencode", "audio")
LEAVE_A_FOLDER = {  # words -> the folder, where none is named
    "classify": "runs/classify",
    "recognise semi": "runs/semi",
    "enhance": "runs/enhance",
    "restore": "runs/restore",
    "restore --generator pictures": "runs/restore",
    "autoencode": "runs/autoencode",
    "audio": "runs/audio",
    "bench": "runs/bench",
    "inside pictures": "pictures/inside",
    "evaluate pictures": None,  # among those of the run
    "train --preset toy": "runs/toy",
}


class Begun(BaseException):
    """The flags were found good, and the work would begin."""


def module(command):
    found = importlib.import_module(f"minigan.{command}")
    return importlib.import_module(f"minigan.{command}.__main__") if hasattr(found, "__path__") else found


def actions(command):
    """Flag or metavar -> the argparse action behind it."""
    found = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cli.Parser, "parse_args", lambda self, argv: found.append(self))
        module(command).parse([])
    return {name: action for action in found[0]._actions for name in action.option_strings or [action.metavar]}


def example(name, action):
    """Words that give this flag."""
    if action.nargs == 0:
        return [name]
    value = EXAMPLES.get(name) or {int: "1", float: "1"}.get(action.type) or next(iter(action.choices or ["x"]))
    return [name, value] if name.startswith("-") else [value]


@pytest.fixture
def runs(few):
    """An untrained GAN of pictures and one of points in an empty folder, and few pictures to load."""
    for name, gan in {"pictures": build_gan("mlp"), "points": build_gan("toy", sample_shape=(2,))}.items():
        run.Run.create(name, name).save(gan, type("Batches", (), {"state": dict})(), {})


def refused(capsys, command, words):
    """The one sentence with which it is refused, which leaves nothing behind."""
    before = sorted(Path().rglob("*"))
    status, out, err = call(capsys, module(command), *words)
    assert (status, out) == (2, ""), err
    assert re.fullmatch(rf"python -m minigan\.{command}: .{{10,300}}\.\n", err), err
    assert sorted(Path().rglob("*")) == before
    return err


def test_the_table_is_complete():
    assert set(WAYS) == set(front.COMMANDS)
    for command, ways in WAYS.items():
        counted = set().union(*(flags for _, flags in ways), *(word for word, _ in ways))
        assert {name for name in actions(command) if name != "-h"} <= counted | ALWAYS, command


@pytest.mark.parametrize(
    ("command", "words", "counted"),
    [(command, *way) for command, ways in WAYS.items() for way in ways],
    ids=lambda value: value if isinstance(value, str) else " ".join(value) if isinstance(value, list) else "",
)
def test_a_flag_counts_or_is_refused(capsys, runs, monkeypatch, command, words, counted):
    def check_ways(arguments, *ways):
        real(arguments, *ways)
        raise Begun

    real = cli.check_ways
    monkeypatch.setattr(cli, "check_ways", check_ways)
    known, decides = actions(command), {word for way, _ in WAYS[command] for word in way if word.startswith("-")}
    if len(WAYS[command]) == 1:  # nothing to be checked
        assert all(action.only is None for action in known.values())
        return
    with pytest.raises(Begun):  # without any further flag
        module(command).run(words)
    for name, action in known.items():
        if name in ("-h", *ALWAYS, *words) or not name.startswith("-"):
            continue
        if name in counted:
            with pytest.raises(Begun):
                module(command).run([*words, *example(name, action)])
        elif name not in decides or "--list" in words:
            said = refused(capsys, command, [*words, *example(name, action)])
            assert f"{name} goes with " in said
            assert "leave it out" in said


@pytest.mark.parametrize(("command", "words", "expected"), TOGETHER, ids=lambda value: value)
def test_flags_that_do_not_go_together(capsys, runs, command, words, expected):
    assert expected in refused(capsys, command, words.split())


def test_positionals_and_words_after_two_dashes(capsys, runs):
    assert "FOLDER goes with judging, not with --solutions" in refused(capsys, "grade", ["class", "--solutions", "new"])
    parser = cli.Parser("x", "")
    parser.add_argument("name", metavar="NAME", only=("a",))
    parser.add_argument("--flag", only=("b",))
    assert parser.parse_args(["--", "--flag"]).given == {"NAME": ("a",)}
    assert parser.parse_args(["--flag=--x", "y"]).given == {"NAME": ("a",), "--flag": ("b",)}


def test_settings_that_are_the_default_anyway_are_no_mistake(runs):
    arguments = train.parse(["--preset", "digits", "--condition", "none", "--clusters", "1", "--grow-steps", "600"])
    given = {name: getattr(arguments, name) for name in Config.__dataclass_fields__ if hasattr(arguments, name)}
    session._check_partners(Config.for_preset(**given), given)


@pytest.mark.parametrize("command", TRAINERS)
def test_what_trains_has_the_same_flags(command):
    known = actions(command)
    assert {"--steps", "--seed", "--out", "--quiet"} <= set(known)


# ---- where the files go


@pytest.mark.parametrize("words", LEAVE_A_FOLDER)
def test_a_folder_with_files_is_refused_before_any_work(capsys, runs, monkeypatch, words):
    monkeypatch.setattr(datasets, "load", lambda *_, **__: pytest.fail("it began to work"))
    Path("mine/deep").mkdir(parents=True)
    Path("mine/deep/letter.txt").write_text("dear")
    Path("file").write_text("")
    command, *words = words.split()
    assert "mine holds files" in refused(capsys, command, [*words, "--out", "mine"])
    assert "file is a file, expected a folder" in refused(capsys, command, [*words, "--out", "file"])


@pytest.mark.parametrize(("words", "folder"), [item for item in LEAVE_A_FOLDER.items() if item[1]])
def test_unasked_the_folder_is_a_new_one(runs, monkeypatch, words, folder):
    """Twice the same words: the second leaves alone what the first did."""
    command, *words = words.split()
    owner = {"enhance": image_to_image, "restore": image_to_image, "train": run.files}.get(command) or module(command)
    made = []

    def new_folder(asked, default):
        made.append(real(asked, default))
        raise Begun

    real = owner.new_folder
    monkeypatch.setattr(owner, "new_folder", new_folder)
    for _ in range(3):
        with pytest.raises(Begun):
            module(command).run([*words, "--quiet"] if "--quiet" in actions(command) else words)
    assert made == [Path(folder), Path(f"{folder}-2"), Path(f"{folder}-3")]


def test_an_empty_folder_is_taken_and_what_a_killed_process_left_is_nothing(tmp_path):
    for folder in ("empty", "killed"):
        (tmp_path / folder / "samples").mkdir(parents=True)
        files.check_free(tmp_path / folder)
        assert files.new_folder(tmp_path / folder, None) == tmp_path / folder
    (tmp_path / "killed" / ".config.123.part.json").write_text("{")
    files.check_free(tmp_path / "killed")
    files.check_free(tmp_path / "not there")


# ---- what the parser adds to argparse


@pytest.mark.parametrize(
    ("limits", "kind", "wrong", "expected"),
    [
        ({"least": 1, "most": 5000}, int, (0, 5001), "a whole number from 1 to 5,000"),
        ({"above": 0, "most": 10}, float, (0.0, 11.0, NAN, INF), "a number above 0 and at most 10"),
        ({"least": 0, "below": 1}, float, (-1.0, 1.0, NAN), "a number of at least 0 and below 1"),
    ],
)
def test_a_number_out_of_its_range(limits, kind, wrong, expected):
    parser = cli.Parser("x", "")
    parser.add_argument("--x", type=kind, help="of it", **limits)
    for value in wrong:
        with pytest.raises(InputError, match=re.escape(f"--x is {value!r}, expected {expected}.")):
            parser.parse_args([f"--x={value}"])
    assert parser.parse_args(["--x", "1" if kind is int else "0.5"]).x in (1, 0.5)
    assert parser.parse_args([]).x is None


def test_the_default_is_said_once():
    parser = cli.Parser("x", "")
    parser.add_shared("--seed", "--quiet")
    parser.add_shared("--judge", by_default="none")
    shown = " ".join(parser.format_help().split())
    assert "of every random number (default: 0)" in shown
    assert "no progress bar (default: shown)" in shown
    assert "a classifier that classify has saved (default: none)" in shown


def test_a_table_is_as_wide_as_its_cells():
    assert text_table([["", "psnr", "why"], ["network", 12.5, "x"]], "<><") == "         psnr  why\nnetwork  12.5  x"
