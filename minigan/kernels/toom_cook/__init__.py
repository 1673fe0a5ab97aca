"""Winograd convolution, of fewer multiplications: Toom and Cook's products of polynomials."""
