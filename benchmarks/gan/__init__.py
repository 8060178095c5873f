"""Training runs whose outcome is known: modes, distances to held-out data, cost of a step."""
