"""What the two inferences say about every layer."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from quantune.errors import QuantuneError
from quantune.files import read_json, write_json

SCHEMA = "quantune.sensitivity/2"


@dataclass(frozen=True)
class LayerSensitivity:
    """Metrics of one layer. Ratios are noise-to-signal, linear; `*_sqnr_db` is -10 log10 of them.

    Attributes:
        weight_nsr, weight_mse: of the weights alone, by bits.
        added_nsr: what weights of so few bits add to the noise-to-signal ratio of the network's outputs, by
            bits, as the probes found (`sensitivity.probes`).
        activation_sqnr_db, activation_mse: of storing the layer's output in 8 bits, alone.
        local_sqnr_db, local_mse: the integer layer against its float twin on the same inputs (8-bit weights):
            its own error.
        accumulated_sqnr_db, accumulated_mse: the quantized network's value against the float network's.
    """

    weight_nsr: dict[int, float] = field(default_factory=dict)
    weight_mse: dict[int, float] = field(default_factory=dict)
    added_nsr: dict[int, float] = field(default_factory=dict)
    activation_sqnr_db: float | None = None
    activation_mse: float | None = None
    local_nsr: float | None = None
    local_sqnr_db: float | None = None
    local_mse: float | None = None
    accumulated_sqnr_db: float | None = None
    accumulated_mse: float | None = None


@dataclass(frozen=True)
class Sensitivity:
    """Every layer's metrics, and the network's.

    Attributes:
        passes: how often each calibration image was run in all (float once, quantized once).
        probes: partial runs of the quantized network beside it (`sensitivity.probes`).
        output_nsr: noise-to-signal of the network's outputs at uniform int8.
    """

    images: int
    passes: int
    output_nsr: float
    layers: dict[str, LayerSensitivity]
    probes: int = 0

    def save(self, path: Path) -> None:
        write_json(path, {"schema": SCHEMA, **asdict(self)})

    @staticmethod
    def load(path: Path) -> Sensitivity:
        """Raises QuantuneError when the file is damaged or of another version."""
        raw: Any = read_json(path)
        if not isinstance(raw, dict) or raw.pop("schema", None) != SCHEMA:
            raise QuantuneError(f"{path} is not a sensitivity file of this version; delete it and rerun")
        try:
            layers = {
                name: LayerSensitivity(**_with_integer_keys(item)) for name, item in raw.pop("layers").items()
            }
            return Sensitivity(layers=layers, **raw)
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise QuantuneError(f"{path} is damaged ({error}); delete it and rerun") from error


def _with_integer_keys(item: dict[str, Any]) -> dict[str, Any]:
    keys = ("weight_nsr", "weight_mse", "added_nsr")
    return item | {key: {int(bits): value for bits, value in item[key].items()} for key in keys}
