"""Walks between the z of a generator, and arithmetic with what they mean (Radford et al. 2016, section 6.3.2):
G(z̄_7 - z̄_1 + z̄_2), say.

z̄_d is the mean of the z of several samples that show a d. The paper's authors chose the samples by eye, three of each;
here the judge chooses them, those it is sure of. What the sum of the means shows is for the judge to say, too.
"""

import re

import numpy as np

from minigan import datasets
from minigan.base.errors import InputError
from minigan.base.files import save_array
from minigan.metrics.evaluation import SURE
from minigan.metrics.judge import shipped_judge
from minigan.tools import plotting

COLUMNS = 10  # samples of a walk
EXAMPLES = 50  # whose z are averaged; with the paper's three the sum often changes with the seed
DRAWN = 500  # samples at a time in which to find them
MOST_DRAWN = 20_000
NEARBY = 8  # samples around the sum, which with it make a square
NOISE = 0.25  # of them: uniform within plus or minus this, as in the paper
KNOWN = "mnist"  # what the judge has learned


def interpolate(z_from, z_to, count):
    """`count` points from z_from to z_to (Z,), both included, along the great circle: sin((1-t)φ)/sin φ · z_from +
    sin(tφ)/sin φ · z_to with φ the angle between them (White 2016), which keeps the length typical of N(0, I).
    """
    cosine = np.dot(z_from, z_to) / (np.linalg.norm(z_from) * np.linalg.norm(z_to))
    angle = np.arccos(np.clip(cosine, -1, 1))
    t = np.linspace(0, 1, count)[:, None]
    if np.sin(angle) < 1e-6:  # the two point the same way: the straight line
        return ((1 - t) * z_from + t * z_to).astype(z_from.dtype)
    walk = (np.sin((1 - t) * angle) * z_from + np.sin(t * angle) * z_to) / np.sin(angle)
    return walk.astype(z_from.dtype)


def walks(gan, rows, rng, labels=None, truncation=None):
    """COLUMNS samples a row, from one z to another; the condition stays the same along a row.

    labels: that of each row (rows,), where the networks were trained with labels.
    """
    ends = gan.draw_z(2 * rows, rng, truncation)
    z = np.concatenate([interpolate(ends[2 * row], ends[2 * row + 1], COLUMNS) for row in range(rows)])
    conditions = gan.conditions.draw(rows, rng, labels)
    return gan.decode(z, None if conditions is None else np.repeat(conditions, COLUMNS))


def parse_terms(text):
    """ "7-1+2" -> [(1, 7), (-1, 1), (1, 2)]; InputError for anything but digits with signs between."""
    if not re.fullmatch(r"\s*\d(\s*[-+]\s*\d)+\s*", text):
        raise InputError(f"--arithmetic is {text!r}, expected digits with + or - between, such as 7-1+2.")
    return [(-1 if sign == "-" else 1, int(digit)) for sign, digit in re.findall(r"([-+]?)\s*(\d)", text)]


def mean_codes(gan, digits, rng, judge):
    """{digit: z̄ (Z,)}, the mean z of the first EXAMPLES samples in which the judge is sure of that digit.

    InputError where MOST_DRAWN samples hold too few of one.
    """
    found = {digit: [] for digit in digits}
    for _ in range(MOST_DRAWN // DRAWN):
        z = gan.draw_z(DRAWN, rng)
        _, probabilities = judge.predict(datasets.to_uint8(gan.decode(z)))
        sure, seen = probabilities.max(axis=1) > SURE, probabilities.argmax(axis=1)
        for digit, codes in found.items():
            codes.extend(z[sure & (seen == digit)])
        if all(len(codes) >= EXAMPLES for codes in found.values()):
            return {digit: np.mean(codes[:EXAMPLES], axis=0) for digit, codes in found.items()}
    digit, codes = min(found.items(), key=lambda item: len(item[1]))
    raise InputError(
        f"among {MOST_DRAWN} samples of this generator the judge is sure of a {digit} in {len(codes)}, expected at "
        f"least {EXAMPLES}; train it for longer or take another digit."
    )


def calculate(gan, terms, rng):
    """-> pictures (terms + 1 + NEARBY, H, W, C) in [-1, 1]: G(z̄) of each term, of the sum, and around it; and what the
    judge sees in each, (digit, its probability).

    InputError for a generator that more than z decides on, or that was trained on something else than the judge.
    """
    judge = shipped_judge()
    if gan.config.dataset != KNOWN or gan.sample_shape != judge.sample_shape:
        raise InputError(
            f"--arithmetic needs a generator of {KNOWN}, whose digits the judge in data/ knows; this one was trained "
            f"on {gan.config.dataset} with samples of {gan.sample_shape}."
        )
    if gan.conditions.count:
        raise InputError(
            f"--arithmetic needs a generator that z alone decides on, but this one is conditional on "
            f"{gan.conditions.kind}; train one with --condition none, such as --preset dcgan."
        )
    codes = mean_codes(gan, {digit for _, digit in terms}, rng, judge)
    total = sum(sign * codes[digit] for sign, digit in terms)
    around = total + rng.uniform(-NOISE, NOISE, (NEARBY, len(total))).astype(total.dtype)
    pictures = gan.decode(np.stack([*(codes[digit] for _, digit in terms), total, *around]))
    _, probabilities = judge.predict(datasets.to_uint8(pictures))
    return pictures, list(zip(probabilities.argmax(axis=1).tolist(), probabilities.max(axis=1).tolist(), strict=True))


def draw_sum(gan, terms, rng, out):
    """The picture of a sum of digits in `out`, and what the judge sees in each of its parts, printed.

    -> as calculate's second.
    """
    pictures, seen = calculate(gan, terms, rng)
    names = [f"{'-' if sign < 0 else '+'} {digit}" for sign, digit in terms]
    names[0] = names[0].removeprefix("+ ")
    captions = [f"{name}\nseen as {digit}, {sure:.0%}" for name, (digit, sure) in zip(names, seen, strict=False)]
    digit, sure = seen[len(terms)]
    captions.append(f"= (in the middle)\nseen as {digit}, {sure:.0%}")
    if out.suffix == ".npy":
        save_array(out, pictures)
    else:
        middle = (NEARBY + 1) // 2
        around = np.insert(pictures[len(terms) + 1 :], middle, pictures[len(terms)], axis=0)
        plotting.save_row(out, [*pictures[: len(terms), None], around], captions)
    print("\n".join(caption.replace("\n", ": ") for caption in captions))
    print(f"around it: {', '.join(str(digit) for digit, _ in seen[len(terms) + 1 :])}")
    print(f"{len(pictures)} samples in {out}")
    return seen
