"""What notebook 13 says of critics on a line and of the race of four losses, over seeds -> notebooks/evidence/13.json.

    python tests/scripts/evidence_13.py

About two minutes of one core. The notebook runs seed 0 of each the same way.
"""

import datetime
import json
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from minigan import layers, losses, optim, penalties

SEEDS = range(3)
START = np.array([3.0, 2.0])
PLAYERS = {
    "minimax": (losses.Minimax(), {}),
    "non-saturating": (losses.NonSaturating(), {}),
    "Wasserstein, clipped": (losses.Wasserstein(), {"clip": 0.1}),
    "Wasserstein, penalty": (losses.Wasserstein(), {"strength": 10.0}),
}


def planar_critic(rng):
    dense = [layers.Dense(*sizes, rng=rng) for sizes in ((2, 32), (32, 32), (32, 1))]
    return layers.Sequential([dense[0], layers.LeakyReLU(0.2), dense[1], layers.LeakyReLU(0.2), dense[2]])


def walk(loss, seed, strength=0.0, clip=None, moves=200, n_critic=5, ahead=200, n=128, lr=0.03):
    """-> ‖μ‖ and the critic's estimate before each move of G, (moves,) each."""
    rng, mu, far, estimates = np.random.default_rng(seed), START, [], []
    D = planar_critic(rng)
    optimizer = optim.Adam(D, lr=2e-3, beta1=0.0, beta2=0.9)
    for move in range(moves):
        for _ in range(n_critic + ahead * (move == 0)):
            real = (0.3 * rng.standard_normal((n, 2))).astype(np.float32)
            fake = (mu + 0.3 * rng.standard_normal((n, 2))).astype(np.float32)
            on_real, on_fake = np.split(D.forward(np.concatenate([real, fake])), 2)
            d_loss, grad_real, grad_fake = loss.discriminator(on_real, on_fake)
            D.zero_grad()
            D.backward(np.concatenate([grad_real, grad_fake]), need_input_grad=False)
            if strength:
                between = penalties.interpolates(real, fake, rng)
                penalties.gradient_penalty(D, between, lambda g: penalties.wgan_gp(g, strength))
            optimizer.step()
            for param in D.params.values() if clip else ():
                np.clip(param, -clip, clip, out=param)
        far.append(float(np.linalg.norm(mu)))
        estimates.append(-d_loss)
        _, grad_fake = loss.generator(D.forward(fake))
        mu = mu - lr * D.backward(grad_fake, need_param_grads=False).sum(axis=0)
    return np.array(far), np.array(estimates)


def small_critic(rng):
    dense = [layers.Dense(*sizes, rng=rng) for sizes in ((1, 32), (32, 32), (32, 1))]
    return layers.Sequential([dense[0], layers.LeakyReLU(0.2), dense[1], layers.LeakyReLU(0.2), dense[2]])


def draw(n, centre, rng):
    """-> real samples, two heaps, and fake ones around `centre`, (n, 1) each."""
    real = rng.choice([-1, 1.5], n) + 0.3 * rng.standard_normal(n)
    fake = centre + 0.4 * rng.standard_normal((n, 1))
    return real[:, None].astype(np.float32), fake.astype(np.float32)


def train_critic(centre, seed, strength=0.0, clip=None, steps=600, lr=2e-3):
    rng, loss = np.random.default_rng(seed), losses.Wasserstein()
    D = small_critic(rng)
    optimizer = optim.Adam(D, lr=lr, beta1=0.0, beta2=0.9) if strength else optim.RMSprop(D, lr=lr)
    for step in range(steps):
        real, fake = draw(256, centre, rng)
        on_real, on_fake = np.split(D.forward(np.concatenate([real, fake])), 2)
        D.zero_grad()
        D.backward(np.concatenate(loss.discriminator(on_real, on_fake)[1:]), need_input_grad=False)
        if strength:
            between = penalties.interpolates(real, fake, rng)
            penalties.gradient_penalty(D, between, lambda g: penalties.wgan_gp(g, strength))
        optimizer.lr = lr * (1 - step / steps)
        optimizer.step()
        for param in D.params.values() if clip else ():
            np.clip(param, -clip, clip, out=param)
    return D


def critic_run(centre, seed, **how):
    """The critic's estimate on fresh samples, the distance of these (sorted pairs), and its steepest slope."""
    D, (real, fake) = train_critic(centre, seed, **how), draw(100_000, centre, np.random.default_rng(9))
    line = np.linspace(-1.5, 3.5, 2001, dtype=np.float32)[:, None]
    slopes = np.abs(np.diff(D.forward(line)[:, 0])) / (line[1, 0] - line[0, 0])
    return {
        "seed": seed,
        "estimate": round(float(D.forward(real).mean() - D.forward(fake).mean()), 5),
        "distance": round(float(np.abs(np.sort(real[:, 0]) - np.sort(fake[:, 0])).mean()), 4),
        "steepest": round(float(slopes.max()), 5),
        "mean_slope": round(float(slopes.mean()), 5),
    }


def main():
    evidence = {"command": "python tests/scripts/evidence_13.py", "date": datetime.date.today().isoformat()}
    evidence["walks"] = {}
    evidence["penalised"] = [critic_run(3.0, seed, strength=10.0) for seed in SEEDS]
    evidence["between"] = [critic_run(0.25, seed, strength=10.0) for seed in SEEDS]
    evidence["clipped"] = {c: [critic_run(3.0, seed, clip=c) for seed in SEEDS] for c in (0.01, 0.1, 0.5)}
    for name, (loss, how) in PLAYERS.items():
        runs = []
        for seed in SEEDS:
            far, estimates = walk(loss, seed, **how)
            runs.append({"seed": seed, "far": far[::5].round(4).tolist(), "last_40": round(float(far[-40:].mean()), 4)})
            runs[-1]["after_20"] = round(float(far[20]), 4)
            runs[-1]["highest_of_last_40"] = round(float(far[-40:].max()), 4)
            runs[-1]["correlation"] = round(float(np.corrcoef(estimates, far)[0, 1]), 4) if np.ptp(far) > 0.1 else None
        evidence["walks"][name] = runs
    text = json.dumps(evidence)
    (ROOT / "notebooks" / "evidence" / "13.json").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
