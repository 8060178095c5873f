"""Critics: neural networks whose estimate of a Wasserstein distance is certified."""
