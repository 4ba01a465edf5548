"""A plan file edited by hand → Plan: globs expanded, every mistake named."""

from __future__ import annotations

import fnmatch
import math
from pathlib import Path
from typing import Any

from quantune.errors import PlanError
from quantune.graph.model import Graph
from quantune.plan.boundaries import integer_values
from quantune.plan.check import check_fits, no_match
from quantune.plan.schema import Plan, Quantization, layer_from_json, quantization_from_json, read_plan_json
from quantune.plan.settings import settings_from_json

# Settings that say something about weights; a glob gives them to contractions only.
_WEIGHT_SETTINGS = frozenset({"weight_bits", "weight_scales"})
_KEYS = frozenset(
    {"schema", "model", "fingerprint", "strategy", "target", "inputs", "layers", "report", "settings"}
)


def load_plan(path: Path, graph: Graph | None = None) -> Plan:
    """Reads plan.json and expands the globs among its layer names.

    Exact entries come first, then globs (`*`, `?`, `[…]`) in the order of the file; each overrides just the
    settings that it gives, objects within settings too: `"layer4.*": {"precision": "float"}`,
    `"*": {"weight_bits": 6}`, `"conv1": {"output": {"bits": 6}}`. Other bits for an activation change its
    step and keep the range that calibration found. Weight settings of a glob apply to contractions.

    Raises PlanError naming the entry: it matches nothing, has unknown or missing settings, is integer where
    that is impossible; or the plan is of another schema or another model. Without a graph nothing is checked
    against a model, and globs are errors.
    """
    raw = read_plan_json(path)
    try:
        if graph is not None:
            _check_model(raw, graph)
        plan = _plan(raw, _expanded(raw["layers"], graph))
        if graph is not None:
            check_fits(plan, graph)
            _check_integer(plan, graph)
    except PlanError as error:
        raise PlanError(f"{path}: {error}") from None
    return plan


def _plan(raw: dict[str, Any], layers: dict[str, dict[str, Any]]) -> Plan:
    if unknown := sorted(set(raw) - _KEYS):
        raise PlanError(f"unknown setting {unknown[0]!r}; known: {', '.join(sorted(_KEYS))}")
    texts = {}
    for key in ("model", "fingerprint", "strategy", "target"):
        if not isinstance(raw.get(key), str):
            raise PlanError(f"{key} is missing or no text; make the plan anew with `quantune plan`")
        texts[key] = raw[key]
    inputs: dict[str, Quantization] = {}
    for name, value in _object(raw.get("inputs"), "inputs").items():
        found = quantization_from_json(value, f"inputs.{name}")
        if found is None:
            raise PlanError(f"inputs.{name}: expected an object, found null")
        inputs[name] = found
    return Plan(
        **texts,
        inputs=inputs,
        layers={name: layer_from_json(value, f"layers.{name}") for name, value in layers.items()},
        report=_object(raw.get("report", {}), "report"),
        settings=settings_from_json(raw.get("settings")),
    )


def _check_model(raw: dict[str, Any], graph: Graph) -> None:
    """First of all: near matches of layer names would only confuse whoever took the wrong file."""
    if raw.get("fingerprint") != graph.fingerprint:
        raise PlanError(
            f"it was made for model {raw.get('model')!r} with other weights or structure (fingerprint "
            f"{raw.get('fingerprint')}, this model has {graph.fingerprint}); "
            "make it anew with `quantune plan`"
        )


def _expanded(entries: Any, graph: Graph | None) -> dict[str, dict[str, Any]]:
    """Settings by exact layer name, in the order of the graph."""
    entries = _object(entries, "layers")
    for key, value in entries.items():
        _check_settings(_object(value, f"layers.{key}"), f"layers.{key}")
    exact = {key: dict(value) for key, value in entries.items() if graph is None or key in graph}
    if graph is None:
        if globs := [key for key in entries if _is_glob(key)]:
            raise PlanError(f"layer {globs[0]!r} is a glob; it can be expanded only together with the model")
        return exact
    names = [layer.name for layer in graph]
    for pattern in entries:
        if pattern in graph:
            continue
        matches = [name for name in names if fnmatch.fnmatchcase(name, pattern)]
        if not matches:
            raise PlanError(no_match(pattern, names))
        useless = sorted(_WEIGHT_SETTINGS & set(entries[pattern]))
        if useless and not any(graph.layer(name).is_contraction for name in matches):
            raise PlanError(f"layers.{pattern}: {useless[0]} is for layers with weights; it matches none")
        for name in matches:
            settings = entries[pattern]
            if not graph.layer(name).is_contraction:
                settings = {key: value for key, value in settings.items() if key not in _WEIGHT_SETTINGS}
            exact[name] = _merged(exact.get(name, {}), settings)
    return {name: exact[name] for name in names if name in exact}


def _merged(entry: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """`entry` with the settings that are given; `output` by its own settings."""
    merged = {**entry, **settings}
    before, after = entry.get("output"), settings.get("output")
    if "weight_bits" in settings and "weight_scales" not in settings:
        merged["weight_scales"] = _rescaled_weights(entry, settings["weight_bits"])
    if isinstance(before, dict) and isinstance(after, dict):
        merged["output"] = {**before, **after}
        if set(after) == {"bits"}:
            merged["output"] = _rescaled(before, after["bits"])
    return merged


def _rescaled(before: dict[str, Any], bits: Any) -> dict[str, Any]:
    """The same range in another number of steps: scale·(2^old - 1) = scale'·(2^new - 1)."""
    old = quantization_from_json(before, "output")
    if old is None or not isinstance(bits, int) or not 2 <= bits <= 8:
        return {**before, "bits": bits}  # the schema says what is wrong
    ratio = ((1 << bits) - 1) / old.maximum
    return {"bits": bits, "scale": old.scale / ratio, "zero_point": round(old.zero_point * ratio)}


def _rescaled_weights(entry: dict[str, Any], bits: Any) -> list[float] | None:
    """The scales of the same range in another number of steps; None where the width decides them."""
    scales, old = entry.get("weight_scales"), entry.get("weight_bits")
    if not scales or not all(isinstance(width, int) and 2 <= width <= 8 for width in (old, bits)):
        return scales  # the schema says what is wrong
    ratio = ((1 << (int(old or 0) - 1)) - 1) / ((1 << (bits - 1)) - 1)
    return [scale * ratio for scale in scales]


def _check_integer(plan: Plan, graph: Graph) -> None:
    """Everything that an integer layer needs is there."""
    for layer in graph:
        choice = plan.layers[layer.name]
        if choice.precision == "integer" and layer.kind == "opaque":
            operation = layer.attributes.get("operation", "its operation")
            raise PlanError(
                f"layer {layer.name!r} cannot be integer: {operation} is not supported; set it to float"
            )
        if not layer.is_contraction and (choice.weight_bits or choice.weight_scales):
            raise PlanError(f"layer {layer.name!r} has no weights; remove its weight_bits and weight_scales")
        channels = layer.output_shape[-1]
        if choice.weight_scales is not None and len(choice.weight_scales) != channels:
            raise PlanError(
                f"layer {layer.name!r} has {len(choice.weight_scales)} weight_scales for {channels} channels"
            )
    integer_values(graph, plan)


def _check_settings(entry: dict[str, Any], where: str) -> None:
    """What JSON allows and arithmetic does not: fractional bits, numbers as text, NaN among scales."""
    output = entry.get("output")
    if output is not None:
        output = _object(output, f"{where}.output")
        for key in ("bits", "zero_point"):
            _check_whole(output.get(key, 0), f"{where}.output.{key}")
    if entry.get("weight_bits") is not None:
        _check_whole(entry["weight_bits"], f"{where}.weight_bits")
    scales = entry.get("weight_scales")
    if scales is not None and not (isinstance(scales, list) and scales and all(map(_is_scale, scales))):
        raise PlanError(f"{where}.weight_scales: expected positive finite numbers, one a channel")


def _check_whole(value: Any, where: str) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise PlanError(f"{where}: expected a whole number, found {value!r}")


def _is_scale(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and value > 0 and math.isfinite(value)


def _is_glob(name: str) -> bool:
    return any(character in name for character in "*?[")


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise PlanError(f"{where}: expected an object, found {type(value).__name__}")
    return value
