"""The solvers: one algorithm, one file, each a small frozen dataclass or a few functions."""
