"""What the data sets that have a name share: found on disk, or fetched."""

from dataclasses import dataclass
from typing import ClassVar

from minigan.base.errors import InputError, RunError
from minigan.datasets import locations


@dataclass(frozen=True)
class Download:
    """A file to be fetched: its name, its address, and the md5 and the number of bytes that were published."""

    file: str
    address: str
    md5: str
    size: int


class Known:
    """A data set with a name. A subclass says where its files lie and how they are read.

    name; sample_shape (H, W, C); counts: pictures of each split; classes: how many labels;
    downloads: the files to fetch, as Download.
    """

    name = ""
    sample_shape = ()
    counts: ClassVar = {}
    classes = 10
    downloads = ()

    def found(self, split):
        """The path of each file that holds the split (tuple), or None where one is missing."""
        raise NotImplementedError

    def read(self, paths, split):
        """-> images (N, H, W, C) uint8, labels (N,) int64, checked against the published checksums."""
        raise NotImplementedError

    def load(self, split):
        """The split, fetched first where it is not on disk."""
        if self.found(split) is None:
            self.fetch()
        return self.read(self.found(split), split)

    def fetch(self, quiet=False):
        """Fetch the files that are not on disk; RunError, one sentence, says which to put where if that fails."""
        from minigan.datasets.fetch import fetch

        folder = locations.cache(self.name)
        missing = [download for download in self.downloads if not self.has(download)]
        for download in missing:
            try:
                fetch(download, folder, quiet)
            except RunError as error:
                files = ", ".join(one.file for one in missing if not (folder / one.file).exists())
                origin = download.address.rpartition("/")[0]
                raise RunError(
                    f"{self.name} is not on this machine and {download.file} could not be fetched ({error}); try again "
                    f"with a network, or get {files} from {origin}/ and put that into {folder}."
                ) from None

    def has(self, download):
        """Whether what this download would bring is on disk."""
        return locations.find(self.name, download.file, download.file.removesuffix(".gz")) is not None

    def remedy(self, path):
        """What to do about a damaged file."""
        return f"delete {path.name} there and run `python -m minigan.datasets {self.name}` to fetch it again"

    def bad(self, path, wrong, expected):
        """The error that a file is not what was published."""
        return InputError(f"{path}: {wrong}, expected {expected}; {self.remedy(path)}")
