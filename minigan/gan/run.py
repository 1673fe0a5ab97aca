"""A run's folder: config.json, log.csv, checkpoint.npz and pictures, and how a run is begun, saved and found again."""

import csv
import json
import os
from contextlib import contextmanager
from pathlib import Path

from minigan import __version__, datasets
from minigan.base import checkpoint, files
from minigan.base.errors import InputError
from minigan.gan import GAN
from minigan.gan.config import Config

COLUMNS = ["step", "epoch", "seconds", "d_loss", "g_loss", "d_real", "d_fake", "d_grad_norm", "g_grad_norm"]
COLUMNS += ["frechet_distance", "inception_score", "entropy", "note"]  # the three in the rows of --evaluate-every


class Run:
    """The files of one run under `folder`."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.config_path = self.folder / "config.json"
        self.log_path = self.folder / "log.csv"
        self.checkpoint_path = self.folder / "checkpoint.npz"
        self.samples_folder = self.folder / "samples"
        self.losses_path = self.folder / "losses.png"
        self.quality_path = self.folder / "quality.png"
        self.gif_path = self.folder / "training.gif"

    @classmethod
    def create(cls, folder, name):
        """A new run in `folder`, or where that is None in runs/<name>, numbered if that is taken.

        Raises InputError as check_free.
        """
        if folder is not None:
            cls.check_free(folder)
        run = cls(files.new_folder(folder, Path("runs") / name))
        run.samples_folder.mkdir(exist_ok=True)
        files.clear(run.folder)  # of one that was killed before it had begun
        return run

    @classmethod
    def check_free(cls, folder):
        """InputError where `folder` already holds a run, or other files."""
        run = cls(folder)
        if run.config_path.exists() or run.checkpoint_path.exists():
            raise InputError(
                f"{folder} already holds a run; continue it with --resume {folder} or choose another --out."
            )
        files.check_free(folder)

    def read_config(self):
        """The settings the run was begun with; InputError if the folder holds no run."""
        try:
            text = self.config_path.read_text(encoding="utf-8-sig")  # Notepad may have added the mark
        except (FileNotFoundError, NotADirectoryError):
            raise InputError(
                f"{self.folder} holds no run: there is no {self.config_path.name} in it; name a folder that "
                "python -m minigan.train made."
            ) from None
        except UnicodeDecodeError:
            raise InputError(f"{self.config_path} is not a text file; it must be what training wrote.") from None
        return Config.from_json(text, self.config_path)

    def write_config(self, config):
        files.write_text(self.config_path, config.to_json())

    @contextmanager
    def lock(self):
        """While inside, no other process may train in this folder: InputError there. A process that dies lets go."""
        try:
            import fcntl
        except ImportError:  # Windows
            yield
            return
        number = os.open(self.folder, os.O_RDONLY)
        try:
            try:
                fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InputError(
                    f"another process is training the run in {self.folder}; wait for its end, or choose another --out."
                ) from None
            except OSError:
                pass  # some network file systems know no locks
            yield
        finally:
            os.close(number)

    # ---- checkpoint

    def save(self, gan, batches, progress):
        """checkpoint.npz: the GAN, the order of the data, and `progress` (JSON), replacing the one before."""
        arrays = gan.state() | {f"batches.{name}": array for name, array in batches.state().items()}
        about = {
            "minigan": __version__,
            "config": json.loads(gan.config.to_json()),
            "sample_shape": gan.sample_shape,
            "shares": None if gan.conditions.shares is None else gan.conditions.shares.tolist(),
            "class_names": gan.conditions.names,
            "progress": progress,
        }
        checkpoint.save(self.checkpoint_path, arrays, about)

    def has_its_film(self):
        """Whether the last picture that is made of a run is as new as its checkpoint: False where it was killed between
        the two."""
        return self.gif_path.exists() and self.gif_path.stat().st_mtime_ns >= self.checkpoint_path.stat().st_mtime_ns

    def ended_before_first_checkpoint(self, config):
        """Whether the run was killed so early that there is no checkpoint to go on from, and none was lost."""
        if self.checkpoint_path.exists() or self.gif_path.exists():  # the film comes after the last checkpoint
            return False
        return all(int(row["step"]) <= config.checkpoint_every for row in self._rows())

    # ---- log

    def start_log(self):
        """An empty log.csv with its header."""
        files.write_text(self.log_path, ",".join(COLUMNS) + "\n")

    def rewind(self, step):
        """Make the folder ready to go on from `step`: what a killed process left half-written goes, and so do the log's
        rows after that step, which will be computed again. Pictures of later steps will be replaced."""
        self.samples_folder.mkdir(parents=True, exist_ok=True)
        for folder in (self.folder, self.samples_folder):
            files.clear(folder)
        kept = [row for row in self._rows() if int(row["step"]) <= step]
        lines = [",".join(COLUMNS), *(",".join(row[name] for name in COLUMNS) for row in kept)]
        files.write_text(self.log_path, "\n".join(lines) + "\n")

    def append_log(self, file, row):
        """Add one row (dict) to the open log."""
        csv.DictWriter(file, COLUMNS, lineterminator="\n").writerow(row)
        file.flush()

    def read_log(self):
        """The log's numbers as columns: name -> list of floats, None where a step had no such value."""
        rows = self._rows()
        return {name: [float(row[name]) if row[name] else None for row in rows] for name in COLUMNS if name != "note"}

    def _rows(self):
        """The complete rows: those with every column, whose line was ended."""
        try:
            text = self.log_path.read_text(encoding="utf-8-sig", errors="replace")  # Excel adds that mark
        except FileNotFoundError:
            return []
        complete = text[: text.rfind("\n") + 1].splitlines()
        return [row for row in csv.DictReader(complete) if None not in row.values() and row.get("step", "").isdigit()]

    # ---- pictures

    def sample_path(self, step):
        return self.samples_folder / f"step_{step:07d}.png"

    def sample_paths(self, up_to_step):
        """The sample pictures in order, those of later steps left out."""
        return [path for path in sorted(self.samples_folder.glob("step_*.png")) if int(path.stem[5:]) <= up_to_step]


class LoadedRun:
    """A trained GAN with what belongs to it. path: a run's folder, or a checkpoint file.

    gan, its config, and the trainer's progress (dict). Raises InputError where there is none or it is damaged.
    """

    def __init__(self, path):
        self.path = Path(path)
        self.gan, _, self.progress = load_gan(path)
        self.config = self.gan.config

    @property
    def of_pictures(self):
        """Whether its samples are pictures, not points."""
        return len(self.gan.sample_shape) == 3

    def default_out(self, name):
        """Where a command's file or folder of that name goes: beside the checkpoint."""
        return (self.path if self.path.is_dir() else self.path.parent) / name

    def source(self, dataset=None, image_size=None):
        """-> the data set and the size of its pictures, as datasets.load takes them: the run's own, unless others are
        named."""
        dataset = dataset or self.config.dataset
        if image_size is None and datasets.located(dataset) == datasets.located(self.config.dataset):
            image_size = self.config.image_size
        return dataset, image_size

    def data(self, split, dataset=None, image_size=None):
        """datasets.load's samples and labels of the `source`; InputError where the GAN makes other samples."""
        name, size = self.source(dataset, image_size)
        samples, labels = datasets.load(name, split, size)
        self.check_fits(samples, name)
        return samples, labels

    def check_fits(self, samples, name):
        """InputError unless samples (N, …) of that name are of the shape that the GAN makes."""
        if samples.shape[1:] != self.gan.sample_shape:
            raise InputError(
                f"{name} holds samples of {samples.shape[1:]}, but the run {self.path} was trained on samples of "
                f"{self.gan.sample_shape}; give such data, or another run."
            )


def load_gan(path):
    """-> the GAN of a run's folder or of a checkpoint file, its checkpoint's arrays, and the trainer's progress (dict).

    Raises InputError where there is none or it is damaged.
    """
    path = Path(path)
    checkpoint_path = path if path.is_file() else Run(path).checkpoint_path
    arrays, about = checkpoint.load(checkpoint_path)
    try:
        config = Config.from_saved(dict(about["config"]))
        if config.latent_dim > sum(array.size for array in arrays.values()):  # before such a network is made
            raise InputError(f"it has too few weights for a z of {config.latent_dim} numbers")
        gan = GAN(config, tuple(about["sample_shape"]), about["shares"], names=about.get("class_names"))
        gan.load_state(arrays)
        progress = dict(about["progress"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{checkpoint_path} does not fit this version of minigan: {error}") from None
    return gan, arrays, progress
