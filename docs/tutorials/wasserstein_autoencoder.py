"""A Wasserstein auto-encoder: codes follow a prior, so that samples of the prior can be decoded.

Tolstikhin et al. (2018) train an auto-encoder with a penalty on the distance between the
distribution of the codes and a prior; Kolouri et al. (2019) use the sliced Wasserstein distance for
it. Without the penalty nothing relates the codes to the prior, and decoded noise shows no digits.
Exact W_2 between held-out codes and the prior, next to its floor (prior against prior), measures
how well the penalty works.
"""

import sys
from pathlib import Path

# --8<-- [start:data]
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

import otdist
from otdist.losses import SlicedWassersteinLoss
from otdist.wgan.plots import plot_samples

LATENT = 8


def halves() -> tuple[Tensor, Tensor]:
    """Digits to train on and held-out digits, rows of 64 pixels in [0, 1]."""
    images = torch.tensor(load_digits(return_X_y=True)[0] / 16, dtype=torch.float32)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    return images[order[:898]], images[order[898:1796]]


# --8<-- [end:data]


# --8<-- [start:train]
def train(weight: float, steps: int) -> tuple[nn.Module, nn.Module]:
    """Encoder and decoder, trained with that weight of the sliced loss to the prior."""
    images, _ = halves()
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, LATENT))
    decoder = nn.Sequential(
        nn.Linear(LATENT, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 64)
    )
    to_prior = SlicedWassersteinLoss(p=2, n_projections=64)
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-3)
    for _ in range(steps):
        batch = images[torch.randint(len(images), (256,))]
        code = encoder(batch)
        loss = (decoder(code) - batch).square().sum(1).mean()
        loss = loss + weight * to_prior(code, torch.randn_like(code))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return encoder, decoder


# --8<-- [end:train]


# --8<-- [start:score]
def score(encoder: nn.Module, decoder: nn.Module) -> tuple[float, float, float]:
    """Held-out error per image, W_2 of codes to the prior, W_1 of decoded noise to real digits."""
    _, held_out = halves()
    random = torch.Generator().manual_seed(1)
    prior = torch.randn(400, LATENT, generator=random)
    with torch.no_grad():
        code = encoder(held_out)
        error = float((decoder(code) - held_out).square().sum(1).mean())
        drawn = decoder(torch.randn(400, LATENT, generator=random)).clamp(0, 1)
    to_prior = otdist.wasserstein(code[:400], prior, p=2).distance
    to_digits = otdist.wasserstein(drawn, held_out[:400]).distance
    return error, float(to_prior), float(to_digits)


# --8<-- [end:score]


def main(folder: Path, short: bool = False) -> None:
    """Compare a plain auto-encoder with a regularised one; decode noise."""
    steps = 150 if short else 3000
    # --8<-- [start:compare]
    prior, other = torch.randn(2, 400, LATENT, generator=torch.Generator().manual_seed(2))
    floor = float(otdist.wasserstein(prior, other, p=2).distance)
    print(f"W_2 of the prior to itself, 400 points: {floor:.2f}")
    print("weight   error   W_2 of codes to the prior   W_1 of decoded noise to digits")
    scores = {}
    for weight in (0.0, 3.0):
        networks = train(weight, steps)
        scores[weight] = score(*networks)
        error, to_prior, to_digits = scores[weight]
        print(f"{weight:6g}   {error:5.2f}   {to_prior:25.2f}   {to_digits:30.2f}")
    assert scores[3.0][1] < scores[0.0][1]
    assert scores[3.0][2] < scores[0.0][2]
    # --8<-- [end:compare]

    # --8<-- [start:picture]
    with torch.no_grad():
        noise = torch.randn(60, LATENT, generator=torch.Generator().manual_seed(3))
        decoded = networks[1](noise).reshape(-1, 8, 8).clamp(0, 1)
    figure = plot_samples(decoded, columns=20)
    # --8<-- [end:picture]
    figure.savefig(folder / "wasserstein-autoencoder.png", dpi=120)


if __name__ == "__main__":
    main(Path("docs/assets"), short="--short" in sys.argv)
