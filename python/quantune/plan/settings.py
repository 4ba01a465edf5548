"""How post-training quantization is done: the choices that a user makes, or a tuner enumerates."""

from __future__ import annotations

import dataclasses
import typing
from dataclasses import dataclass
from typing import Any, Literal

from quantune.errors import PlanError

Observer = Literal["mse", "min-max", "percentile", "entropy"]
Granularity = Literal["channel", "tensor"]
Scheme = Literal["asymmetric", "symmetric", "symmetric-unsigned", "power-of-two"]
Rounding = Literal["nearest", "learned"]


@dataclass(frozen=True)
class Settings:
    """What a network's quantization depends on beside the bits of its layers.

    The first three span the published Quantune's space: its clipping "max" and "KL" are the observers min-max
    and entropy, its schemes "symmetric_uint8" and "symmetric_power" are symmetric-unsigned and power-of-two.

    Attributes:
        observer: how an activation's range is clipped.
        granularity: one weight scale an output channel, or one a tensor.
        scheme: of activations. asymmetric: any zero point; symmetric: in the middle of the stored range;
            symmetric-unsigned: that where negative values occur, else 0; power-of-two: symmetric, and all
            scales, of weights too, are powers of two.
        equalize: cross-layer equalization of the weights before calibration.
        bias_correction: biases take over the mean error that quantization makes.
        rounding: of weights: to the nearest, or as reconstruction of the layer's outputs has learned.
    """

    observer: Observer = "mse"
    granularity: Granularity = "channel"
    scheme: Scheme = "asymmetric"
    equalize: bool = False
    bias_correction: bool = True
    rounding: Rounding = "nearest"

    def __post_init__(self) -> None:
        for name, known in choices().items():
            if getattr(self, name) not in known:
                listed = ", ".join(map(str, known))
                raise PlanError(f"settings.{name}: {getattr(self, name)!r} is none of {listed}")

    @property
    def repairs(self) -> bool:
        """Whether constants change once the plan is known."""
        return self.bias_correction or self.rounding == "learned"


def choices() -> dict[str, tuple[Any, ...]]:
    """Setting → all its values, the default first."""
    hints = typing.get_type_hints(Settings)
    return {
        field.name: (field.default, not field.default)
        if hints[field.name] is bool
        else typing.get_args(hints[field.name])
        for field in dataclasses.fields(Settings)
    }


DEFAULT = Settings()


def settings_from_json(value: Any) -> Settings:
    """Of a plan; those of plans that have none are the defaults. Raises PlanError."""
    if value is None:
        return DEFAULT
    if not isinstance(value, dict):
        raise PlanError(f"settings: expected an object, found {type(value).__name__}")
    if unknown := sorted(set(value) - set(choices())):
        raise PlanError(f"settings: unknown setting {unknown[0]!r}; known: {', '.join(choices())}")
    return Settings(**value)
