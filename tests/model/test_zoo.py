"""Networks by name: every one builds, gives one tensor of logits, knows its head and the images that it takes."""

from __future__ import annotations

import sys

import pytest
import torch
import torchvision
from torch import nn

from eyas.config.data import PreprocessConfig
from eyas.errors import SettingsError
from eyas.model.compact import compact
from eyas.model.shapes import check_size, smallest_size
from eyas.model.zoo import alex, build, expected_preprocess, find_model, head_of, model_names, outline

TORCHVISION = torchvision.models.list_models(module=torchvision.models)
TIMM = [
    "tf_efficientnet_lite0",
    "timm/resnet18",
    "vit_tiny_patch16_224",
    "convnext_atto",
    "deit_tiny_distilled_patch16_224",
]


@pytest.mark.parametrize("name", TORCHVISION)
def test_every_torchvision_classifier_gives_one_tensor_of_logits_in_training(name: str) -> None:
    network = outline(name, 7)
    size = 299 if name == "inception_v3" else 224

    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()  # as quick again on the meta device; changes no shape

    assert network.training
    assert network(torch.empty(2, 3, size, size, device="meta")).shape == (2, 7)
    last_weight = network.get_submodule(head_of(network)[0]).weight
    assert last_weight.shape[0] == 7


@pytest.mark.parametrize("name", TIMM)
def test_timm_networks_build_with_any_number_of_classes_and_know_their_head(name: str) -> None:
    pytest.importorskip("timm")
    network = outline(name, 7)

    assert network(torch.empty(2, 3, 224, 224, device="meta")).shape == (2, 7)
    assert all(network.get_submodule(head).weight.shape[0] == 7 for head in head_of(network))


def test_alex_is_torchvisions_alexnet() -> None:
    torch.manual_seed(0)
    ours = alex(10).state_dict()
    torch.manual_seed(0)
    theirs = torchvision.models.alexnet(num_classes=10).state_dict()

    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_networks_with_auxiliary_heads_build_with_real_weights_without_them_and_without_warnings(
    name: str,
) -> None:
    names = dict(build(name, 3).named_parameters())

    assert not any(key.lower().startswith("aux") for key in names)


@pytest.mark.parametrize("size", [8, 28, 32, 33, 64, 256])
def test_compact_takes_images_from_8_to_256_pixels(size: int) -> None:
    logits = compact(7)(torch.rand(2, 3, size, size))

    assert logits.shape == (2, 7)
    logits.sum().backward()


def test_compact_is_small_and_has_no_dropout() -> None:
    network = compact()

    assert 300_000 < sum(parameter.numel() for parameter in network.parameters()) < 800_000
    assert not any(isinstance(module, nn.Dropout) for module in network.modules())


def test_compact_learns_a_batch_by_heart() -> None:
    torch.manual_seed(0)
    network, images, labels = compact(4), torch.randn(32, 3, 16, 16), torch.arange(32) % 4
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9)
    for _ in range(15):
        loss = nn.functional.cross_entropy(network(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    assert loss.item() < 0.1


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("compact", "fc"),
        ("alexnet", "classifier.6"),
        ("vgg11_bn", "classifier.6"),
        ("resnet18", "fc"),
        ("squeezenet1_1", "classifier.1"),
        ("densenet121", "classifier"),
        ("vit_b_16", "heads.head"),
        ("swin_t", "head"),
        ("convnext_tiny", "classifier.2"),
        ("mobilenet_v3_small", "classifier.3"),
        ("efficientnet_b0", "classifier.1"),
        ("maxvit_t", "classifier.5"),
    ],
)
def test_the_head_is_the_layer_that_makes_the_logits(name: str, head: str) -> None:
    assert head_of(outline(name, 5)) == (head,)


def test_a_network_without_layers_has_no_head() -> None:
    assert head_of(nn.Flatten()) == ()


def test_names_mean_our_own_then_torchvisions_then_timms() -> None:
    assert find_model("compact").library == "eyas"
    assert find_model("alex") == find_model("AlexNet") == find_model("torchvision/alexnet")
    assert find_model("resnet50").library == "torchvision"
    pytest.importorskip("timm")
    assert find_model("timm/resnet50").library == find_model("resnet50.a1_in1k").library == "timm"


def test_every_listed_name_can_be_given() -> None:
    pytest.importorskip("timm")
    names = model_names("resnet5")

    assert {"resnet50", "timm/resnet50"} <= {entry.name for entry in names}
    assert all(find_model(entry.name).library == entry.library for entry in names)
    assert not any("fcn" in entry.name or "quantized" in entry.name for entry in model_names())


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(SettingsError, match=r"alxnet.*Did you mean 'alexnet'"):
        build("alxnet", 3)


@pytest.mark.parametrize("name", ["", "timm/", "keras/resnet50", "../resnet18", "resnet50.no_such_tag"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(SettingsError):
        build(name, 3)


def test_without_timm_an_unknown_name_says_how_to_get_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)

    with pytest.raises(SettingsError, match=r"pip install 'eyas\[timm\]'"):
        build("tf_efficientnet_lite0", 3)
    assert {entry.library for entry in model_names()} == {"eyas", "torchvision"}


def test_a_network_needs_a_class() -> None:
    with pytest.raises(SettingsError, match=r"at least 1 class"):
        build("compact", 0)


@pytest.mark.parametrize("name", TORCHVISION)
def test_published_weights_say_how_images_must_be_prepared(name: str) -> None:
    expected = expected_preprocess(name, weights=True)

    assert expected is not None
    assert PreprocessConfig(**expected).size == expected["size"] >= 224


def test_preprocessing_follows_the_weights_of_each_library() -> None:
    assert expected_preprocess("alexnet", weights=True) == {
        "size": 224,
        "resize": "crop",
        "crop_ratio": 0.875,
        "interpolation": "bilinear",
        "mean": (0.485, 0.456, 0.406),
        "std": (0.229, 0.224, 0.225),
    }
    assert expected_preprocess("alexnet", weights=False) is None
    assert expected_preprocess("compact", weights=True) is None
    pytest.importorskip("timm")
    assert expected_preprocess("tf_efficientnet_lite0", weights=True) == {
        "size": 224,
        "resize": "crop",
        "crop_ratio": 0.875,
        "interpolation": "bicubic",
        "mean": (0.5, 0.5, 0.5),
        "std": (0.5, 0.5, 0.5),
    }


def test_googlenets_preprocessing_equals_its_own_conversion_of_the_input() -> None:
    expected = expected_preprocess("googlenet", weights=True)
    assert expected is not None
    raw = torch.rand(2, 3, 8, 8)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    theirs = torchvision.models.googlenet(transform_input=True, aux_logits=False, init_weights=False)

    converted = theirs._transform_input((raw - mean) / std)

    half = torch.tensor(expected["mean"]).view(3, 1, 1), torch.tensor(expected["std"]).view(3, 1, 1)
    torch.testing.assert_close((raw - half[0]) / half[1], converted)


def test_an_outline_leaves_the_global_random_numbers_alone() -> None:
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    outline("vit_b_16", 5)

    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize(
    ("name", "smallest"), [("alexnet", 63), ("squeezenet1_1", 17), ("vgg11", 32), ("vit_b_16", 224)]
)
def test_the_smallest_size_is_found_without_computing(name: str, smallest: int) -> None:
    assert smallest_size(name, 10) == smallest


@pytest.mark.parametrize("name", ["alexnet", "squeezenet1_1"])
def test_the_smallest_size_found_is_that_of_the_real_network(name: str) -> None:
    network, smallest = build(name, 3), smallest_size(name, 3)

    assert network(torch.rand(2, 3, smallest, smallest)).shape == (2, 3)
    with pytest.raises(RuntimeError):
        network(torch.rand(2, 3, smallest - 1, smallest - 1))


def test_images_too_small_are_refused_with_what_to_do() -> None:
    with pytest.raises(SettingsError) as refusal:
        check_size("alexnet", 10, 20)

    assert str(refusal.value) == (
        "alexnet needs images of at least 63x63 pixels; --size is 20. "
        "Use --size 64 or more, or a network for small images such as --model compact."
    )
    check_size("alexnet", 10, 256)
    check_size("compact", 10, 8)


@pytest.mark.parametrize("name", ["vit_b_16", "maxvit_t", "timm/vit_tiny_patch16_224"])
def test_a_network_of_one_size_names_it(name: str) -> None:
    if name.startswith("timm/"):
        pytest.importorskip("timm")
    with pytest.raises(SettingsError, match=r"exactly 224x224 pixels; --size is 96. Use --size 224"):
        check_size(name, 10, 96)


def test_the_size_check_works_for_a_users_own_network() -> None:
    def tiny(num_classes: int) -> nn.Module:
        return nn.Sequential(nn.Conv2d(3, 4, 9), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, num_classes))

    with pytest.raises(SettingsError, match=r"tiny needs images of at least 9x9 pixels; --size is 8. Use --size 32"):
        check_size(tiny, 3, 8)


def test_a_network_of_multiples_names_the_nearest_sizes() -> None:
    class Patches(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images.unflatten(2, (-1, 32)).unflatten(4, (-1, 32)).mean((1, 2, 3, 4)).mean(1, keepdim=True)

    with pytest.raises(SettingsError, match=r"cannot take images of 100x100 pixels\. Use --size 96 or --size 128"):
        check_size(lambda num_classes: Patches(), 1, 100)
