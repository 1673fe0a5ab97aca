"""What fuzz.py feeds: for each format good seeds, ways of spoiling them, and the code that has to bear it.

FORMATS: name -> (make(rng, folder) -> arguments, use(*arguments), whether `folder` is to begin as a copy of the seeds).
`prepare` writes the seeds, and runs everything once, so that nothing is compiled or imported in a child process.
"""

import gzip
import hashlib
import io
import json
import shutil
import struct
import tarfile
import zlib
from pathlib import Path

import fuzz_commands
import numpy as np
from fuzz_bytes import (
    CANARY,
    ZEROS,
    bomb_gzip,
    bomb_npz,
    choose,
    make_arrays,
    make_gzip,
    make_idx,
    make_table,
    npy_bytes,
    npz_bytes,
    spoil,
    written,
)
from fuzz_commands import Begun
from PIL import Image

from minigan import datasets
from minigan.base import checkpoint, pictures
from minigan.datasets import cifar, locations
from minigan.datasets.idx import read_idx
from minigan.gan import build_gan
from minigan.gan.run import Run, load_gan
from minigan.image_to_image.enhancement import EnhancementTask, Enhancer
from minigan.metrics.judge import Classifier

LINES = "generator.params.0.weight", "about", "sums", "step", "rng", "images", "labels"


# ---- checkpoints: of a GAN, of a classifier, of an enhancer

READERS = {
    "toy.npz": load_gan,
    "cgan.npz": load_gan,
    "classifier.npz": Classifier.load,
    "enhancer.npz": Enhancer.load,
}


def make_checkpoint(rng, folder):
    name = choose(rng, list(READERS))
    source = SEEDS / name
    kind = rng.random()
    if kind < 0.35:
        content = spoil(rng, source.read_bytes(), source.read_bytes())
    elif kind < 0.65:  # entries that were changed, and whose checksums do not know
        with np.load(source, allow_pickle=False) as archive:
            entries = {key: archive[key] for key in archive.files}
        changed = choose(rng, list(entries)) if rng.random() < 0.7 else choose(rng, LINES)
        raw = {}
        for key, value in entries.items():
            stream = io.BytesIO()
            np.save(stream, value)
            raw[key] = stream.getvalue()
        raw[changed] = npy_bytes(rng, entries.get(changed, np.zeros(3)))
        content = npz_bytes(rng, raw)
    else:  # well-formed in every way, and what it says is nonsense
        arrays, about = checkpoint.load(source)
        for _ in range(int(rng.integers(1, 3))):
            if rng.random() < 0.7:
                about = nonsense(rng, about)
            else:
                arrays = {**arrays, choose(rng, [*arrays, "more"]): odd_array(rng)}
        about = {key: value for key, value in about.items() if key != "format"} if isinstance(about, dict) else {}
        checkpoint.save(folder / "a.npz", arrays, about)
        content = (folder / "a.npz").read_bytes()
    return READERS[name], written(folder, "a.npz", content)


def use_checkpoint(read, path):
    """What can be loaded has to work, too."""
    loaded = read(path)
    with np.errstate(all="ignore"):
        if isinstance(loaded, Classifier):
            loaded.predict(np.zeros((2, *loaded.sample_shape), np.uint8))
        elif isinstance(loaded, Enhancer):
            loaded.apply(np.zeros((1, 8, 8, loaded.channels), np.uint8))
        else:
            loaded[0].sample(3, np.random.default_rng(0))


def odd_array(rng):
    texts = ["", "{", "null", '{"bit_generator": "PCG64"}', "[" * 5000]
    return choose(
        rng, [np.zeros(0), np.array(-1), np.array(np.nan), np.array(1e300), np.zeros((2, 3)), *map(np.array, texts)]
    )


VALUES = [None, True, -1, 0, 1, 2.5, 1e300, -1e300, 10**9, 10**30, "", "x", "ring", "toy", "dcgan", "biggan", [], {}]
VALUES += [
    10**6,
    [1, 2],
    [0],
    [-1, 2, 3],
    [10**6, 10**6, 3],
    [5, 5, 1],
    ["a"],
    {"a": 1},
    [[[[]]]],
    "é\ud800\n",
    "labels",
]


def nonsense(rng, value):
    """Anything that JSON holds, with one value in it replaced, removed or added."""
    if isinstance(value, dict) and value and rng.random() < 0.95:
        key = choose(rng, list(value))
        if rng.random() < 0.1:
            return {**value, choose(rng, ("x", "preset", "__class__", "")): choose(rng, VALUES)}
        if rng.random() < 0.1:
            return {other: one for other, one in value.items() if other != key}
        return {**value, key: nonsense(rng, value[key])}
    if isinstance(value, list) and value and rng.random() < 0.5:
        at = int(rng.integers(len(value)))
        return [*value[:at], nonsense(rng, value[at]), *value[at + 1 :]]
    return choose(rng, VALUES)


# ---- CIFAR-10's own binary files, small ones


def make_cifar(rng, folder):
    files = {file: cifar_file(file) for split in cifar.CIFAR10.md5.values() for file in split}
    changed = choose(rng, list(files))
    if rng.random() < 0.3:
        files[changed] = spoil(rng, files[changed], files[changed])
    if rng.random() < 0.3:
        for file, content in files.items():
            written(folder, f"cifar10/{cifar.FOLDER}/{file}", content)
        return (choose(rng, datasets.SPLITS),)
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for file, content in files.items():
            member = tarfile.TarInfo(f"{cifar.FOLDER}/{file}")
            member.size = len(content)
            if file == changed and rng.random() < 0.3:
                member.name = choose(rng, ("../../x", "/etc/x", member.name, "a" * 150))
                member.type = choose(rng, (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE))
                member.linkname = "../../../etc/passwd"
            archive.addfile(member, io.BytesIO(content))
    content = stream.getvalue()
    if rng.random() < 0.3:
        content = spoil(rng, content, content)
    if rng.random() < 0.02:
        content = bomb_gzip()
    elif rng.random() < 0.7:
        content = gzip.compress(content, 1)
    if rng.random() < 0.4:
        content = spoil(rng, content, content)
    written(folder, f"cifar10/{cifar.ARCHIVE}", content)
    return (choose(rng, datasets.SPLITS),)


def use_cifar(split):
    locations.DATA_DIR, locations.cache = Path.cwd(), lambda name: Path.cwd() / name
    if (paths := cifar.CIFAR10.found(split)) is None:  # it would be fetched
        raise Begun
    cifar.CIFAR10.read(paths, split)


def cifar_file(name):
    return np.random.default_rng(list(name.encode())).integers(0, 10, 3 * cifar.RECORD, np.uint8).tobytes()


# ---- pictures


def picture_bytes(rng, kind):
    modes = {"PNG": ("RGB", "L", "RGBA", "P", "1", "I;16", "LA"), "TIFF": ("RGB", "L", "I;16"), "GIF": ("P", "L")}
    mode = choose(rng, modes.get(kind, ("RGB", "L", "CMYK") if kind == "JPEG" else ("RGB",)))
    h, w = (int(n) for n in rng.integers(1, 24, 2))
    image = Image.fromarray(rng.integers(0, 256, (h, w, 3), np.uint8)).convert("L" if mode == "I;16" else mode)
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image).astype(np.uint16))
    stream, exif = io.BytesIO(), b"Exif\0\0MM\0*" + rng.bytes(30) if rng.random() < 0.1 else b""
    image.save(stream, kind, **({"exif": exif} if exif and kind in ("PNG", "JPEG") else {}))
    return stream.getvalue()


def png_bytes(rng):
    """A PNG made chunk by chunk, its checksums right, its sizes not."""
    sides = (0, 1, 7, 20_000, 2**16, 2**31 - 1, 2**32 - 1)
    header = struct.pack(">IIBBBBB", choose(rng, sides), choose(rng, sides), choose(rng, (1, 8, 16)), 2, 0, 0, 0)
    data = BOMB if rng.random() < 0.05 else zlib.compress(rng.bytes(100))
    chunks = [(b"IHDR", header), (b"IDAT", data), (b"IEND", b"")]
    if rng.random() < 0.3:
        chunks.insert(1, (choose(rng, (b"zTXt", b"iCCP")), b"a\0\0" + (BOMB if rng.random() < 0.2 else data)))
    body = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


def make_pictures(rng, folder):
    for i in range(int(rng.integers(1, 4))):
        content = picture_bytes(rng, kind := choose(rng, ("PNG", "JPEG", "TIFF", "GIF", "BMP", "WEBP")))
        if rng.random() < 0.2:
            content = png_bytes(rng)
        elif rng.random() < 0.7:
            content = spoil(rng, content, picture_bytes(rng, kind))
        else:
            content = choose(
                rng, [content] * 8 + [EPS, b"", b"GIF89a", b"BM" + rng.bytes(60), b"II*\0" + rng.bytes(90)]
            )
        place = choose(rng, ("", "", "", "sub/", ".hidden/"))
        written(folder, f"pictures/{place}{i}{choose(rng, ('.png', '.jpg', '', '.eps', '.txt'))}", content)
    return folder / "pictures", bool(rng.integers(2))


def use_pictures(folder, as_dataset):
    if as_dataset:
        datasets.load(folder, image_size=8)
    for path in () if as_dataset else sorted(path for path in folder.rglob("*") if path.is_file()):
        pictures.read(path, 3)


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n"
EPS += f"({CANARY}) (w) file closefile\nshowpage\n%%EOF\n".encode()
BOMB = zlib.compress(bytes(ZEROS), 9)


# ---- config.json


def make_config(rng, folder):
    values = json.loads((SEEDS / "run" / "config.json").read_text())
    for _ in range(int(rng.integers(1, 4))):
        values = nonsense(rng, values)
    text = json.dumps(values).encode() if rng.random() < 0.7 else (SEEDS / "run" / "config.json").read_bytes()
    if rng.random() < 0.4:
        text = spoil(rng, text, text)
    if rng.random() < 0.05:
        text = choose(
            rng, (b'{"lr": ' + b"9" * 5000 + b"}", b'{"lr": 1e999}', b"\xff\xfe{}", b"NaN", b"", b"[" * 100_000)
        )
    written(folder, "config.json", text)
    return (folder,)


def use_config(folder):
    Run(folder).read_config()


# ---- all of them

SEEDS = Path()  # set by prepare
FORMATS = {
    "IDX": (make_idx, read_idx, False),
    "gzip": (make_gzip, read_idx, False),
    "npy, npz": (make_arrays, datasets.load, False),
    "CSV": (make_table, datasets.load, False),
    "checkpoint": (make_checkpoint, use_checkpoint, False),
    "CIFAR binary": (make_cifar, use_cifar, False),
    "pictures": (make_pictures, use_pictures, False),
    "config JSON": (make_config, use_config, False),
    "command line": (fuzz_commands.make, fuzz_commands.use, True),
}


def prepare(folder):
    """Write the seeds into `folder`, and let every reader read them once."""
    global SEEDS
    SEEDS = folder
    folder.mkdir(parents=True)
    CANARY.unlink(missing_ok=True)
    run = Run.create(folder / "run", "toy")
    run.start_log()
    conditional = {"condition": "labels", "clusters": 2, "shares": [0.1, 0.2, 0.3, 0.4]}
    for name, settings in {"cgan.npz": conditional, "toy.npz": {}}.items():
        gan = build_gan("toy", latent_dim=3, **settings)
        batches = datasets.BatchIterator(100, gan.config.batch_size, np.random.default_rng(0))
        run.write_config(gan.config)
        run.save(gan, batches, {"seconds": 1.0, "mean_d_fake": 0.5, "variety": None})
        shutil.copy(run.checkpoint_path, folder / name)
    Classifier((8, 8, 1)).save(folder / "classifier.npz", {})
    Enhancer(1, EnhancementTask(2)).save(folder / "enhancer.npz", {})
    for name, read in READERS.items():
        read(folder / name)
    cifar.RECORDS = 3
    cifar.Cifar10.md5 = {
        split: {file: hashlib.md5(cifar_file(file)).hexdigest() for file in files}
        for split, files in cifar.CIFAR10.md5.items()
    }
    bomb_npz(), bomb_gzip()
    fuzz_commands.prepare(folder)
