"""Exact transport: network simplex, column generation, pricing."""
