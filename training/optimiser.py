"""Muon for convolutions, AdamW for what is no matrix, behind the interface of one optimiser."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

MOMENTUM = 0.95
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # coefficients, see orthogonal


class Optimisers:
    """Steps both. Groups carry `share`, their part of the learning rate.

    The encoder knows pictures already and has no batch norm: it learns more slowly.
    """

    def __init__(self, net: nn.Module, encoder: nn.Module, share: float, decay: float) -> None:
        known = {id(p) for p in encoder.parameters()}
        groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
        for p in net.parameters():
            groups.setdefault((is_matrix(p), id(p) in known), []).append(p)

        def of(matrices: bool) -> list[dict[str, Any]]:
            return [
                {"params": p, "share": share if slow else 1.0, "lr": 0.0}
                for (matrix, slow), p in groups.items()
                if matrix == matrices
            ]

        self.both = (
            torch.optim.AdamW(of(False), weight_decay=decay),
            Muon(of(True), weight_decay=decay),
        )

    def set_rate(self, rate: float) -> None:
        for optimiser in self.both:
            for group in optimiser.param_groups:
                group["lr"] = rate * group["share"]

    def zero_grad(self) -> None:
        for optimiser in self.both:
            optimiser.zero_grad(set_to_none=True)

    def step(self) -> None:
        for optimiser in self.both:
            optimiser.step()

    def state_dict(self) -> list[dict[str, Any]]:
        return [optimiser.state_dict() for optimiser in self.both]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        for optimiser, state in zip(self.both, states, strict=True):
            optimiser.load_state_dict(state)


def is_matrix(p: Tensor) -> bool:
    """Whether `p` is a convolution that mixes channels, and more than a few of them."""
    return p.ndim == 4 and p.shape[0] >= 8 and p.shape[1] > 1 and p[0].numel() > 12


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised, as large as a step of AdamW.

    Jordan et al., Muon (2024); the size of the step as in arXiv 2502.16982, section 2.2, so that
    learning rate and decay mean what they mean for AdamW. torch.optim.Muon takes no convolutions.
    """

    def __init__(self, params: Any, weight_decay: float) -> None:
        super().__init__(params, {"lr": 0.0, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state["momentum"] = torch.zeros_like(p)
                momentum = state["momentum"].lerp_(p.grad, 1 - MOMENTUM)
                change = p.grad.lerp(momentum, MOMENTUM).reshape(len(p), -1)
                size = 0.2 * max(change.shape) ** 0.5
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(orthogonal(change).reshape(p.shape), alpha=-group["lr"] * size)


def orthogonal(x: Tensor) -> Tensor:
    """Nearly U V of the singular value decomposition U S V of a matrix: five Newton-Schulz steps.

    The polynomial brings singular values into about 0.7..1.2 (Jordan et al., Muon, 2024).
    """
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = x / (x.norm() + 1e-7)
    a, b, c = NEWTON_SCHULZ
    for _ in range(5):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x.T if tall else x
