"""Dask arrays: blocks become accumulators on the workers, accumulators merge there, as a tree.

The public functions of `distances` hand dask arrays over to the functions of the same names here.
otdist has no scheduler of its own: whichever Dask uses in the calling context does the work, the
threads of this process or a `distributed.Client`.
"""

from otdist.outofcore.functions import (
    energy_distance,
    gaussian_wasserstein,
    mmd,
    sliced_wasserstein,
    wasserstein,
)

__all__ = [
    "energy_distance",
    "gaussian_wasserstein",
    "mmd",
    "sliced_wasserstein",
    "wasserstein",
]
