"""Recognition with generative adversarial networks: one module an experiment, each measured against the plain way.

Each has STEPS, a default number of training steps, and run(data, gan, steps, seed, follow) -> Outcome: data and follow
as in common.py, gan a trained one or None.
"""
