"""Entropic transport: Sinkhorn scaling in the log domain, and the divergences made of it."""
