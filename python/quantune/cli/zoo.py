"""`quantune zoo`: the models that need no file."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from quantune.cli.options import Json
from quantune.cli.output import Output

EXAMPLES = "Example: quantune zoo --parameters"


def command(
    parameters: Annotated[
        bool, typer.Option("--parameters", help="count them (takes a few seconds)")
    ] = False,
    as_json: Json = False,
) -> None:
    """List the zoo: names, inputs, and whether the weights are trained or random."""
    from quantune.zoo import registry

    output = Output(as_json)
    models = []
    for name in registry.names():
        entry = registry.entry(name)
        row: dict[str, Any] = {
            "name": f"zoo:{name}",
            "input_shape": list(entry.input_shape),
            "classes": entry.classes,
            "weights": "random" if entry.pretrained == "none" else entry.pretrained,
            "note": entry.note,
        }
        models.append(row | ({"parameters": _parameters(entry.factory)} if parameters else {}))
    output.show(_table(models))
    output.result({"models": models})


def _parameters(factory: Any) -> int:
    import torch

    with torch.device("meta"):  # shapes only
        return sum(parameter.numel() for parameter in factory().parameters())


def _table(models: list[dict[str, Any]]) -> Any:
    from rich.table import Table

    from quantune.report import text

    counted = "parameters" in models[0]
    table = Table("model", "input", "weights", *(["parameters"] if counted else []), "note")
    for row in models:
        count = [text.count(row["parameters"])] if counted else []
        table.add_row(row["name"], text.shape(row["input_shape"]), row["weights"], *count, row["note"])
    return table
