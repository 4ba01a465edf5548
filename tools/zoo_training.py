"""Trains one network; after every epoch what is needed to go on lies in a file.

Whatever is random follows from (name, seed, epoch), so a run that was interrupted and continued ends with the
same weights, to the bit, as one that was not: on the same machine, with the same versions.
"""

from __future__ import annotations

import dataclasses
import json
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from quantune.data.augmentation import augment
from quantune.files import replacing
from zoo_recipes import Recipe

THREADS = 1
"""One a model, so that the bits do not depend on the number of cores; several models train side by side."""


@dataclass(frozen=True)
class Pictures:
    """images: f32 [N, C, H, W], preprocessed. labels: int64 [N]. black: a black pixel after preprocessing."""

    images: Tensor
    labels: Tensor
    black: float

    def part(self, start: int, stop: int) -> Pictures:
        return Pictures(self.images[start:stop], self.labels[start:stop], self.black)


@dataclass
class Run:
    """One training: what it starts from (`name`, `recipe`, `pictures`) and how far it has come.

    curve: accuracy on `validation` after each epoch. seconds: wall clock; processor_seconds: of this process.
    """

    name: str
    recipe: Recipe
    module: nn.Module
    pictures: Pictures
    validation: Pictures
    checkpoint: Path
    half: bool
    curve: list[float]
    seconds: float = 0.0
    processor_seconds: float = 0.0

    def key(self, epoch: int) -> str:
        """What a checkpoint after so many epochs must share with this run to be continued by it."""
        shapes = {name: list(value.shape) for name, value in self.module.state_dict().items()}
        data = [len(self.pictures.images), float(self.pictures.images.sum(dtype=torch.float64))]
        recipe = dataclasses.asdict(self.recipe.until(epoch))
        parts = (self.name, recipe, shapes, data, self.half, torch.__version__)
        return json.dumps(parts)


def prepare(
    name: str,
    build: Callable[[], nn.Module],
    recipe: Recipe,
    pictures: Pictures,
    validation: Pictures,
    checkpoint: Path,
) -> Run:
    """A run at its beginning. Uses the GPU if there is one, and bfloat16 where the hardware multiplies it."""
    torch.set_num_threads(THREADS)
    torch.use_deterministic_algorithms(True)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(_seed(name, recipe, "weights"))
    module = build()
    _initialize(module)
    _set_drop_out(module, recipe)
    if device.type == "cpu":
        ease(module)
    module = module.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Run(name, recipe, module, pictures, validation, checkpoint, has_bfloat16(device), [])


def has_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(torch.cpu._is_avx512_bf16_supported())


def train(run: Run, advance: Callable[[int], None], epoch_done: Callable[[int, float], None]) -> None:
    """Trains `run.module` to the end of the recipe, from the checkpoint if one fits.

    advance: hears of steps, the ones that the checkpoint spares included. epoch_done: (epochs, accuracy).
    """
    optimizer = _optimizer(run)
    epoch = _resume(run, optimizer)
    steps = len(run.pictures.images) // run.recipe.batch
    advance(epoch * steps)
    while epoch < run.recipe.epochs:
        began, used = time.monotonic(), time.process_time()
        _epoch(run, optimizer, epoch, advance)
        run.curve.append(accuracy(run.module, run.validation, run.half))
        run.seconds += time.monotonic() - began
        run.processor_seconds += time.process_time() - used
        epoch += 1
        _save(run, optimizer, epoch)
        epoch_done(epoch, run.curve[-1])


def accuracy(module: nn.Module, pictures: Pictures, half: bool = False) -> float:
    """The share of pictures whose largest logit is their label's; leaves the module in eval mode."""
    device = next(module.parameters()).device
    module.eval()
    hits = 0
    with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=half):
        for images, labels in zip(pictures.images.split(500), pictures.labels.split(500), strict=True):
            inputs = images.to(device, memory_format=torch.channels_last)
            hits += int((module(inputs).argmax(1).cpu() == labels).sum())
    return hits / len(pictures.labels)


def ease(module: nn.Module) -> None:
    """The same results sooner on a CPU.

    Strided depthwise convolutions compute all positions and drop the rest, because PyTorch's gradient of a
    strided one in bfloat16 takes ten times as long. A ReLU6 in place would copy its input for the gradient.
    """
    for part in module.modules():
        if isinstance(part, nn.ReLU6):
            part.inplace = False
        if isinstance(part, nn.Conv2d) and part.groups > 1 and part.stride[0] > 1:
            part.forward = _dense_positions(part)  # type: ignore[method-assign, assignment]


def _dense_positions(part: nn.Conv2d) -> Callable[[Tensor], Tensor]:
    vertical, horizontal = part.stride

    def forward(x: Tensor) -> Tensor:
        dense = F.conv2d(x, part.weight, part.bias, 1, part.padding, part.dilation, part.groups)
        return dense[:, :, ::vertical, ::horizontal].contiguous(memory_format=torch.channels_last)

    return forward


def _seed(name: str, recipe: Recipe, what: object) -> int:
    return zlib.crc32(f"{name} {recipe.seed} {what}".encode())


def _initialize(module: nn.Module) -> None:
    """He et al., 2015, with a quiet classifier; batch norms keep torch's ones and zeros."""
    contractions = [part for part in module.modules() if isinstance(part, nn.Conv2d | nn.Linear)]
    for part in contractions:
        nn.init.kaiming_normal_(part.weight, nonlinearity="relu")
        if part.bias is not None:
            nn.init.zeros_(part.bias)
    nn.init.normal_(contractions[-1].weight, std=0.01)


def _set_drop_out(module: nn.Module, recipe: Recipe) -> None:
    for part in module.modules():
        if isinstance(part, nn.Dropout) and recipe.drop_out is not None:
            part.p = recipe.drop_out


def _optimizer(run: Run) -> torch.optim.Optimizer:
    decayed = [value for value in run.module.parameters() if value.dim() > 1]
    plain = [value for value in run.module.parameters() if value.dim() <= 1]
    groups = [
        {"params": decayed, "weight_decay": run.recipe.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    if run.recipe.adam:
        return torch.optim.AdamW(groups, lr=0.0, betas=(run.recipe.momentum, 0.999))
    return torch.optim.SGD(groups, lr=0.0, momentum=run.recipe.momentum, nesterov=True)


def _epoch(run: Run, optimizer: torch.optim.Optimizer, epoch: int, advance: Callable[[int], None]) -> None:
    recipe, device = run.recipe, next(run.module.parameters()).device
    seed = _seed(run.name, recipe, epoch)
    torch.manual_seed(seed)  # drop-out
    generator = torch.Generator().manual_seed(seed)
    count = len(run.pictures.images)
    steps = count // recipe.batch  # what is left over would be a batch too small for batch norms
    order = torch.randperm(count, generator=generator)[: steps * recipe.batch]
    run.module.train()
    for step, chosen in enumerate(order.split(recipe.batch)):
        for group in optimizer.param_groups:
            group["lr"] = recipe.rate_at(epoch + step / steps)
        images = augment(run.pictures.images[chosen], run.pictures.black, recipe.shift, generator)
        images = images.to(device, memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16, enabled=run.half):
            logits = run.module(images).float()
        loss = F.cross_entropy(
            logits, run.pictures.labels[chosen].to(device), label_smoothing=recipe.smoothing
        )
        optimizer.zero_grad()
        loss.backward()
        if recipe.clip is not None:
            nn.utils.clip_grad_norm_(run.module.parameters(), recipe.clip)
        optimizer.step()
        advance(1)


def _save(run: Run, optimizer: torch.optim.Optimizer, epoch: int) -> None:
    state: dict[str, Any] = {
        "key": run.key(epoch),
        "epoch": epoch,
        "module": run.module.state_dict(),
        "optimizer": optimizer.state_dict(),
        "curve": run.curve,
        "seconds": [run.seconds, run.processor_seconds],
    }
    with replacing(run.checkpoint) as temporary:
        torch.save(state, temporary)


def _resume(run: Run, optimizer: torch.optim.Optimizer) -> int:
    """The epochs done; 0 where there is no checkpoint or it belongs to another run."""
    if not run.checkpoint.is_file():
        return 0
    device = next(run.module.parameters()).device
    state = torch.load(run.checkpoint, map_location=device, weights_only=True)
    if state["key"] != run.key(state["epoch"]):
        return 0
    run.module.load_state_dict(state["module"])
    optimizer.load_state_dict(state["optimizer"])
    run.curve[:] = state["curve"]
    run.seconds, run.processor_seconds = state["seconds"]
    return int(state["epoch"])
