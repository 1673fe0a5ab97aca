"""The bundled MNIST is MNIST, the toy sets follow their formula, pixels survive the round trip, no image is lost."""

import gzip
import io
import json
from pathlib import Path

import numpy as np
import pytest

from minigan import datasets
from minigan.base.errors import InputError
from minigan.datasets import BatchIterator, load, sample_toy, to_float, to_uint8, toy_modes
from minigan.datasets.idx import idx_header

# published facts about MNIST
COUNTS = {
    "train": [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
    "test": [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009],
}
FIRST_LABELS = {"train": [5, 0, 4, 1, 9, 2, 1, 3, 1, 4], "test": [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]}
PIXEL_SUMS = {"train": 1_567_298_545, "test": 264_923_200}


def stream(n, batch_size, seed, batches):
    iterator = BatchIterator(n, batch_size, np.random.default_rng(seed))
    return np.concatenate([iterator.next_indices() for _ in range(batches)])


def through_npz(state):
    file = io.BytesIO()
    np.savez(file, **state)
    file.seek(0)
    return np.load(file, allow_pickle=False)


# ---- MNIST


@pytest.mark.parametrize("split", ["train", "test"])
def test_mnist_is_mnist(split):
    images, labels = load("mnist", split)
    assert (images.dtype, labels.dtype) == (np.uint8, np.int64)
    assert images.shape == (sum(COUNTS[split]), 28, 28, 1)
    assert np.bincount(labels).tolist() == COUNTS[split]
    assert labels[:10].tolist() == FIRST_LABELS[split]
    assert images.sum(dtype=np.int64) == PIXEL_SUMS[split]
    # digits are centred by their mass: a transposed or shifted reading would move it
    rows = images.sum(axis=(0, 2, 3), dtype=np.int64)
    assert np.average(np.arange(28), weights=rows) == pytest.approx(14, abs=0.2)
    # a one is taller than wide
    one = images[labels == 1].mean(axis=0)[:, :, 0]
    assert np.count_nonzero(one.max(axis=1) > 64) > 2 * np.count_nonzero(one.max(axis=0) > 64)


def test_mnist_arrays_are_fresh():
    images, labels = load("mnist", "test")
    images[:], labels[:] = 0, 0
    images, labels = load("mnist", "test")
    assert images.sum(dtype=np.int64) == PIXEL_SUMS["test"]
    assert labels[0] == 7


@pytest.fixture
def damage(tmp_path, monkeypatch):
    """Point the loader at a copy of the test split with one array replaced."""
    images, labels = load("mnist", "test")
    originals = {"images": images[..., 0], "labels": labels.astype(np.uint8)}
    monkeypatch.setattr(datasets.locations, "DATA_DIR", tmp_path)
    (tmp_path / "mnist").mkdir()

    def damage(**replaced):
        for file, array in zip(datasets.MNIST.files["test"], (originals | replaced).values(), strict=True):
            (tmp_path / "mnist" / file).write_bytes(gzip.compress(idx_header(array) + array.tobytes(), 1))
        return originals

    return damage


def test_other_compression_of_the_same_data_is_fine(damage):
    originals = damage()
    np.testing.assert_array_equal(load("mnist", "test")[0][..., 0], originals["images"])


@pytest.mark.parametrize(
    ("replace", "match"),
    [
        (lambda o: {"images": o["images"][:-1]}, "t10k-labels.* holds 10000 labels, expected 9999, one for each image"),
        (lambda o: {"images": o["images"][:, :27]}, r"t10k-images.* holds uint8 \(10000, 27, 28\), expected uint8"),
        (lambda o: {"images": o["images"].view(np.int8)}, "t10k-images.* holds int8"),
        (lambda o: {"labels": o["labels"][:, None]}, r"t10k-labels.* holds uint8 \(10000, 1\), expected uint8 \(N,\)"),
        (lambda o: {"labels": o["labels"] + np.uint8(1)}, "t10k-labels.* holds the label 10, expected digits 0 to 9"),
        (lambda o: {"labels": o["labels"][::-1]}, "t10k-labels.* has md5 .* expected 27ae3e4e09519cfbb04c329615203637"),
        (
            lambda o: {"images": o["images"] ^ (np.arange(28) == 0).astype(np.uint8)},
            "t10k-images.* has md5 .* expected 2646ac647ad5339dbf082846283269ea as published",
        ),
    ],
)
def test_damaged_mnist_is_refused_with_file_and_remedy(damage, replace, match):
    damage(**replace(damage()))
    with pytest.raises(InputError, match=match + ".*; get the file back with `git checkout -- data/mnist`"):
        load("mnist", "test")


def test_missing_and_truncated_mnist(damage, tmp_path):
    damage()
    labels = tmp_path / "mnist" / "t10k-labels-idx1-ubyte.gz"
    labels.write_bytes(labels.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"t10k-labels.*truncated.*git checkout"):
        load("mnist", "test")
    labels.unlink()
    with pytest.raises(InputError, match=r"t10k-labels.*there is no such file.*git checkout"):
        load("mnist", "test")


# ---- names


def test_every_name_that_needs_no_fetching_loads():
    assert datasets.names() == ["mnist", "fashion-mnist", "cifar10", "ring", "grid"]
    for name in ("mnist", "ring", "grid"):
        data, labels = load(name, "test")
        assert len(data) == len(labels) == 10_000


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("minst", 'unknown dataset "minst", expected one of mnist, fashion-mnist, .*, grid; did you mean "mnist"\\?'),
        ("MNIST", 'did you mean "mnist"\\?'),
        (Path("rings"), 'unknown dataset "rings".*did you mean "ring"\\?'),
        (
            "imagenet-21k",
            "expected one of .*; pass one of these, or .* \\(there is no folder imagenet-21k in /",
        ),
        (None, 'unknown dataset "None"'),
        (
            "pictures/of/cats",
            "there is no folder or file pictures/of/cats, seen from .*; put it back there, or",
        ),
    ],
)
def test_unknown_name(name, match):
    with pytest.raises(InputError, match=match):
        load(name)


@pytest.mark.parametrize("name", ["mnist", "ring"])
@pytest.mark.parametrize("split", ["valid", "Test", None, 0])
def test_unknown_split(name, split):
    with pytest.raises(InputError, match=f'unknown split "{split}", expected one of train, test'):
        load(name, split)


# ---- toy distributions


def test_ring_centres_are_equally_spaced_on_a_circle():
    centres, std = toy_modes("ring")
    assert (centres.shape, centres.dtype, std) == ((8, 2), np.float32, 0.02)
    np.testing.assert_allclose(np.hypot(*centres.T), 0.8, rtol=1e-6)
    gaps = np.linalg.norm(centres - np.roll(centres, 1, axis=0), axis=1)
    np.testing.assert_allclose(gaps, 2 * 0.8 * np.sin(np.pi / 8), rtol=1e-5)
    np.testing.assert_allclose(centres[2], [0, 0.8], atol=1e-7)


def test_grid_centres_are_the_25_points():
    centres, std = toy_modes("grid")
    assert (centres.shape, centres.dtype, std) == ((25, 2), np.float32, 0.02)
    line = (-0.8, -0.4, 0.0, 0.4, 0.8)
    np.testing.assert_array_equal(centres, np.array([(x, y) for x in line for y in line], np.float32))


@pytest.mark.parametrize("name", ["ring", "grid"])
@pytest.mark.parametrize(("split", "n"), [("train", 50_000), ("test", 10_000)])
def test_toy_points_follow_the_modes(name, split, n):
    points, labels = load(name, split)
    centres, std = toy_modes(name)
    assert (points.shape, points.dtype, labels.dtype) == ((n, 2), np.float32, np.int64)
    assert np.abs(points).max() < 1
    counts = np.bincount(labels, minlength=len(centres))
    expected = n / len(centres)
    # chi-square with K - 1 degrees of freedom: mean K - 1, standard deviation sqrt(2 (K - 1))
    chi_square = ((counts - expected) ** 2 / expected).sum()
    assert chi_square < len(centres) - 1 + 4 * np.sqrt(2 * (len(centres) - 1))
    for mode, centre in enumerate(centres):
        cloud = points[labels == mode]
        np.testing.assert_allclose(cloud.mean(axis=0), centre, atol=5 * std / np.sqrt(len(cloud)))
        np.testing.assert_allclose(cloud.std(axis=0), std, rtol=5 / np.sqrt(2 * len(cloud)))
    noise = (points - centres[labels]) / std
    assert abs(np.corrcoef(noise.T)[0, 1]) < 5 / np.sqrt(n)
    assert np.mean(np.linalg.norm(noise, axis=1) < 3) == pytest.approx(1 - np.exp(-4.5), abs=0.005)


def test_toy_sets_are_the_same_every_time_and_differ_between_splits():
    np.testing.assert_array_equal(load("ring")[0], load("ring", "train")[0])
    firsts = [tuple(load(name, split)[1][:40] % 8) for name in ("ring", "grid") for split in ("train", "test")]
    assert len(set(firsts)) == 4


def test_sample_toy_uses_only_the_given_generator():
    first = sample_toy("grid", 100, np.random.default_rng(1))
    np.random.seed(0)  # noqa: NPY002 - shows that the global generator has no say
    again = sample_toy("grid", 100, np.random.default_rng(1))
    other = sample_toy("grid", 100, np.random.default_rng(2))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert not np.array_equal(first[0], other[0])


def test_toy_arguments_are_checked():
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match='unknown toy distribution "mnist", expected one of ring, grid'):
        toy_modes("mnist")
    with pytest.raises(InputError, match='did you mean "grid"'):
        sample_toy("gird", 5, rng)
    with pytest.raises(InputError, match="n is 0, expected an integer of at least 1"):
        sample_toy("ring", 0, rng)
    with pytest.raises(InputError, match=r"rng is int, expected a numpy\.random\.Generator"):
        sample_toy("ring", 5, 0)


# ---- pixels


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_all_256_values_survive_the_round_trip(dtype):
    pixels = np.arange(256, dtype=np.uint8).reshape(4, 8, 8, 1)
    floats = to_float(pixels, dtype)
    assert floats.dtype == dtype
    assert (floats.min(), floats.max()) == (-1, 1)
    np.testing.assert_allclose(floats, pixels / 127.5 - 1, atol=np.finfo(dtype).eps)
    back = to_uint8(floats)
    assert back.dtype == np.uint8
    np.testing.assert_array_equal(back, pixels)
    np.testing.assert_array_equal(pixels.ravel(), np.arange(256))  # not mutated


def test_to_float_leaves_floats_alone():
    x = np.array([-1.0, 0.25, 1.0], np.float32)
    assert to_float(x) is x
    wide = to_float(x, np.float64)
    assert wide.dtype == np.float64
    np.testing.assert_array_equal(wide, x)


def test_to_uint8_rounds_to_the_nearest_and_clips():
    levels = np.array([0, 1, 127, 128, 254, 255])
    for shift in (-0.49, 0.49):
        np.testing.assert_array_equal(to_uint8((levels + shift) / 127.5 - 1), levels)
    x = np.array([-np.inf, -7, -1.001, 1.001, 3e38, np.inf], np.float32)
    before = x.copy()
    assert to_uint8(x).tolist() == [0, 0, 0, 255, 255, 255]
    np.testing.assert_array_equal(x, before)


def test_pixels_of_the_wrong_kind_are_refused():
    with pytest.raises(InputError, match="NaN pixels"):
        to_uint8(np.array([0.0, np.nan], np.float32))
    with pytest.raises(InputError, match="to_uint8 got int64 images"):
        to_uint8(np.array([3], np.int64))
    with pytest.raises(InputError, match="to_float got int64 images, expected uint8 or floats"):
        to_float(np.array([3], np.int64))
    with pytest.raises(InputError, match="to_float got dtype int32, expected a float type"):
        to_float(np.zeros(3, np.uint8), np.int32)


# ---- batches


@pytest.mark.parametrize(("n", "batch_size"), [(10, 3), (10, 10), (10, 1), (7, 20), (1, 4), (1000, 128)])
def test_each_epoch_is_a_fresh_permutation_across_the_straddle(n, batch_size):
    epochs = 6
    drawn = stream(n, batch_size, 5, -(-epochs * n // batch_size))
    by_epoch = drawn[: epochs * n].reshape(epochs, n)
    np.testing.assert_array_equal(np.sort(by_epoch, axis=1), np.tile(np.arange(n), (epochs, 1)))
    if n >= 7:
        assert len({tuple(order) for order in by_epoch}) == epochs
        assert not any(np.array_equal(order, np.arange(n)) for order in by_epoch)


def test_batches_are_full_and_epoch_counts_images():
    iterator = BatchIterator(10, 4, np.random.default_rng(0))
    assert iterator.epoch == 0
    for count in range(1, 8):
        batch = iterator.next_indices()
        assert (batch.shape, batch.dtype) == ((4,), np.int64)
        assert iterator.epoch == count * 4 / 10
        batch[:] = -1  # the caller's own copy: the permutations below stay intact
    assert stream(10, 4, 0, 8)[28:].tolist() == iterator.next_indices().tolist()


def test_seed_decides_the_order_and_the_batch_size_does_not():
    np.testing.assert_array_equal(stream(50, 7, 1, 30), stream(50, 7, 1, 30))
    np.testing.assert_array_equal(stream(50, 7, 1, 30), stream(50, 30, 1, 7))
    assert not np.array_equal(stream(50, 7, 1, 30), stream(50, 7, 2, 30))


@pytest.mark.parametrize("kind", ["PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"])
def test_resume_is_bit_identical_anywhere(kind):
    def generator(seed):
        return np.random.Generator(getattr(np.random, kind)(seed))

    positions = np.random.default_rng(3).integers(0, 60, 12)
    for position in [0, 5, *positions]:  # 5 batches of 8 are exactly one epoch of 40
        running = BatchIterator(40, 8, generator(1))
        for _ in range(position):
            running.next_indices()
        state = through_npz(running.state())
        resumed = BatchIterator(40, 8, generator(99))
        resumed.next_indices()
        resumed.restore(state)
        assert resumed.epoch == running.epoch
        for _ in range(25):
            np.testing.assert_array_equal(resumed.next_indices(), running.next_indices())


def test_state_is_a_snapshot():
    iterator = BatchIterator(30, 7, np.random.default_rng(4))
    iterator.next_indices()
    state = iterator.state()
    assert {key: (value.dtype.kind, value.shape) for key, value in state.items()} == {
        "n": ("i", ()),
        "order": ("i", (23,)),
        "drawn": ("i", ()),
        "rng": ("U", ()),
    }
    first = [iterator.next_indices().tolist() for _ in range(9)]
    iterator.restore(state)
    assert [iterator.next_indices().tolist() for _ in range(9)] == first


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda s: s.pop("order"), "cannot be read.*order"),
        (lambda s: s.pop("n"), "cannot be read.*'n'"),
        (lambda s: s.update(n=np.array(21)), "is for 21 images, expected 20"),
        (lambda s: s.update(drawn=np.array(9)), r"order \(12,\) after 9 images, expected int32 order \(11,\)"),
        (lambda s: s.update(drawn=np.array(-12)), "after -12 images"),
        (lambda s: s.update(drawn=np.array(8.0)), "cannot be read"),
        (lambda s: s.update(order=s["order"][:-1]), r"order \(11,\) after 8 images"),
        (lambda s: s.update(order=s["order"].astype(np.float64)), "has float64 order"),
        (lambda s: s["order"].__setitem__(0, s["order"][1]), "repeated or impossible indices"),
        (lambda s: s["order"].__setitem__(0, 20), "repeated or impossible indices, expected distinct ones in 0..19"),
        (lambda s: s["order"].__setitem__(0, -1), "repeated or impossible indices"),
        (lambda s: s.update(rng=np.array("{")), "unusable generator state"),
        (lambda s: s.update(rng=np.array("5")), "unusable generator state"),
        (lambda s: s.update(rng=np.array('{"bit_generator": "PCG64"}')), "unusable generator state"),
        (
            lambda s: s.update(rng=np.array(json.dumps(np.random.MT19937(0).state, default=np.ndarray.tolist))),
            "unusable generator state.*expected one of PCG64;",
        ),
    ],
)
def test_bad_state_is_refused_and_changes_nothing(change, match):
    donor = BatchIterator(20, 4, np.random.default_rng(1))
    donor.next_indices()
    donor.next_indices()
    state = donor.state()
    change(state)
    iterator, twin = (BatchIterator(20, 4, np.random.default_rng(2)) for _ in range(2))
    with pytest.raises(InputError, match=match):
        iterator.restore(state)
    for _ in range(12):
        np.testing.assert_array_equal(iterator.next_indices(), twin.next_indices())


@pytest.mark.parametrize("value", [0, -1, 2.0, "3", None, True])
def test_sizes_must_be_positive_integers(value):
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match=f"^n is {value!r}, expected an integer of at least 1"):
        BatchIterator(value, 2, rng)
    with pytest.raises(InputError, match=f"^batch_size is {value!r}, expected an integer of at least 1"):
        BatchIterator(2, value, rng)


def test_other_iterator_arguments():
    assert BatchIterator(np.int32(3), np.uint8(2), np.random.default_rng(0)).next_indices().shape == (2,)
    with pytest.raises(InputError, match=r"rng is RandomState, expected a numpy\.random\.Generator"):
        BatchIterator(2, 2, np.random.RandomState(0))
    with pytest.raises(InputError, match="n is 2147483648, expected at most 2147483647"):
        BatchIterator(2**31, 2, np.random.default_rng(0))
