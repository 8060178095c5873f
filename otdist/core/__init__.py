"""The core that every method shares: samples, costs, certificates, gradients, results."""
