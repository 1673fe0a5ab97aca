"""python -m minigan.datasets [NAME]: what data there is and where; with a name, fetch that and check it."""

from minigan import datasets
from minigan.datasets import locations
from minigan.datasets.checks import known_name
from minigan.datasets.toy import SIZES
from minigan.tools import cli


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
    lines = [f"{'name':15}{'train':>7}{'test':>7}  {'each':9}{'MiB':>5}  where"]
    for known in datasets.KNOWN.values():
        lines.append(_line(known.name, known.counts, known.sample_shape, _mib(known), _place(known)))
    lines += [_line(name, SIZES, (2,), "", "drawn when asked for") for name in datasets.toy.NAMES]
    lines.append("\nYour own: --dataset FOLDER, or FILE.npz, .npy or .csv; every tenth picture is for testing.")
    return "\n".join(lines)


def _line(name, counts, shape, mib, where):
    return f"{name:15}{counts['train']:>7}{counts['test']:>7}  {'x'.join(map(str, shape)):9}{mib:>5}  {where}"


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
