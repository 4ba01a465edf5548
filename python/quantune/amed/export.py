"""From the trained network to weights that any PyTorch loader takes, and to a plan."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn

from quantune.amed.network import QuantizedNetwork
from quantune.errors import QuantuneError, UnsupportedError
from quantune.files import replacing
from quantune.graph.model import Graph
from quantune.numerics import layer_weights, quantize_weights
from quantune.plan.schema import LayerPlan, Plan
from quantune.reference.torch_graph import from_kernel

Norm = nn.modules.batchnorm._BatchNorm
OnTensor = Callable[[str, Tensor], None]


def write_weights(network: QuantizedNetwork, module: nn.Module, example: Tensor, path: Path) -> None:
    """The module's state dict with the trained weights, as safetensors.

    Weights lie on their grids: a step times a whole number. A batch norm becomes the identity plus the
    layer's bias, with weight 1, mean 0 and variance 1 - eps: its scale is then 1 within 2**-25, which
    rounding to f32 takes away where it is folded into the weights.

    module: the network as PyTorch has it. example: one input for it.
    Raises UnsupportedError naming a layer that has no place of its own in the module.
    """
    modules, norms = dict(module.named_modules()), _norms(module, example)
    state = {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}
    for layer in network.graph.contractions:
        owner = modules.get(layer.name)
        wanted = tuple(network.kernel(layer.name).shape)
        weight = getattr(owner, "weight", None)
        if not isinstance(weight, Tensor) or tuple(weight.shape) != wanted:
            raise UnsupportedError(
                f"layer {layer.name} is not the weight of one PyTorch module, so that training cannot be "
                "written back; give every convolution and linear layer a module of its own"
            )
        state[f"{layer.name}.weight"] = torch.from_numpy(on_grid(network, layer.name))
        _write_bias(state, network, layer.name, norms.get(layer.name), modules)
    with replacing(path) as temporary:
        save_file({name: tensor.contiguous() for name, tensor in state.items()}, temporary)


def on_grid(network: QuantizedNetwork, layer: str) -> NDArray[np.float32]:
    """f32, torch's layout: what the integer weights stand for."""
    scales = network.weight_scales(layer).numpy()
    kernel = network.kernel(layer).detach().cpu().numpy()
    stored = quantize_weights(kernel, scales, network.bits[layer], channel_axis=0)
    return (stored * scales.reshape(-1, *[1] * (kernel.ndim - 1))).astype(np.float32)


def trained_plan(network: QuantizedNetwork, base: Plan, graph: Graph, report: dict[str, Any]) -> Plan:
    """The plan of the trained network: the base plan's, with learned bits and scales.

    graph: as imported with the written weights. Raises QuantuneError if its weights are not those that were
    trained, to the bit; that would be a bug.
    """
    stored = network.quantizations()
    layers: dict[str, LayerPlan] = {}
    for name, choice in base.layers.items():
        output = stored.get(name, choice.output)
        if name not in network.bits:
            layers[name] = replace(choice, output=output)
            continue
        scales = tuple(float(scale) for scale in network.weight_scales(name))
        bits = network.bits[name]
        reason = f"trained with {bits}-bit weights and learned steps"
        layers[name] = replace(
            choice, output=output, weight_bits=bits, weight_scales=scales, reason=reason, alternatives=()
        )
        _check(network, graph, name, layers[name])
    return replace(
        base,
        fingerprint=graph.fingerprint,
        strategy="amed",
        inputs={name: stored.get(name, found) for name, found in base.inputs.items()},
        layers=layers,
        report=report,
        # training has moved weights and biases on the quantized network itself: nothing is left to mend
        settings=replace(base.settings, bias_correction=False, rounding="nearest"),
    )


def _check(network: QuantizedNetwork, graph: Graph, name: str, choice: LayerPlan) -> None:
    layer, bias = graph.layer(name), network.twin.bias(name)
    kernel = network.kernel(name).detach().cpu().numpy()
    scales = np.array(choice.weight_scales)
    wanted = quantize_weights(kernel, scales, network.bits[name], channel_axis=0).astype(np.float32)
    same = np.array_equal(layer_weights(layer, choice)[0], from_kernel(layer, torch.from_numpy(wanted)))
    if bias is not None:
        exact = np.zeros(len(scales), np.float32) if layer.bias is None else layer.bias
        same = same and np.array_equal(exact, bias.detach().cpu().numpy())
    if not same:
        raise QuantuneError(f"layer {name}: the weights came back changed; please report this model")


def _write_bias(
    state: dict[str, Tensor],
    network: QuantizedNetwork,
    layer: str,
    norm: str | None,
    modules: dict[str, nn.Module],
) -> None:
    own, trained = f"{layer}.bias", network.twin.bias(layer)
    if norm is None:
        if trained is not None and own not in state:
            raise UnsupportedError(
                f"layer {layer}: its bias does not come from its own module or a batch norm after it"
            )
        if trained is not None:
            state[own] = trained.detach().cpu()
        return
    if own in state:
        state[own] = torch.zeros_like(state[own])
    eps = float(modules[norm].eps)  # type: ignore[arg-type]
    channels = state[f"{norm}.running_var"]
    state[f"{norm}.running_var"] = torch.full_like(channels, 1.0 - eps)
    state[f"{norm}.running_mean"] = torch.zeros_like(channels)
    state[f"{norm}.weight"] = torch.ones_like(channels)
    bias = torch.zeros_like(channels) if trained is None else trained.detach().cpu()
    state[f"{norm}.bias"] = bias.clone()


def _norms(module: nn.Module, example: Tensor) -> dict[str, str]:
    """Convolution or linear layer → the batch norm that reads its result, found by running `example`."""
    made: dict[int, str] = {}
    found: dict[str, str] = {}
    kept: list[Tensor] = []  # ids are of living tensors only

    def after(name: str, result: Tensor) -> None:
        kept.append(result)
        made[id(result)] = name

    def before_norm(name: str, x: Tensor) -> None:
        if id(x) in made:
            found[made[id(x)]] = name

    with _hooked(module, after, before_norm), torch.no_grad():
        module(example)
    return found


@contextmanager
def _hooked(module: nn.Module, after: OnTensor, before_norm: OnTensor) -> Iterator[None]:
    handles = []
    for name, part in module.named_modules():
        if isinstance(part, Norm):
            if not part.affine or not part.track_running_stats:
                raise UnsupportedError(f"batch norm {name} has no weights or no statistics to write to")
            handles.append(part.register_forward_pre_hook(lambda _, x, n=name: before_norm(n, x[0])))
        elif isinstance(part, nn.Conv2d | nn.Linear):
            handles.append(part.register_forward_hook(lambda _, __, y, n=name: after(n, y)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
