"""otdist within other frameworks: torchmetrics, Lightning, Ignite, scikit-learn; one file each.

Each file needs its package, which the extra of the same name brings, and is imported by itself:
``from otdist.adapters.lightning import HeldOutDistances``.
"""
