"""The game of two networks: players, moves, conditions, settings, training, and looks inside."""

from minigan.gan.gan import GAN, build_gan
