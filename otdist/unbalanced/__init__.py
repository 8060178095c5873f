"""Transport in which part of the mass stays: partial, and unbalanced with a penalty."""
