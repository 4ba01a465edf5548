"""The hardware's own signal: how long a network with these bits takes."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from dataclasses import replace

from quantune.amed.budget import Costs
from quantune.amed.chain import State
from quantune.amed.settings import Signal
from quantune.backend.runner import HostRunner, least_seconds
from quantune.errors import QuantuneError
from quantune.job.job import Job
from quantune.plan.schema import Plan

CALLS = 30
"""Of a compiled module; the fastest counts."""


def latency_of(signal: Signal, job: Job, base: Plan, costs: Costs) -> Callable[[State], float] | None:
    """Milliseconds of a state; None where the reward takes no signal.

    "table": the sum of the target's prices, measured or modelled. "measured": the module is compiled with
    these bits, before training, and timed; once a state. base: the plan that is the same but for the bits.

    Raises QuantuneError when modules are to be measured that do not run here.
    """
    if signal == "none":
        return None
    if signal == "table":
        return costs.milliseconds
    if not job.target.runs_here:
        raise QuantuneError(
            f"{job.target.name} modules do not run on this machine, so that nothing can be measured; "
            "use --signal table"
        )
    return functools.cache(lambda state: _measured(job, with_bits(base, costs.layers, state)))


def with_bits(base: Plan, layers: tuple[str, ...], state: State) -> Plan:
    """The plan with other weight bits; scales follow from the weights."""
    chosen = {
        name: replace(base.layers[name], weight_bits=bits, weight_scales=None)
        for name, bits in zip(layers, state, strict=True)
    }
    return replace(base, layers=base.layers | chosen)


def _measured(job: Job, plan: Plan) -> float:
    bits = repr([choice.weight_bits for choice in plan.layers.values()])
    built = job.build(f"bits-{hashlib.sha256(bits.encode()).hexdigest()[:12]}", plan)
    return least_seconds(HostRunner(built.path), [job.example()], CALLS) * 1e3
