"""The hardware's own signal: how long a network with these bits takes."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from dataclasses import replace

from quantune.amed.budget import Costs
from quantune.amed.chain import State
from quantune.amed.settings import Signal
from quantune.errors import QuantuneError
from quantune.job.job import Job
from quantune.plan.schema import Plan
from quantune.progress import Silent
from quantune.search.evaluate import Evaluator

PICTURES = 4
"""That a module classifies beside being timed, so that one that cannot run fails here."""


def latency_of(signal: Signal, job: Job, base: Plan, costs: Costs) -> Callable[[State], float] | None:
    """Milliseconds of a state; None where the reward takes no signal.

    "table": the sum of the target's prices, measured or modelled. "measured": the module is compiled with
    these bits, before training, and timed in turns with fp32; a state is timed once on this processor, also
    when a killed run goes on. base: the plan that is the same but for the bits.

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
    return _measured(job, base, costs)


def with_bits(base: Plan, layers: tuple[str, ...], state: State) -> Plan:
    """The plan with other weight bits; scales follow from the weights."""
    chosen = {
        name: replace(base.layers[name], weight_bits=bits, weight_scales=None)
        for name, bits in zip(layers, state, strict=True)
    }
    return replace(base, layers=base.layers | chosen)


def _measured(job: Job, base: Plan, costs: Costs) -> Callable[[State], float]:
    """Shares of fp32's latency, times fp32's own when 8 bits were timed: a machine that has slowed down since
    does not make a state look worse."""
    quiet = copy.copy(job)
    quiet.progress = Silent()  # the search's own steps are what the user sees
    evaluate = Evaluator(quiet, job.calibration.limited(PICTURES), timed=True)

    @functools.cache
    def latencies(state: State) -> tuple[float, float]:
        found = evaluate(quiet, with_bits(base, costs.layers, state))
        assert found.latency_ms is not None and found.fp32_latency_ms is not None
        return found.latency_ms, found.fp32_latency_ms

    def milliseconds(state: State) -> float:
        own, exact = latencies(state)
        return own / exact * latencies((8,) * len(state))[1]

    return milliseconds
