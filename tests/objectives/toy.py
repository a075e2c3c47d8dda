"""Batches, and a separable toy, for the tests of objectives."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import normalize

from sterna.objectives import Given, Objective, build_objective

# Uneven captions; image 2 has none.
UNEVEN = [0, 0, 1, 3, 3, 3, 4, 1, 5, 5]
IMAGES = 16


def batch(owners: list[int], *, images: int | None = None, seed: int = 0) -> tuple[torch.Tensor, ...]:
    """Images, captions, owners, and targets of the captions."""
    torch.manual_seed(seed)
    count = images or max(owners) + 1
    return (
        normalize(torch.randn(count, 5, dtype=torch.float64), dim=1),
        normalize(torch.randn(len(owners), 5, dtype=torch.float64), dim=1),
        torch.tensor(owners),
        torch.randn(len(owners), 7, dtype=torch.float64),
    )


def everything(images: torch.Tensor, captions: torch.Tensor, *, seed: int = 0) -> Given:
    """All that an objective may ask for, drawn at random."""
    random = torch.Generator().manual_seed(seed)
    n, c = len(images), len(captions)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=random, dtype=torch.float64)

    return Given(
        scores={"drawn": draw(n, c)},
        targets=draw(c, 7),
        image_targets=draw(n, 6),
        teacher=draw(n, c) / 3,
        places=torch.randperm(n, generator=random),
    )


class Toy:
    """Images, each with two captions that are a linear map of it, and two linear maps to be trained."""

    def __init__(self, seed: int = 0) -> None:
        torch.manual_seed(seed)
        self.seen = torch.randn(IMAGES, 12)
        self.owners = torch.arange(IMAGES).repeat_interleave(2)
        self.told = self.seen[self.owners] @ torch.randn(12, 10) / 3 + 0.05 * torch.randn(2 * IMAGES, 10)
        self.towers = nn.ModuleList([nn.Linear(12, 8), nn.Linear(10, 8)])
        alike = normalize(self.seen, dim=1)
        self.given = Given(
            scores={},
            places=torch.arange(IMAGES),
            image_targets=self.seen,
            targets=self.seen[self.owners],
            teacher=alike @ alike[self.owners].T,
        )

    def vectors(self) -> tuple[torch.Tensor, torch.Tensor]:
        """[16, 8] of images and [32, 8] of captions."""
        return (
            normalize(self.towers[0](self.seen), dim=1),
            normalize(self.towers[1](self.told), dim=1),
        )

    def train(self, objective: Objective, *, similarity: str = "dot") -> list[float]:
        """Train the maps and the objective for 30 steps, or 10 or 20 if that is plenty; each step's loss."""
        optimizer = torch.optim.Adam([*self.towers.parameters(), *objective.parameters()], lr=0.1)
        losses = []
        for step in range(1, 31):
            images, captions = self.vectors()
            scores = {"twice": 2 * images @ captions.T}
            given = Given(**{**vars(self.given), "scores": scores})
            loss = objective(images, captions, self.owners, given=given)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            if step % 10 == 0 and fell(losses) and min(self.found(similarity)) > 0.5:
                break
        return losses

    def found(self, similarity: str = "dot") -> tuple[float, float]:
        """The share of images that find a caption of theirs first, and of captions that find their image."""
        images, captions = self.vectors()
        scores = images @ captions.T
        if similarity == "order":
            scores = -(captions.abs()[None] - images.abs()[:, None]).clamp_min(0).norm(dim=2)
        i2t = (self.owners[scores.argmax(1)] == torch.arange(IMAGES)).float().mean().item()
        return i2t, (scores.argmax(0) == self.owners).float().mean().item()


def fell(losses: list[float]) -> bool:
    """Whether the last three are below the first, in the mean."""
    return sum(losses[-3:]) / 3 < losses[0]


def check_learns(name: str, params: dict[str, object]) -> None:
    """The loss falls, and both ways find far above chance (1 in 16)."""
    toy = Toy()
    similarity = str(params.get("similarity", "dot"))
    objective = build_objective(name, params, images=IMAGES, embedding=8)
    assert fell(toy.train(objective, similarity=similarity))
    assert min(toy.found(similarity)) > 0.25
