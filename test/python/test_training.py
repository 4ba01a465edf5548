"""The zoo's training: resumed runs end with the same weights, checkpoints are as good as their log says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import train_zoo
import zoo_training
from quantune import zoo
from quantune.data.augmentation import augment
from quantune.errors import QuantuneError
from quantune.files import read_json
from quantune.zoo.weights import WEIGHTS_FOLDER
from zoo_recipes import RECIPES, Recipe
from zoo_training import Pictures, Run

ROOT = Path(__file__).resolve().parents[2]
RECIPE = Recipe(cycles=((2, 0.05),), batch=32)
BLACK = -1.0


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    """Training sets them for its process."""
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)


def stripes(count: int, seed: int) -> Pictures:
    """Noisy pictures of 8x8: lines across (class 0) or down (class 1)."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 2, (count,), generator=generator)
    lines = torch.where(torch.arange(8) % 2 == 0, 1.0, BLACK)
    images = torch.where(labels.view(-1, 1, 1) == 0, lines.view(1, 8, 1), lines.view(1, 1, 8))
    return Pictures((images + 0.3 * torch.randn(count, 8, 8, generator=generator))[:, None], labels, BLACK)


def tiny() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, 2, 1, groups=8, bias=False),
        nn.BatchNorm2d(8),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(0.1),
        nn.Linear(8, 2),
    )


def run_at(folder: Path, recipe: Recipe = RECIPE) -> Run:
    return zoo_training.prepare(
        "tiny", tiny, recipe, stripes(300, 1), stripes(100, 2), folder / "build" / "tiny.pt"
    )


def go(run: Run, advance: Callable[[int], None] = lambda count: None) -> dict[str, torch.Tensor]:
    zoo_training.train(run, advance, lambda epoch, found: None)
    return run.module.state_dict()


def test_an_interrupted_run_ends_with_the_same_weights(tmp_path: Path) -> None:
    whole = run_at(tmp_path / "whole")
    expected = go(whole)
    assert whole.curve[-1] > 0.95  # it has learnt
    steps = 0

    def interrupt(count: int) -> None:
        nonlocal steps
        steps += count
        if steps == 300 // 32 + 3:  # in the second epoch
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        go(run_at(tmp_path), interrupt)
    assert [path.name for path in (tmp_path / "build").iterdir()] == ["tiny.pt"]
    resumed = run_at(tmp_path)
    told: list[int] = []
    got = go(resumed, told.append)
    assert told[0] == 300 // 32 and sum(told) == 2 * (300 // 32)
    assert resumed.curve == whole.curve and resumed.seconds > 0
    for key, value in expected.items():
        assert torch.equal(value, got[key]), key


def test_a_checkpoint_of_another_recipe_is_not_continued(tmp_path: Path) -> None:
    go(run_at(tmp_path))
    for other in (Recipe(cycles=((2, 0.04),), batch=32), Recipe(cycles=((2, 0.05),), batch=32, seed=1)):
        told: list[int] = []
        go(run_at(tmp_path, other), told.append)
        assert told[0] == 0


def test_one_more_cycle_continues_a_finished_training(tmp_path: Path) -> None:
    go(run_at(tmp_path))
    longer = Recipe(cycles=((2, 0.05), (1, 0.02)), batch=32)
    told: list[int] = []
    continued = run_at(tmp_path, longer)
    got = go(continued, told.append)
    assert told[0] == 2 * (300 // 32) and len(continued.curve) == 3
    for key, value in go(run_at(tmp_path / "whole", longer)).items():
        assert torch.equal(value, got[key]), key


def test_weights_are_written_in_half_precision_and_must_be_finite(tmp_path: Path) -> None:
    module, path = tiny(), tmp_path / "tiny.safetensors"
    train_zoo.write_weights(module, path)
    state = load_file(path)
    assert {value.dtype for value in state.values() if value.dim() > 1} == {torch.float16}
    assert state["1.running_var"].dtype == torch.float32
    assert set(state) == {key for key in module.state_dict() if not key.endswith("num_batches_tracked")}
    with torch.no_grad():
        module.get_parameter("0.weight").fill_(1e5)
    with pytest.raises(QuantuneError, match=r"0\.weight .* lower the recipe's rate"):
        train_zoo.write_weights(module, tmp_path / "other.safetensors")
    assert not (tmp_path / "other.safetensors").exists()


def test_depthwise_convolutions_made_easy_compute_the_same() -> None:
    part = nn.Conv2d(8, 8, 3, 2, 1, groups=8)
    inputs = torch.randn(2, 8, 9, 8, generator=torch.Generator().manual_seed(1))
    expected = part(inputs)
    zoo_training.ease(part)
    torch.testing.assert_close(part(inputs), expected)


def test_augmentation_shifts_and_mirrors_over_black() -> None:
    images = torch.arange(1.0, 65.0).reshape(1, 1, 8, 8).expand(200, 1, 8, 8)
    got = augment(images, BLACK, 2, torch.Generator().manual_seed(1))
    padded = torch.nn.functional.pad(images[0], (2, 2, 2, 2), value=BLACK)
    seen = set()
    for picture in got:
        places = [
            (top, left, mirrored)
            for top in range(5)
            for left in range(5)
            for mirrored in (False, True)
            if torch.equal(
                picture.flip(2) if mirrored else picture, padded[:, top : top + 8, left : left + 8]
            )
        ]
        assert len(places) == 1
        seen.add(places[0])
    assert len(seen) > 40  # of 50


def test_the_rate_rises_and_falls() -> None:
    recipe = Recipe(cycles=((10, 0.2), (5, 0.1)), warm_up=0.2)
    rates = [recipe.rate_at(i / 10) for i in range(151)]
    assert max(rates) == rates[20] == pytest.approx(0.2)
    assert rates[:21] == sorted(rates[:21]) and rates[20:100] == sorted(rates[20:100], reverse=True)
    assert 0 < rates[0] < 0.02 and rates[99] < 1e-3 and rates[150] == 0
    assert max(rates[100:]) == rates[110] == pytest.approx(0.1)


def test_a_name_without_recipe_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert train_zoo.main(["resnet19"]) == 1
    assert "no recipe for resnet19; there are: resnet18" in capsys.readouterr().err


TRAINED = sorted(path.name.removesuffix("@32.safetensors") for path in WEIGHTS_FOLDER.glob("*.safetensors"))


def test_every_checkpoint_is_in_the_log() -> None:
    entries = read_json(WEIGHTS_FOLDER / train_zoo.LOG) if TRAINED else {}
    assert set(TRAINED) == set(entries) <= set(RECIPES)


@pytest.mark.parametrize("name", TRAINED)
def test_checkpoints_are_as_good_as_the_log_says(name: str) -> None:
    entry = read_json(WEIGHTS_FOLDER / train_zoo.LOG)[name]
    module, found, trained = zoo.load(f"{name}@32")
    assert trained and found.pretrained == "fashion-mnist"
    assert entry["parameters"] == sum(value.numel() for value in module.parameters())
    assert sum(epochs for epochs, _ in entry["recipe"]["cycles"]) == len(entry["curve"])
    assert entry["accuracy"]["test"] >= 0.9
    row = f"| {name} | {entry['parameters']:,} | {100 * entry['accuracy']['test']:.2f} % |"
    assert row in (ROOT / "docs/zoo.md").read_text()
    try:
        pictures = train_zoo.load_pictures("test")
    except QuantuneError as error:
        pytest.skip(str(error))
    chosen = torch.from_numpy(np.arange(0, 10_000, 50))
    part = Pictures(pictures.images[chosen], pictures.labels[chosen], pictures.black)
    assert zoo_training.accuracy(module, part) == pytest.approx(entry["accuracy"]["test"], abs=0.06)
