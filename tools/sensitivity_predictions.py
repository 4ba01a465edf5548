"""The SQNR that is predicted for whole plans against what they have, by v2 and by two of the study's metrics.

v2: what int8 measured, and for each layer what its probes say that so few bits add.
Transfer: what int8 measured, and for each layer its output's error with b bits times its transfer.
Whole: what int8 measured, and what b bits add to each layer's weights' own noise-to-signal ratio.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from oracle_setting import Pictures, Setting
from quantune.plan.schema import Plan
from quantune.plan.strategies import uniform
from quantune.replica import Replica
from quantune.sensitivity.metrics import Noise, decibels
from quantune.sensitivity.result import Sensitivity
from sensitivity_candidates import Table

BATCH = 32
WIDTHS = (4, 3, 2)
MIXED = 8
Bits = dict[str, int]


def compare(
    setting: Setting, sensitivity: Sensitivity, transfer: Table, pictures: Pictures
) -> list[dict[str, Any]]:
    """Rows of {"plan", "measured_db", "v2_db", "transfer_db", "whole_db"}: uniform, then random mixtures."""
    contractions = [layer.name for layer in setting.graph.contractions]
    plans = {f"w{bits}": dict.fromkeys(contractions, bits) for bits in WIDTHS}
    generator = np.random.default_rng(0)
    for number in range(MIXED):
        drawn = generator.choice((8, 4, 3), len(contractions))
        plans[f"mixed {number + 1}"] = dict(zip(contractions, drawn.tolist(), strict=True))
    exact = Replica(setting.graph, None)
    replicas = {name: Replica(setting.graph, narrowed(setting, bits)) for name, bits in plans.items()}
    noise = {name: Noise() for name in plans}
    for start in range(0, len(pictures), BATCH):
        images = pictures.images[start : start + BATCH]
        reference = exact.logits(exact.run(images)).numpy()
        for name, replica in replicas.items():
            noise[name].add(reference, replica.logits(replica.run(images)).numpy())
    return [
        {
            "plan": name,
            "measured_db": round(noise[name].sqnr_db, 2),
            "v2_db": round(decibels(by_v2(sensitivity, bits)), 2),
            "transfer_db": round(decibels(by_transfer(sensitivity, transfer, bits)), 2),
            "whole_db": round(decibels(by_weights(sensitivity, bits)), 2),
        }
        for name, bits in plans.items()
    ]


def narrowed(setting: Setting, bits: Bits) -> Plan:
    layers = {
        name: uniform.choice(setting.request, setting.graph.layer(name), width)
        for name, width in bits.items()
    }
    return dataclasses.replace(setting.base, layers={**setting.base.layers, **layers})


def by_v2(sensitivity: Sensitivity, bits: Bits) -> float:
    """As described above."""
    layers = sensitivity.layers
    return sensitivity.output_nsr + sum(layers[name].added_nsr[width] for name, width in bits.items())


def by_weights(sensitivity: Sensitivity, bits: Bits) -> float:
    """As described above."""
    known = {name: sensitivity.layers[name].weight_nsr for name in bits}
    return sensitivity.output_nsr + sum(known[name][width] - known[name][8] for name, width in bits.items())


def by_transfer(sensitivity: Sensitivity, transfer: Table, bits: Bits) -> float:
    """As described above."""
    return sensitivity.output_nsr + sum(
        max(0.0, transfer[name][width] - transfer[name][8]) for name, width in bits.items()
    )
