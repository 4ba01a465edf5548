"""mse-ranking: layers whose outputs differ most from the float network's get 8 bits, worst first.

Intel Neural Compressor's "mse" strategy ranks operations by the mean squared error between the float and the
quantized network's tensors and lets the worst fall back; here they fall back from the narrow width to 8 bits,
and as many as the size permits.
"""

from __future__ import annotations

from collections.abc import Mapping

from quantune.plan.schema import Plan
from quantune.plan.strategies.allocation import counts, decided, raised
from quantune.plan.strategies.request import Request


def plan(request: Request, average: float, mse: Mapping[str, float]) -> Plan:
    """A plan of at most `average` weight bits.

    mse: contraction → of its output, the network with all weights at the narrow width against the float one.
    """
    order = sorted(counts(request.graph), key=lambda name: -mse[name])
    widths = raised(request.graph, order, average)
    reasons = {
        name: f"{widths[name]}-bit weights: output MSE {mse[name]:.2g}, rank {rank} of {len(order)}"
        for rank, name in enumerate(order, 1)
    }
    return decided(request, "mse-ranking", widths, reasons)
