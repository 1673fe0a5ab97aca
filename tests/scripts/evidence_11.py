"""What notebook 11 says of the listing's faults and of the remedies for it, over several seeds -> evidence/11.json.

    python tests/scripts/evidence_11.py

About five minutes of one idle core. The notebook runs some of these for seed 0 in the same way.
"""

import datetime
import itertools
import json
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from minigan import datasets, layers, losses, metrics, optim, penalties
from minigan.kernels.parallel import threads
from minigan.metrics.judge import shipped_judge

SEEDS, STEPS, BATCH = range(3), 200, 16
FAULT_SEEDS, FAULT_STEPS = range(6), 100
PRINTED_STEPS = 600  # of 100 pictures: one pass over the data
FAULTS = {
    "none": set(),
    "noise is two numbers near 100": {"noise"},
    "pictures are uniform noise": {"uniform"},
    "pictures in [0, 1]": {"range"},
    "sigmoid twice": {"sigmoid"},
    "both optimizers move both": {"both"},
    "both steps at once": {"at once"},
    "all of them": {"noise", "uniform", "sigmoid", "both", "at once"},
}
FEW = 20, 30_000  # pictures that the training set has
REMEDIES = {
    "nothing changed": {},
    "rate ÷ 10 (as printed)": {"lr": 1e-4},
    "D half as fast": {"d_lr": 5e-4},
    "batch of 32": {"batch_size": 32},
    "ReLU, not leaky": {"activation": layers.ReLU},
    "one layer more in G": {"deeper": True},
    "L1, strength 1e-4": {"l1": 1e-4},
    "L2, strength 1e-2": {"l2": 1e-2},
    "RMSprop": {"optimizer": "rmsprop"},
    "Adagrad": {"optimizer": "adagrad"},
    "Adam, β₁ = 0.5": {"beta1": 0.5},
    "Adam, β₁ = 0": {"beta1": 0.0},
}

digits = datasets.to_float(datasets.load("mnist")[0])
test = datasets.to_float(datasets.load("mnist", "test")[0][:500])
judge = shipped_judge()
reference = judge.predict(digits[:1000])[0]


def networks(rng, inputs=100, sigmoid=False, activation=lambda: layers.LeakyReLU(0.2), deeper=False):
    widths = (inputs, 128, 256, 784) if deeper else (inputs, 128, 784)
    stack = []
    for i, o in itertools.pairwise(widths):
        stack += [layers.Dense(i, o, rng=rng), activation()]
    generator = layers.Sequential([*stack[:-1], layers.Tanh(), layers.Reshape((28, 28, 1))])
    stack = []
    for i, o in ((1, 32), (32, 64), (64, 128)):
        stack += [layers.Conv2D(i, o, 5, 2, 2, rng=rng), activation()]
    stack += [layers.Flatten(), layers.Dense(2048, 1, rng=rng), *([layers.Sigmoid()] if sigmoid else [])]
    return generator, layers.Sequential(stack)


def optimizer_of(kind, network, lr, beta1):
    return optim.Adam(network, lr, beta1=beta1) if kind == "adam" else optim.OPTIMIZERS[kind](network, lr)


def train(
    seed,
    steps,
    faults=(),
    batch_size=BATCH,
    lr=1e-3,
    d_lr=None,
    optimizer="adam",
    beta1=0.9,
    l1=0,
    l2=0,
    few=None,
    **nets,
):
    """-> what is measured after so many steps of the listing, mended but for `faults`."""
    rng, loss = np.random.default_rng(seed), losses.NonSaturating()
    G, D = networks(rng, 2 if "noise" in faults else 100, "sigmoid" in faults, **nets)
    both = layers.Sequential([G, D])
    d_moves, g_moves = (both, both) if "both" in faults else (D, G)
    d_optimizer = optimizer_of(optimizer, d_moves, d_lr or lr, beta1)
    g_optimizer = optimizer_of(optimizer, g_moves, lr, beta1)

    def noise(n):
        if "noise" in faults:
            return rng.normal((100, 100)).reshape(1, 2).astype(np.float32)
        return rng.standard_normal((n, 100), dtype=np.float32)

    def pictures(n):
        if "uniform" in faults:
            return rng.random((n, 28, 28, 1), dtype=np.float32)
        chosen = digits[rng.integers(len(digits), size=n)]
        return (chosen + 1) / 2 if "range" in faults else chosen

    def penalise(network):
        for penalty, strength in ((penalties.l1, l1), (penalties.l2, l2)):
            if strength:
                penalty(network, strength)

    log = []
    for _ in range(steps):
        x, z = pictures(batch_size), noise(batch_size)
        both.zero_grad()
        logits = D.forward(np.concatenate([x, G.forward(z)]))
        r, f = logits[: len(x)], logits[len(x) :]
        _, grad_r, grad_f = loss.discriminator(r, f)
        grad_x = D.backward(np.concatenate([grad_r, grad_f]), need_input_grad="both" in faults)
        if "both" in faults:
            G.backward(grad_x[len(x) :])
        penalise(d_moves)
        kept = {name: grad.copy() for name, grad in d_moves.grads.items()}
        if "at once" not in faults:
            d_optimizer.step()
        both.zero_grad()
        _, grad_f = loss.generator(D.forward(G.forward(z)))
        G.backward(D.backward(grad_f, need_param_grads="both" in faults))
        penalise(g_moves)
        g_optimizer.step()
        if "at once" in faults:
            for name, grad in kept.items():
                d_moves.grads[name][...] = grad
            d_optimizer.step()
        says = (r, f) if "sigmoid" in faults else (layers.sigmoid(r), layers.sigmoid(f))
        log.append([answer.mean() for answer in says])
    made = np.concatenate([G.forward(noise(100)) for _ in range(500 if "noise" in faults else 5)])
    d_real, d_fake = np.mean(log[-50:], axis=0)
    return {"seed": seed, "d_real": float(d_real), "d_fake": float(d_fake), **measured(made)}


def by_heart(seed, few, steps=STEPS):
    """D alone, against a G that is perfect: the "fakes" are other real digits. -> D's mean answers to the real pictures
    that it is trained on, `few` of them, and to new ones."""
    rng, loss = np.random.default_rng(seed), losses.NonSaturating()
    D = networks(rng)[1]
    optimizer = optim.Adam(D, 1e-3)
    for _ in range(steps):
        x, other = digits[rng.integers(few, size=BATCH)], digits[rng.integers(30_000, 60_000, size=BATCH)]
        r, f = np.split(D.forward(np.concatenate([x, other])), 2)
        D.zero_grad()
        D.backward(np.concatenate(loss.discriminator(r, f)[1:]), need_input_grad=False)
        optimizer.step()
    seen, new = (layers.sigmoid(D.forward(pictures)) for pictures in (digits[: min(few, 500)], test))
    return {"seed": seed, "d_seen": float(seen.mean()), "d_new": float(new.mean())}


def measured(pictures):
    """The Fréchet distance from real digits, the share the judge is sure of (> 0.9), and the effective number of digits
    among those that it sees, e to the entropy of their shares."""
    features, p = judge.predict(np.clip(pictures, -1, 1).astype(np.float32))
    shares = np.bincount(p.argmax(axis=1), minlength=10) / len(p)
    entropy = -sum(share * np.log(share) for share in shares if share)
    return {
        "distance": float(metrics.frechet_distance(reference, features)),
        "sure": float((p.max(axis=1) > 0.9).mean()),
        "kinds": float(np.exp(entropy)),
    }


def yardsticks():
    """What cannot draw must lose."""
    rng = np.random.default_rng(0)
    one = digits[:1] + rng.normal(0, 0.01, (500, 28, 28, 1))
    sets = {"uniform noise": rng.uniform(-1, 1, (500, 28, 28, 1)), "one digit, 500 times": one}
    untrained = networks(np.random.default_rng(0))[0]
    sets["untrained G"] = untrained.forward(rng.standard_normal((500, 100), dtype=np.float32))
    return {name: measured(pictures) for name, pictures in (*sets.items(), ("real test digits", test))}


def main():
    threads.set_threads(1)
    evidence = {
        "command": "python tests/scripts/evidence_11.py",
        "date": datetime.date.today().isoformat(),
        "seeds": list(SEEDS),
        "fault_seeds": list(FAULT_SEEDS),
        "steps": STEPS,
        "fault_steps": FAULT_STEPS,
        "batch_size": BATCH,
        "yardsticks": yardsticks(),
        "faults": {},
        "remedies": {},
        "memory": {},
    }
    for name, faults in FAULTS.items():
        evidence["faults"][name] = [train(seed, FAULT_STEPS, faults) for seed in FAULT_SEEDS]
        print(name, evidence["faults"][name], flush=True)
    for name, settings in REMEDIES.items():
        evidence["remedies"][name] = [train(seed, STEPS, **settings) for seed in SEEDS]
        print(name, evidence["remedies"][name], flush=True)
    evidence["as_printed"] = [train(0, PRINTED_STEPS, lr=1e-4, batch_size=100)]
    for few in FEW:
        evidence["memory"][few] = [by_heart(seed, few) for seed in SEEDS]
        print(few, evidence["memory"][few], flush=True)
    text = json.dumps(evidence, indent=1, ensure_ascii=False)
    (ROOT / "notebooks" / "evidence" / "11.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
