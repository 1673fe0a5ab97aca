"""CIFAR-10 (Krizhevsky 2009): 32 x 32 colour pictures of ten classes, read from its binary version.

A file holds 10,000 records: a byte for the label, then the red, the green and the blue plane of 32 x 32 bytes each. The
archive is read as it is, each file straight from it by name, nothing is unpacked onto the disk and no pickle is opened.
"""

import gzip
import hashlib
import os
import tarfile
import zlib
from typing import ClassVar

import numpy as np

from minigan.base.errors import InputError
from minigan.base.npy import GZIP_MAGIC
from minigan.datasets import locations
from minigan.datasets.downloads import Download, Known

SHAPE = (32, 32, 3)
RECORD = 1 + 32 * 32 * 3  # bytes
RECORDS = 10_000  # in a file
ARCHIVE = "cifar-10-binary.tar.gz"
FOLDER = "cifar-10-batches-bin"
LARGEST = 200 << 20  # bytes of the uncompressed archive; the published one has 185 million


class Cifar10(Known):
    """md5: split -> {file: its md5}."""

    name = "cifar10"
    sample_shape = SHAPE
    counts: ClassVar = {"train": 5 * RECORDS, "test": RECORDS}
    address = f"https://www.cs.toronto.edu/~kriz/{ARCHIVE}"
    downloads = (Download(ARCHIVE, address, "c32a1d4ab5d03f1284b67883e8d87530", 170_052_171),)
    md5: ClassVar = {
        "train": {
            "data_batch_1.bin": "5dd7e06a14cb22eb9f671a540d1b7c25",
            "data_batch_2.bin": "5ea93a67294ea407fff1d09f752e9692",
            "data_batch_3.bin": "942cd6a4bcdd0dd3c604fbe906cb4421",
            "data_batch_4.bin": "ae636b3ba5c66a11e91e8cb52e771fcb",
            "data_batch_5.bin": "53f37980c15c3d472c316c40844f3f0d",
        },
        "test": {"test_batch.bin": "803d5f7f4d78ea53de84dbe85f74fb6d"},
    }

    def found(self, split):
        """The unpacked files, or else the archive that holds them all."""
        paths = tuple(locations.find(self.name, f"{FOLDER}/{file}", file) for file in self.md5[split])
        if None not in paths:
            return paths
        archive = locations.find(self.name, ARCHIVE, ARCHIVE.removesuffix(".gz"))
        return None if archive is None else (archive,)

    def has(self, download):
        return self.found("train") is not None and self.found("test") is not None

    def read(self, paths, split):
        files = self.md5[split]
        images = np.empty((len(files) * RECORDS, *SHAPE), np.uint8)
        labels = np.empty(len(images), np.int64)
        contents = self._archived(paths[0], files) if ".tar" in paths[0].suffixes else self._unpacked(paths, files)
        for file, path, content in contents:
            digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
            if digest != files[file]:
                raise self.bad(path, f"{file} has md5 {digest}", f"{files[file]} as published")
            records = np.frombuffer(content, np.uint8).reshape(RECORDS, RECORD)
            first = list(files).index(file) * RECORDS
            labels[first : first + RECORDS] = records[:, 0]
            planes = records[:, 1:].reshape(RECORDS, 3, 32, 32)
            images[first : first + RECORDS] = planes.transpose(0, 2, 3, 1)
        return images, labels

    def _unpacked(self, paths, files):
        """(file, path, bytes) of each, its size being right."""
        for file, path in zip(files, paths, strict=True):
            try:
                with open(path, "rb") as stream:
                    size = os.fstat(stream.fileno()).st_size
                    self._check_size(path, file, size)
                    yield file, path, stream.read(size)
            except OSError as error:
                raise self.bad(path, f"cannot be read ({error.strerror or error})", "a file of CIFAR-10") from None

    def _archived(self, path, files):
        """The same from the archive, in the order in which they lie there."""
        wanted = {f"{FOLDER}/{file}": file for file in files}
        try:
            with open(path, "rb") as raw:
                compressed = raw.read(2) == GZIP_MAGIC
                raw.seek(0)
                stream = _Bounded(gzip.GzipFile(fileobj=raw) if compressed else raw)
                with tarfile.open(fileobj=stream, mode="r|") as archive:
                    for member in archive:
                        file = wanted.pop(member.name.removeprefix("./"), None)
                        if file is None:
                            continue
                        if not member.isreg() or member.issparse():
                            raise self.bad(path, f"holds {file} as something else than a plain file", "a plain file")
                        self._check_size(path, file, member.size)
                        yield file, path, archive.extractfile(member).read()
                        if not wanted:
                            return
        except InputError:
            raise
        except (tarfile.TarError, EOFError, zlib.error, ValueError, OSError) as error:
            raise self.bad(path, f"is truncated, damaged or no archive ({error})", "CIFAR-10's archive") from None
        raise self.bad(path, f"lacks {', '.join(wanted.values())}", "all of CIFAR-10's files")

    def _check_size(self, path, file, size):
        if size != RECORDS * RECORD:
            raise self.bad(path, f"{file} has {size} bytes", f"{RECORDS * RECORD}: {RECORDS} records of {RECORD}")


class _Bounded:
    """A stream that gives at most LARGEST bytes: a small archive may expand to more than there is time for."""

    def __init__(self, stream):
        self.stream, self.left = stream, LARGEST

    def read(self, size):
        self.left -= size
        if self.left < 0:
            raise tarfile.ReadError(f"more than {LARGEST} bytes")
        return self.stream.read(size)


CIFAR10 = Cifar10()
