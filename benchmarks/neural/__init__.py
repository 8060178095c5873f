"""Critics on pairs of laws of known W_1, each with the same seconds of CPU."""
