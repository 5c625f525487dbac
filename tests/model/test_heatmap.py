"""Heat maps: where a network sees a class."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from eyas.data.images.preprocess import Preprocess
from eyas.errors import SettingsError
from eyas.model.classifier import Classifier
from eyas.model.heatmap import heatmap
from eyas.model.zoo import build
from eyas.render.overlay import overlay


class Seeing(nn.Module):
    """Sees class 0 where a picture is bright, class 1 where it is dark."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 2, 4, stride=4, bias=False)
        self.layer.weight.data[0] = 1 / 48
        self.layer.weight.data[1] = -1 / 48

    def forward(self, images):
        return self.layer(images).clamp(min=0).mean((2, 3))


class Averaging(nn.Module):
    """Has no layer with places."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, images):
        return self.layer(images.mean((2, 3)))


def half_bright() -> torch.Tensor:
    inputs = torch.full((1, 3, 32, 32), -1.0)
    inputs[..., 16:] = 1.0
    return inputs


def test_the_map_is_hot_where_the_class_is_seen_and_nowhere_else():
    bright, dark = (heatmap(Seeing(), half_bright(), target) for target in (0, 1))
    assert bright.shape == (8, 8)
    assert bright[:, 4:].min() == 1.0
    assert bright[:, :4].max() == 0.0
    assert torch.equal(dark, 1 - bright)


def test_a_class_that_nothing_speaks_for_has_an_empty_map():
    assert heatmap(Seeing(), torch.ones(1, 3, 32, 32), 1).max() == 0.0


def test_a_network_without_places_has_no_map():
    assert heatmap(Averaging(), half_bright(), 0) is None


@pytest.mark.parametrize(
    ("name", "size", "side"),
    [
        ("alexnet", 64, 1),
        ("compact", 32, 4),
        ("swift", 32, 7),
        ("resnet18", 128, 4),
        ("vit_b_32", 224, 7),
        ("swin_t", 128, 4),
    ],
)
def test_networks_of_all_kinds_have_maps(name, size, side):
    network = build(name, 3).eval()
    for module in network.modules():
        if isinstance(module, nn.Linear) and module.out_features == 3:
            nn.init.normal_(module.weight, std=0.1)  # some heads begin as zeros, which nothing speaks for
    found = heatmap(network, torch.randn(1, 3, size, size), 1)
    assert found.shape[0] >= side
    assert found.min() >= 0.0
    assert found.max() in (0.0, 1.0)


def test_it_leaves_the_network_as_it_was():
    network = build("compact", 3).train()
    network.fc.eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    heatmap(network, torch.randn(1, 3, 32, 32), 0)
    assert network.training
    assert not network.fc.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert not any(module._forward_hooks for module in network.modules())


def test_it_works_inside_inference_mode():
    network = Seeing()
    with torch.inference_mode():
        found = heatmap(network, half_bright(), 0)
    assert found[:, 4:].min() == 1.0


def test_a_classifier_shows_its_answer_unless_another_class_is_named():
    classifier = Classifier(
        Seeing(), "seeing", ("bright", "dark"), Preprocess(size=32, mean=(0.5,) * 3, std=(0.5,) * 3)
    )
    pixels = torch.zeros(3, 32, 32, dtype=torch.uint8)
    pixels[..., 8:] = 255
    assert classifier.predict(pixels).label == "bright"
    assert torch.equal(classifier.heatmap(pixels), classifier.heatmap(pixels, "bright"))
    assert classifier.heatmap(pixels, "dark")[:, 0].min() == 1.0
    with pytest.raises(SettingsError, match=r"brihgt: the model has no such class. Did you mean 'bright'\?"):
        classifier.heatmap(pixels, "brihgt")


def test_the_map_lies_over_its_picture_hotter_where_it_is_hot():
    pixels = torch.full((3, 40, 60), 30, dtype=torch.uint8)
    heat = torch.zeros(4, 4)
    heat[:, 3] = 1.0
    picture = overlay(pixels, heat)
    assert picture.size == (60, 40)
    assert sum(picture.getpixel((58, 20))) > sum(picture.getpixel((2, 20))) + 200
