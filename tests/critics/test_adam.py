"""Adam moves parameters as that of `torch.optim` does, and leaves alone what has no gradient."""

import torch
from torch import nn

from otdist.critics.adam import Adam


def test_steps_are_those_of_torch():
    torch.manual_seed(0)
    nets = [nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1)) for _ in range(2)]
    nets[1].load_state_dict(nets[0].state_dict())
    theirs, ours = torch.optim.Adam(nets[1].parameters(), lr=0.1), Adam(nets[0].parameters())
    for step in range(20):
        points, rate = torch.randn(8, 3), 0.1 / (step + 1)
        theirs.param_groups[0]["lr"] = rate
        theirs.zero_grad()
        ours.clear()
        for net in nets:
            net(points).square().mean().backward()
        theirs.step()
        ours.step(rate)
    for mine, known in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        torch.testing.assert_close(mine, known, rtol=1e-6, atol=1e-7)


def test_parameters_without_gradients_stay():
    used, unused = (nn.Parameter(torch.ones(2)) for _ in range(2))
    descent = Adam([used, unused])
    used.sum().backward()
    descent.step(0.1)
    assert unused.tolist() == [1, 1]
    torch.testing.assert_close(used.detach(), torch.full((2,), 0.9))
    descent.clear()
    descent.step(0.1)
    torch.testing.assert_close(used.detach(), torch.full((2,), 0.9))
