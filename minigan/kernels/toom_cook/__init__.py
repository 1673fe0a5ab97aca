"""Convolution with fewer multiplications (Toom, Cook, Winograd)."""
