"""Distances of moments and kernels: Gaussian, energy, maximum mean discrepancy."""
