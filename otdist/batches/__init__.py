"""Leading dimensions: the same distance for many pairs of samples in one call."""
