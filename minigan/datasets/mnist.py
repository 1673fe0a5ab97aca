"""MNIST and Fashion-MNIST: 28 x 28 grey pictures of ten classes in IDX files.

A file is verified by the md5 of its uncompressed content, which is the same however it was compressed: Debian's
Fashion-MNIST, for one, is not compressed as upstream's is.
"""

import hashlib
from typing import ClassVar

import numpy as np

from minigan.datasets import locations
from minigan.datasets.downloads import Download, Known
from minigan.datasets.idx import idx_header, read_idx

_ZALANDO = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"


class Mnist(Known):
    """Four IDX files, named as MNIST's are. md5: split -> that of the images and of the labels, uncompressed."""

    sample_shape = (28, 28, 1)
    counts: ClassVar = {"train": 60_000, "test": 10_000}
    files: ClassVar = {
        "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
        "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
    }

    def __init__(self, name, md5, downloads=()):
        self.name, self.md5, self.downloads = name, md5, downloads

    def found(self, split):
        if not self.downloads:  # they come with the project, so one that is missing there is the error to report
            return tuple(locations.DATA_DIR / self.name / file for file in self.files[split])
        paths = tuple(locations.find(self.name, file, file.removesuffix(".gz")) for file in self.files[split])
        return None if None in paths else paths

    def remedy(self, path):
        if self.downloads:
            return super().remedy(path)
        if locations.DATA_DIR.parent == locations.PACKAGE:
            return "install minigan again, which brings the file back"
        return f"get the file back with `git checkout -- data/{self.name}` in a clone of the project"

    def read(self, paths, split):
        images, labels = (read_idx(path, self.remedy(path)) for path in paths)
        # before the checksums, because they say more about what happened
        if images.dtype != np.uint8 or images.shape[1:] != (28, 28):
            raise self.bad(paths[0], f"holds {images.dtype} {images.shape}", "uint8 (N, 28, 28)")
        if labels.dtype != np.uint8 or labels.ndim != 1:
            raise self.bad(paths[1], f"holds {labels.dtype} {labels.shape}", "uint8 (N,)")
        if len(images) != len(labels):
            raise self.bad(paths[1], f"holds {len(labels)} labels", f"{len(images)}, one for each image")
        if labels.max() > 9:
            raise self.bad(paths[1], f"holds the label {labels.max()}", "digits 0 to 9")
        for path, array, expected in zip(paths, (images, labels), self.md5[split], strict=True):
            digest = hashlib.md5(idx_header(array), usedforsecurity=False)
            digest.update(array)
            if digest.hexdigest() != expected:
                raise self.bad(path, f"has md5 {digest.hexdigest()} uncompressed", f"{expected} as published")
        return images[..., np.newaxis], labels.astype(np.int64)


MNIST = Mnist(
    "mnist",
    {
        "train": ("6bbc9ace898e44ae57da46a324031adb", "a25bea736e30d166cdddb491f175f624"),
        "test": ("2646ac647ad5339dbf082846283269ea", "27ae3e4e09519cfbb04c329615203637"),
    },
)
FASHION = Mnist(
    "fashion-mnist",
    {
        "train": ("f4a8712d7a061bf5bd6d2ca38dc4d50a", "9018921c3c673c538a1fc5bad174d6f9"),
        "test": ("8181f5470baa50b63fa0f6fddb340f0a", "15d484375f8d13e6eb1aabb0c3f46965"),
    },
    tuple(
        Download(file, f"{_ZALANDO}/{file}", md5, size)
        for file, md5, size in (
            ("train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d", 26_421_880),
            ("train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe", 29_515),
            ("t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79", 4_422_102),
            ("t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310", 5_148),
        )
    ),
)
