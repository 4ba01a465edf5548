"""plan.json: the one file in which every precision and its reason stand.

Edited by hand, fed back, checked strictly.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from quantune.errors import PlanError
from quantune.files import read_json, write_json
from quantune.plan.settings import DEFAULT, Settings

SCHEMA = "quantune.plan/1"
Precision = Literal["integer", "float"]


@dataclass(frozen=True)
class Quantization:
    """Per-tensor affine quantization of an activation: real = scale * (q - zero_point), q in 0..2**bits-1."""

    bits: int
    scale: float
    zero_point: int

    def __post_init__(self) -> None:
        if not 2 <= self.bits <= 8:
            raise PlanError(f"activation bits must be 2..8, not {self.bits}")
        if not (self.scale > 0 and math.isfinite(self.scale)):
            raise PlanError(f"a scale must be positive and finite, not {self.scale}")
        if not 0 <= self.zero_point <= self.maximum:
            raise PlanError(f"zero point {self.zero_point} is outside 0..{self.maximum}")

    @property
    def maximum(self) -> int:
        """The largest stored value."""
        return (1 << self.bits) - 1


@dataclass(frozen=True)
class LayerPlan:
    """One layer's precision.

    Attributes:
        precision: "integer" or "float".
        output: quantization of the layer's output, recorded even for float layers so that a flip by hand
            needs no calibration.
        weight_bits: 2..8 for contractions that are (or could become) integer, else None.
        weight_scales: explicit per-output-channel scales; None means max|w| / (2**(bits-1) - 1).
        reason: one sentence.
        alternatives: what else was considered, with its metric and price.
    """

    precision: Precision
    output: Quantization | None = None
    weight_bits: int | None = None
    weight_scales: tuple[float, ...] | None = None
    reason: str = ""
    alternatives: tuple[dict[str, Any], ...] = ()

    def __post_init__(self) -> None:
        if self.precision not in ("integer", "float"):
            raise PlanError(f'precision must be "integer" or "float", not {self.precision!r}')
        if self.weight_bits is not None and not 2 <= self.weight_bits <= 8:
            raise PlanError(f"weight_bits must be 2..8, not {self.weight_bits}")


@dataclass(frozen=True)
class Plan:
    """Precisions for every layer of one model.

    Attributes:
        model, fingerprint: which model it was made for.
        inputs: quantization of each network input.
        layers: exact layer names → LayerPlan (globs of a hand-edited file are expanded by
            `quantune.plan.edit`).
        report: strategy-specific figures (predicted SQNR, boundaries, …), JSON-able.
        settings: how values were quantized, and what is done to constants when the plan is compiled.
    """

    model: str
    fingerprint: str
    strategy: str
    target: str
    inputs: dict[str, Quantization]
    layers: dict[str, LayerPlan]
    report: dict[str, Any] = field(default_factory=dict)
    settings: Settings = DEFAULT

    def to_json(self) -> dict[str, Any]:
        return {"schema": SCHEMA, **_plain(dataclasses.asdict(self))}

    def save(self, path: Path) -> None:
        write_json(path, self.to_json())


def decisions(plan: Plan) -> object:
    """What of a plan changes the module."""
    layers = {
        name: (c.precision, c.output, c.weight_bits, c.weight_scales) for name, c in plan.layers.items()
    }
    return plan.inputs, layers, plan.settings.bias_correction, plan.settings.rounding


def quantization_from_json(value: Any, where: str) -> Quantization | None:
    """Raises PlanError naming `where` when keys are missing, unknown or of the wrong type."""
    return None if value is None else _construct(Quantization, value, where)


def layer_from_json(value: Any, where: str) -> LayerPlan:
    """Raises PlanError naming `where` when keys are missing, unknown or of the wrong type."""
    if isinstance(value, dict):
        value = dict(value)
        value["output"] = quantization_from_json(value.get("output"), f"{where}.output")
        if value.get("weight_scales") is not None:
            value["weight_scales"] = tuple(float(s) for s in value["weight_scales"])
        value["alternatives"] = tuple(value.get("alternatives") or ())
    return _construct(LayerPlan, value, where)


def read_plan_json(path: Path) -> dict[str, Any]:
    """The raw JSON object of a plan file, schema version checked."""
    raw = read_json(path)
    if not isinstance(raw, dict) or "layers" not in raw:
        raise PlanError(f"{path} is not a plan: it has no 'layers'; make one with `quantune plan`")
    if raw.get("schema") != SCHEMA:
        raise PlanError(
            f"{path} has schema {raw.get('schema')!r}, this version reads {SCHEMA!r}; "
            "make it anew with `quantune plan`"
        )
    return raw


def _construct(cls: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise PlanError(f"{where}: expected an object, found {type(value).__name__}")
    known = {f.name for f in dataclasses.fields(cls)}
    if unknown := sorted(set(value) - known):
        raise PlanError(f"{where}: unknown setting {unknown[0]!r}; known: {', '.join(sorted(known))}")
    try:
        return cls(**value)
    except PlanError as error:
        raise PlanError(f"{where}: {error}") from None
    except TypeError as error:
        raise PlanError(f"{where}: {error}") from None


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
