"""The hot loops: Numba kernels over a range of rows, each beside the plain NumPy twin that explains and checks it."""
