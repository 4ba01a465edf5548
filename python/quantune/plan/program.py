"""All plans of a network as the points of an integer program, boundaries between integers and f32 included.

For every layer l and precision p that it may take, x[l, p] is 0 or 1, and the x of a layer add up to 1. With
i[l] = 1 where l computes in integers, every value v, read by the layers R(v), has

    a[v] >= i[r]                r in R(v)     it is stored in integers
    f[v] >= 1 - i[r]            r in R(v)     somebody reads it in f32 (the caller does, of an output)
    q[v] >= a[v] - i[v]                       it is quantized at a boundary
    d[v] >= i[v] + a[v] + f[v] - 2            it is dequantized at a boundary

These four have prices of at least 0, so they take the least values permitted, which are 0 or 1 where the x
are: only the x need to be integer. A value that nobody reads in integers leaves its epilogue in f32, for free
(`plan.boundaries`). Every measure of a plan is linear in the variables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from quantune.graph.model import Graph
from quantune.plan.budget import Measure

Assignment = Mapping[str, str]
"""Layer → precision: "w8a8" …, "a8", or "f32"."""
Expression = tuple[dict[int, float], float]
"""Coefficients of variables, and a constant."""


@dataclass(frozen=True)
class Choice:
    """A precision that a layer may take, and what it adds to every measure of the plan."""

    precision: str
    costs: Mapping[Measure, float]


@dataclass(frozen=True)
class Edges:
    """What a value costs, beyond the layer that makes it.

    Attributes:
        noise: of storing it in integers. quantize, dequantize: microseconds of a boundary.
        rounding: noise of quantizing it at a boundary, beyond `noise`: of values that layers only move, which
            lose nothing where they come in integers.
    """

    noise: float = 0.0
    quantize: float = 0.0
    dequantize: float = 0.0
    rounding: float = 0.0


@dataclass(frozen=True)
class Program:
    """Variables, rows and measures. `choices` has every layer of the graph; `edges` what is not free."""

    graph: Graph
    choices: Mapping[str, Sequence[Choice]]
    edges: Mapping[str, Edges]
    index: dict[tuple[str, str], int] = field(default_factory=dict, init=False)
    rows: list[Expression] = field(default_factory=list, init=False)
    measures: dict[Measure, dict[int, float]] = field(default_factory=dict, init=False)
    variables: list[bool] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        for name, choices in self.choices.items():
            for choice in choices:
                variable = self._variable(integer=True, costs=choice.costs)
                self.index[name, choice.precision] = variable
        consumers = self.graph.consumers()
        for value in [*self.graph.inputs, *self.choices]:
            readers = [layer.name for layer in consumers[value]]
            self._value(value, readers, self.edges.get(value, Edges()))

    def _value(self, value: str, readers: Sequence[str], edges: Edges) -> None:
        if not readers:
            return
        own = ({}, 0.0) if value in self.graph.inputs else self._integer(value)
        stored = self._variable(costs={"noise": edges.noise})
        quantized = self._variable(costs={"latency": edges.quantize, "noise": edges.rounding})
        for reader in readers:
            self._at_least({stored: 1.0}, 0.0, self._integer(reader))
        self._at_least({quantized: 1.0, stored: -1.0}, 0.0, own, -1.0)
        is_output = value in self.graph.outputs
        if value in self.graph.inputs or (len(readers) == 1 and not is_output):
            return  # one reader does not read both forms
        read_float = self._variable()
        dequantized = self._variable(costs={"latency": edges.dequantize})
        for reader in readers:
            self._at_least({read_float: 1.0}, -1.0, self._integer(reader), -1.0)
        if is_output:
            self.rows.append(({read_float: 1.0}, -1.0))
        self._at_least({dequantized: 1.0, stored: -1.0, read_float: -1.0}, 2.0, own)

    def _integer(self, layer: str) -> Expression:
        """i[l] = 1 - x[l, f32]."""
        variable = self.index.get((layer, "f32"))
        return ({}, 1.0) if variable is None else ({variable: -1.0}, 1.0)

    def _variable(self, integer: bool = False, costs: Mapping[Measure, float] | None = None) -> int:
        variable = len(self.variables)
        self.variables.append(integer)
        for measure, cost in (costs or {}).items():
            if cost:
                self.measures.setdefault(measure, {})[variable] = cost
        return variable

    def _at_least(
        self, left: dict[int, float], constant: float, right: Expression, sign: float = 1.0
    ) -> None:
        """Adds left + constant - sign · right >= 0."""
        coefficients, offset = right
        row = dict(left)
        for variable, coefficient in coefficients.items():
            row[variable] = row.get(variable, 0.0) - sign * coefficient
        self.rows.append((row, constant - sign * offset))

    def vector(self, measure: Measure) -> NDArray[np.float64]:
        """Its coefficient for every variable."""
        found = np.zeros(len(self.variables))
        for variable, cost in self.measures.get(measure, {}).items():
            found[variable] = cost
        return found

    def matrix(self) -> tuple[sparse.csr_array, NDArray[np.float64]]:
        """Rows A and constants b of A x + b >= 0."""
        entries = [(i, j, c) for i, (row, _) in enumerate(self.rows) for j, c in row.items()]
        where, columns, data = zip(*entries, strict=True) if entries else ((), (), ())
        shape = (len(self.rows), len(self.variables))
        constants = np.array([constant for _, constant in self.rows], np.float64)
        return sparse.csr_array((np.array(data, np.float64), (where, columns)), shape=shape), constants

    def total(self, assignment: Assignment) -> dict[Measure, float]:
        """What a plan adds up to, from the definition of boundaries rather than from the rows."""
        found: dict[Measure, float] = {"noise": 0.0, "latency": 0.0, "size": 0.0, "bits": 0.0}
        for name, choices in self.choices.items():
            costs = next(c.costs for c in choices if c.precision == assignment[name])
            for measure, cost in costs.items():
                found[measure] += cost
        consumers = self.graph.consumers()
        for value, edges in self.edges.items():
            from_integer = value not in self.graph.inputs and assignment[value] != "f32"
            forms = [assignment[layer.name] != "f32" for layer in consumers[value]]
            if any(forms):
                found["noise"] += edges.noise
                if not from_integer:
                    found["latency"] += edges.quantize
                    found["noise"] += edges.rounding
                elif not all(forms) or value in self.graph.outputs:
                    found["latency"] += edges.dequantize
        return found
