"""Looking into a trained GAN: where D(x) comes from, what D's filters answer to, and what lies between two z.

Everything here goes through the networks' own forward and backward passes, as they are in use (training=False), and
leaves their weights and gradients alone. x stands for samples as D judges them, see Preset.to_discriminator.
"""

import itertools
from contextlib import contextmanager

import numpy as np

from minigan import datasets
from minigan.gan.latent_space import COLUMNS, walks
from minigan.kernels.parallel import threads
from minigan.metrics import image_metrics

CHUNK = 250  # pictures in one pass
MOST_FILTERS = 64  # of a layer
PATCHES = 5  # pictures that excite a filter most
ASCENT_STEPS, ASCENT_RATE = 40, 0.1
NOTHING = 1e-4  # of the largest entry of a gradient
STEP = 0.01  # root mean square of a step along the gradient
MEASURED_WALKS = 100
MIDDLE = slice(COLUMNS // 2 - 2, COLUMNS // 2 + 2)  # of a walk


# ---- what D says of a sample, and why


def encoded(gan, images):
    """Pictures (N, H, W, C) or points as D judges them, each by itself: cogan's pairs are of one picture."""
    x = datasets.to_float(images, gan.dtype)
    return np.concatenate([gan.preset.to_discriminator(x[i : i + 1]) for i in range(len(x))])


def discriminator_logit(gan, x, conditions=None):
    """D's logit of each sample (N,), the sum of several where D gives several; conditions (N,) if D is conditional."""
    with threads.one_blas_thread:
        return gan.discriminator.forward(x, conditions, training=False).reshape(len(x), -1).sum(axis=1)


def saliency(gan, x, conditions=None):
    """-> D's logit of each sample (N,), and its gradient by x: how to change each number for D to be surer.

    The gradients of D's parameters are left as they are.
    """
    with threads.one_blas_thread:
        logits = gan.discriminator.forward(x, conditions, training=False)
        grad = gan.discriminator.backward(np.ones_like(logits), need_param_grads=False)
    return logits.reshape(len(x), -1).sum(axis=1), grad


def likeliest(gan, x, labels=None):
    """For each of x the condition under which D takes it most for real (N,), among those of its label if there are
    labels (N,); None where D is unconditional."""
    known = gan.conditions
    if not known.count:
        return None
    D, everything, out, logits = gan.discriminator, np.arange(known.count), None, []
    for condition in everything:
        conditions = np.full(len(x), condition)
        if out is None or D.channels(known.count):  # else the network does not see the condition
            out = D.network.forward(D.see(x, conditions), training=False)
        logits.append(D.logits(out, conditions).reshape(len(x), -1).sum(axis=1))
    logits = np.stack(logits, axis=1)
    if labels is not None and known.classes:
        logits[known.labels(everything) != np.asarray(labels)[:, None]] = -np.inf
    return logits.argmax(axis=1)


def steps_along(gan, x, conditions, rng):
    """How far the mean logit rises when each sample moves by STEP, root mean square, up its gradient, beside a random
    direction of the same length. -> metrics, name -> float."""
    logits, grad = saliency(gan, x, conditions)
    random = rng.standard_normal(grad.shape, dtype=gan.dtype)

    def rise(direction):
        lengths = np.sqrt(np.square(direction).mean(axis=tuple(range(1, x.ndim)), keepdims=True))
        moved = x + gan.dtype.type(STEP) * direction / np.maximum(lengths, np.finfo(gan.dtype).tiny)
        return float((discriminator_logit(gan, moved, conditions) - logits).mean(dtype=np.float64))

    return {
        "logit": float(logits.mean(dtype=np.float64)),
        "gradient_length": float(np.sqrt(np.square(grad).reshape(len(x), -1).sum(axis=1)).mean(dtype=np.float64)),
        "rise_along_the_gradient": rise(grad),
        "rise_along_a_random_direction": rise(random),
    }


# ---- what D's filters answer to


class Hook:
    """Reads what one layer of a network puts out, and may replace its gradient: see `hooks`.

    output: what the layer put out last, None before. order: how many layers had put something out until then. override:
    what takes the place of ∂L/∂out in its next backward pass, if anything.
    """

    output, order, override = None, None, None


@contextmanager
def hooks(layers):
    """`with hooks(layers) as attached:` gives a Hook for each of these layers while the block runs.

    What a layer puts out depends on the network's input x alone, wherever in the network it is. With a backward pass
    of zeros from the network's end, and `override` in the place of what reaches the layer, its gradient by x comes out
    at the beginning.
    """
    attached, calls = [Hook() for _ in layers], itertools.count()
    for layer, hook in zip(layers, attached, strict=True):
        _attach(layer, hook, calls)
    try:
        yield attached
    finally:
        for layer in layers:
            del layer._forward, layer._backward  # those of the object; its class's are back


def _attach(layer, hook, calls):
    forward, backward = layer._forward, layer._backward

    def forward_hook(*arguments, **options):
        out, cache = forward(*arguments, **options)
        hook.output, hook.order = out, next(calls)
        return out, cache

    def backward_hook(grad_output, cache, need):
        return backward(grad_output if hook.override is None else hook.override, cache, need)

    layer._forward, layer._backward = forward_hook, backward_hook


def first_filters(gan, x, count=2):
    """The first `count` layers of D with filters, in the order in which D comes to them with samples x: convolutions,
    or dense layers where there are none. Those that see the samples in another number are left out."""
    layers = [layer for layer in _inner(gan.discriminator) if "weight" in layer.params]
    with hooks(layers) as attached:
        discriminator_logit(gan, x, gan.conditions.draw(len(x), np.random.default_rng(0)))
    seen = [i for i, hook in enumerate(attached) if hook.output is not None and len(hook.output) == len(x)]
    order = [layers[i] for i in sorted(seen, key=lambda i: attached[i].order)]
    convolutions = [layer for layer in order if layer.params["weight"].ndim == 4]
    return (convolutions or order)[:count]


def _inner(network):
    """The layers within a network that hold no others, in their order."""
    layers = getattr(network, "layers", None) or list(getattr(network, "children", {}).values())
    return [inner for layer in layers for inner in _inner(layer)] if layers else [network]


class Filters:
    """The filters of one layer of D: the places in pictures that excite each most.

    x: samples (N, H, W, C) as D sees them, conditions (N,) if D is conditional. Of a layer with more than MOST_FILTERS
    those are kept whose answers vary most from sample to sample. chosen: their numbers (F,). answers (N, F): the
    largest of each to each sample. mean, deviation (F,): of all answers. patch: height and width of what a filter sees.
    """

    def __init__(self, gan, layer, x, conditions):
        self.gan, self.layer, self.x, self.conditions = gan, layer, x, conditions
        answers, places, sums = [], [], []
        with hooks([layer]) as (hook,):
            for first in range(0, len(x), CHUNK):
                some = None if conditions is None else conditions[first : first + CHUNK]
                discriminator_logit(gan, x[first : first + CHUNK], some)
                output = hook.output.reshape(len(hook.output), -1, hook.output.shape[-1])
                places.append(output.argmax(axis=1))
                answers.append(output.max(axis=1))
                sums.append([output.sum(axis=(0, 1), dtype=np.float64), np.square(output).sum(axis=(0, 1))])
            self.size = hook.output.shape[1:-1] or (1, 1)
        answers, places = np.concatenate(answers), np.concatenate(places)
        self.count = answers.shape[1]
        self.chosen = np.sort(np.argsort(-answers.std(axis=0), kind="stable")[:MOST_FILTERS])
        self.answers, self.places = answers[:, self.chosen], places[:, self.chosen]
        total, squares = np.sum(sums, axis=0)[:, self.chosen] / (len(x) * self.size[0] * self.size[1])
        self.mean, self.deviation = total, np.sqrt(np.maximum(squares - total**2, 0))
        self.best = np.argsort(-self.answers, axis=0, kind="stable")[:PATCHES].T  # (F, PATCHES) samples
        self._find_patch()

    def gradients(self, x, conditions, filters, places):
        """-> the answer of filter filters[i] at place places[i] to x[i] (M,), and its gradient by x."""
        gan = self.gan
        with hooks([self.layer]) as (hook,):
            logits = gan.discriminator.forward(x, conditions, training=False)
            output = hook.output.reshape(len(x), -1, self.count)
            where = np.arange(len(x)), places, filters
            override = np.zeros_like(output)
            override[where] = 1
            hook.override = override.reshape(hook.output.shape)
            grad = gan.discriminator.backward(np.zeros_like(logits), need_param_grads=False)
        return output[where].copy(), grad

    def _find_patch(self):
        """What a filter sees, from which numbers of x its answers at two places in the middle depend on."""
        middle = np.array(self.size) // 2
        box, before = self._box(middle), self._box(np.maximum(middle - 1, 0))
        self.patch, self.stride = tuple((box[1] - box[0]).tolist()), box[0] - before[0]
        self.origin = box[0] - middle * self.stride

    def _box(self, place):
        """(first row and column, last ones + 1) of the numbers that any filter's answer at this place depends on."""
        filters, samples = self.chosen, self.best[:, 0]
        conditions = None if self.conditions is None else self.conditions[samples]
        places = np.full(len(filters), place[0] * self.size[1] + place[1])
        _, grad = self.gradients(self.x[samples], conditions, filters, places)
        size = np.abs(grad)  # not compared with 0, since fast convolutions leave traces of rounding beside the patch
        rows, columns = np.nonzero((size > NOTHING * size.max(axis=(1, 2, 3), keepdims=True)).any(axis=(0, 3)))
        if not len(rows):
            return np.array([[0, 0], [1, 1]])
        return np.array([[rows.min(), columns.min()], [rows.max() + 1, columns.max() + 1]])

    def ascend(self):
        """Gradient ascent on the input: from the sample that excites each filter most, ASCENT_STEPS steps uphill within
        [-1, 1], each as long as its largest entry. -> samples like x (F, …), and their answers (F,)."""
        samples = self.best[:, 0]
        x = self.x[samples].copy()
        conditions = None if self.conditions is None else self.conditions[samples]
        places = self.places[samples, np.arange(len(samples))]
        for _ in range(ASCENT_STEPS):
            _, grad = self.gradients(x, conditions, self.chosen, places)
            longest = np.abs(grad).max(axis=(1, 2, 3), keepdims=True)
            x = np.clip(x + self.gan.dtype.type(ASCENT_RATE) * grad / np.where(longest > 0, longest, 1), -1, 1)
        answers, _ = self.gradients(x, conditions, self.chosen, places)
        return x, answers

    def cut(self, images, filters):
        """What the filters' best places show of these pictures: images (M, K, H, W, C) for the filters (M,), the K-th
        best sample's each -> (M, K, *patch, C), black beyond the border."""
        (h, w), (_, _, height, width, c) = self.patch, images.shape
        made = np.full((*images.shape[:2], h, w, c), -1, images.dtype)
        for i, k in np.ndindex(images.shape[:2]):
            place = self.places[self.best[filters[i], k], filters[i]]
            top, left = self.origin + np.array(divmod(int(place), self.size[1])) * self.stride
            rows, columns = np.arange(top, top + h), np.arange(left, left + w)
            inside = np.ix_((rows >= 0) & (rows < height), (columns >= 0) & (columns < width))
            seen = np.ix_(rows[(rows >= 0) & (rows < height)], columns[(columns >= 0) & (columns < width)])
            made[i, k][inside] = images[i, k][seen]
        return made


# ---- what lies between two z


def compare_walks(gan, rng, labels, judge=None):
    """What is drawn half-way from one z to another, beside the mean of the two pictures at the ends, the simple way
    from one to the other. -> metrics of both, name -> {"sharpness", and with a judge "confidence"}.

    sharpness: beside that of the ends. confidence: the judge's mean confidence. labels (MEASURED_WALKS,) or None.
    """
    made = datasets.to_uint8(walks(gan, MEASURED_WALKS, rng, labels))
    made = made.reshape(MEASURED_WALKS, COLUMNS, *gan.sample_shape)
    ends, share = made[:, [0, -1]].astype(np.float32), np.linspace(0, 1, COLUMNS, dtype=np.float32)[MIDDLE]
    share = share.reshape(1, -1, *[1] * (made.ndim - 2))
    faded = np.rint((1 - share) * ends[:, :1] + share * ends[:, 1:]).astype(np.uint8)
    at_ends = image_metrics.sharpness(made[:, [0, -1]].reshape(-1, *gan.sample_shape)).mean()
    metrics = {}
    for name, middle in (("walk", made[:, MIDDLE]), ("fade", faded)):
        flat = np.ascontiguousarray(middle.reshape(-1, *gan.sample_shape))
        metrics[name] = {"sharpness": float(image_metrics.sharpness(flat).mean() / max(at_ends, 1e-9))}
        if judge is not None:
            metrics[name]["confidence"] = float(judge.predict(flat)[1].max(axis=1).mean(dtype=np.float64))
    return metrics
