"""Sliced transport: averages and maxima over projections to the line."""
