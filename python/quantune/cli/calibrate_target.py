"""`quantune calibrate-target`: times layers on this machine, so that plans are made from what they cost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quantune.cli import options
from quantune.cli.output import Output
from quantune.progress import stage

if TYPE_CHECKING:
    from quantune.costs.shapes import Shape
    from quantune.costs.store import Store
    from quantune.graph.model import Graph
    from quantune.targets import Target

EXAMPLES = """Examples:

quantune calibrate-target

quantune calibrate-target zoo:resnet18 net.py:make --target x86-64-avx2

quantune calibrate-target zoo:resnet18 --target cortex-a53 --json"""


def command(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODEL…]",
            help="whose layers to measure (default: the zoo's at 224x224)",
            show_default=False,
        ),
    ] = None,
    target: options.Target = "host",
    kernels: options.Kernels = "on",
    refresh: Annotated[bool, typer.Option("--refresh", help="measure again what is known already")] = False,
    as_json: options.Json = False,
) -> None:
    """Measure what each distinct layer costs in every precision, and keep it for plans to come.

    Every operation and shape is timed once, through the kernels that ship, on one thread. What is finished is
    kept: after Ctrl-C the same command goes on. For targets that do not run here it shows the model's prices.
    """
    options.checked_target(target)
    with_kernels = options.switched_on(kernels, "--kernels")

    from quantune.targets import get

    output, chosen = Output(as_json), get(target)
    graphs = dict(_graphs(models or _zoo(), output))
    if chosen.runs_here:
        store, left = _measured(graphs, chosen, with_kernels, refresh, output)
        rows = _rows(graphs, chosen, store)
        facts: dict[str, Any] = {"cpu": store.cpu, "path": str(store.path), "not_measured": left}
    else:
        rows = _rows(graphs, chosen, None)
        facts = {"cpu": None, "path": None, "not_measured": []}
    _print(output, rows, facts, target)
    output.result({"target": target, **facts, "layers": rows})


def _zoo() -> list[str]:
    from quantune.zoo import registry

    return [f"zoo:{name}" for name in registry.names() if not name.endswith(registry.SMALL)]


def _graphs(models: list[str], output: Output) -> Iterator[tuple[str, Graph]]:
    from quantune.ingress.load import load_model

    for name in models:
        with stage(output.progress, f"importing {name}"):
            yield name, load_model(name).graph


def _measured(
    graphs: dict[str, Graph], target: Target, kernels: bool, refresh: bool, output: Output
) -> tuple[Store, list[str]]:
    """The store with everything in it, and the keys of the shapes that could not be measured."""
    from quantune.costs.calibrate import BOUNDARIES, calibrate, missing, shapes_of, works_of
    from quantune.costs.store import open_store

    store = open_store(target, kernels)
    shapes = [shape for graph in graphs.values() for shape in shapes_of(graph)]
    wanted = works_of([*shapes, *BOUNDARIES])
    left = calibrate(wanted if refresh else missing(wanted, store), target, store, output.progress, kernels)
    return store, list(dict.fromkeys(work.shape.key for work in left))


def _rows(graphs: dict[str, Graph], target: Target, store: Store | None) -> list[dict[str, Any]]:
    """One a distinct shape, or a layer that has no shape of its own: prices in microseconds by precision."""
    from quantune.costs.prices import prices
    from quantune.costs.shapes import shape_of

    rows: dict[str, dict[str, Any]] = {}
    for model, graph in graphs.items():
        found = prices(graph, target, store)
        for layer in graph:
            shape: Shape | None = shape_of(graph, layer)
            if layer.name in found.layers:
                key = shape.key if shape is not None else f"{model} {layer.name}"
                costs = found.layers[layer.name]
                row = rows.setdefault(key, {"layer": key, "macs": layer.macs, "count": 0})
                row["count"] += 1
                row["microseconds"] = {name: round(price.microseconds, 2) for name, price in costs.items()}
                row["bytes"] = {name: price.bytes for name, price in costs.items()}
                row["source"] = {name: price.source for name, price in costs.items()}
    return sorted(rows.values(), key=lambda row: -row["macs"])


def _print(output: Output, rows: list[dict[str, Any]], facts: dict[str, Any], target: str) -> None:
    from rich.table import Table

    from quantune.plan.cost import MEASURED
    from quantune.targets.cost_model import PRECISIONS

    table = Table(
        "layer", "times", *PRECISIONS, "source", title=f"µs on {target}, one thread", title_justify="left"
    )
    for row in rows:
        times = dict(row["microseconds"])
        times.setdefault("w8a8", times.get("a8"))
        cells = ["" if times.get(name) is None else f"{times[name]:.1f}" for name in PRECISIONS]
        source = MEASURED if set(row["source"].values()) == {MEASURED} else "modelled"
        table.add_row(row["layer"], str(row["count"]), *cells, source)
    output.show(table)
    if facts["path"] is None:
        output.show(f"{target} does not run here: these prices come from its model (docs/costs.md).")
    else:
        output.show(f"Measured on {facts['cpu']}; kept in {facts['path']}")
