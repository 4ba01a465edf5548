"""Random weights under which a network behaves like a trained one: activations of a sane size everywhere."""

from __future__ import annotations

import math
import zlib

import torch
from torch import Tensor, nn

BRANCH_GAIN = 0.3
"""Of a bottleneck's last batch norm; with 1, fifty layers amplify f32 rounding to 1e-4 of the logits."""


def initialize(module: nn.Module, name: str, input_shape: tuple[int, int, int]) -> None:
    """Fills every parameter of `module` in place, seeded by `name`; leaves it in eval mode.

    Convolutions get He's initialization (He et al., 2015). Batch norms get varied scales and shifts, so
    that folding them is not a no-op, and the statistics of one batch of noise. The classifier is
    centred and scaled on that batch: otherwise one class would win for every picture.
    """
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    with torch.no_grad():
        for path, part in module.named_modules():
            if isinstance(part, nn.Conv2d | nn.Linear):
                _initialize_contraction(part, generator)
            elif isinstance(part, nn.BatchNorm2d):
                part.reset_running_stats()
                part.weight.uniform_(0.5, 1.5, generator=generator)
                part.bias.normal_(0.0, 0.2, generator=generator)
                if path.endswith("bn3"):
                    part.weight.mul_(BRANCH_GAIN)
        logits = _run_once(module, _noise(input_shape, generator))
        _centre(_classifier(module), logits)
    module.eval()


def _initialize_contraction(part: nn.Conv2d | nn.Linear, generator: torch.Generator) -> None:
    fan_in = part.weight[0].numel()
    part.weight.normal_(0.0, math.sqrt(2.0 / fan_in), generator=generator)
    if part.bias is not None:
        part.bias.normal_(0.0, 0.05, generator=generator)


def _classifier(module: nn.Module) -> nn.Conv2d | nn.Linear:
    return [part for part in module.modules() if isinstance(part, nn.Conv2d | nn.Linear)][-1]


def _run_once(module: nn.Module, batch: Tensor) -> Tensor:
    """Sets the batch norms' statistics to those of `batch`; returns the classifier's [..., classes]."""
    norms = [part for part in module.modules() if isinstance(part, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    module.eval()  # drop-out stays off: its random numbers would come from outside the generator
    for norm in norms:
        norm.train()
        norm.momentum = 1.0
    caught: list[Tensor] = []
    # Cloned, because a ReLU in place may follow.
    hook = _classifier(module).register_forward_hook(lambda _part, _inputs, out: caught.append(out.clone()))
    module(batch)
    hook.remove()
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.num_batches_tracked = torch.tensor(0)
    return caught[0].movedim(1, -1)


def _centre(classifier: nn.Conv2d | nn.Linear, logits: Tensor) -> None:
    """Shifts and scales `classifier` so that `logits` would have mean 0 a class and a spread of 2."""
    assert classifier.bias is not None
    mean = logits.reshape(-1, logits.shape[-1]).mean(0)
    scale = 2.0 / (logits - mean).std().clamp(min=1e-6)
    classifier.weight.mul_(scale)
    classifier.bias.sub_(mean).mul_(scale)


def _noise(input_shape: tuple[int, int, int], generator: torch.Generator) -> Tensor:
    """[N, C, H, W] of unit variance, from white noise (first) to noise as smooth as a picture (last)."""
    channels, height, width = input_shape
    batch = 16 if height * width <= 64 * 64 else 4
    coarse = torch.randn(batch, channels, 8, 8, generator=generator)
    smooth = nn.functional.interpolate(coarse, (height, width), mode="bilinear", align_corners=False)
    white = torch.randn(batch, channels, height, width, generator=generator)
    share = torch.linspace(0, 1, batch).reshape(-1, 1, 1, 1)
    mixed = share * smooth + (1 - share) * white
    return mixed / mixed.std(dim=(1, 2, 3), keepdim=True)
