"""Plain and variational autoencoders, to compare GANs with."""
