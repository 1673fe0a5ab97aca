"""python -m minigan.datasets [NAME]: what data there is and where; with a name, fetch that and check it."""

from minigan import datasets
from minigan.datasets import locations
from minigan.datasets.checks import known_name
from minigan.datasets.toy import SIZES
from minigan.tools import cli
from minigan.tools.tables import text_table


def parse(argv):
    parser = cli.Parser("datasets", "List the data sets that have a name and say where they are, or fetch one of them.")
    parser.add_argument("name", nargs="?", metavar="NAME", help="fetch this one if it is not here, and check its files")
    parser.add_shared("--quiet")
    return parser.parse_args(argv)


def run(argv=None):
    arguments = parse(argv)
    if arguments.name is None:
        print(_list())
        return 0
    known_name(arguments.name, datasets.names(), "dataset")
    known = datasets.KNOWN.get(arguments.name)
    if known is not None and None in map(known.found, datasets.SPLITS):
        known.fetch(arguments.quiet)
    for split in datasets.SPLITS:
        samples, _ = datasets.load(arguments.name, split)
        classes = len(datasets.class_names(arguments.name))
        shape = "x".join(map(str, samples.shape[1:]))
        print(f"{arguments.name} {split}: {len(samples)} samples of {shape}, {classes} labels, checked")
    if known is not None:
        print(f"in {_place(known)}")
    return 0


def _list():
    rows = [["name", *datasets.SPLITS, "each", "MiB", "where"]]
    for known in datasets.KNOWN.values():
        shape = "x".join(map(str, known.sample_shape))
        rows.append([known.name, *map(known.counts.get, datasets.SPLITS), shape, _mib(known), _place(known)])
    rows += [[name, *map(SIZES.get, datasets.SPLITS), 2, "", "drawn when asked for"] for name in datasets.toy.NAMES]
    own = "Your own: --dataset FOLDER, or FILE.npz, .npy or .csv; every tenth picture is for testing."
    return f"{text_table(rows, '<>><><')}\n\n{own}"


def _files(known):
    """The files of both splits that are on disk, each once."""
    return dict.fromkeys(path for split in datasets.SPLITS for path in known.found(split) or () if path.exists())


def _mib(known):
    """What the files weigh, or will when they are fetched."""
    sizes = [path.stat().st_size for path in _files(known)] or [download.size for download in known.downloads]
    return f"{sum(sizes) / 2**20:.0f}"


def _place(known):
    here = [split for split in datasets.SPLITS if known.found(split) is not None]
    if here == list(datasets.SPLITS):
        return ", ".join(dict.fromkeys(str(path.parent) for path in _files(known)))
    what = f"only {here[0]}" if here else "not here"
    return f"{what}; fetch with `python -m minigan.datasets {known.name}`, into {locations.cache(known.name)}"


if __name__ == "__main__":
    cli.main("datasets", run)
