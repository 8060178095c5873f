"""Many samples at once: all their distances, shared out, kept on disk, complete but for failures.

`matrix` is the public function, `work` what one pair costs and what pairs share, `engines` who does
it (this thread, threads, a Dask cluster), and `store` the folder that survives a kill.
"""
