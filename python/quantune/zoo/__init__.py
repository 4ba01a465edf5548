"""Plain PyTorch architectures with torchvision's parameter names, at ImageNet size and for 32x32."""

from quantune.zoo.registry import ZooEntry, entry, load, names

__all__ = ["ZooEntry", "entry", "load", "names"]
