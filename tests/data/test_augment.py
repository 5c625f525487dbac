"""Augmentation: what each setting does, and that a draw belongs to the sample."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from eyas.data.augment import Augment, mixing, seed_all
from eyas.data.settings import AugmentConfig

NONE = {"flip": 0.0}
EVERYTHING = {
    "crop_padding": 4, "crop_scale": 0.4, "trivial_augment": True, "color_jitter": 0.3, "erasing": 0.7,
    "flip": 0.5, "vertical_flip": 0.5,
}  # fmt: skip


def pictures(count: int, size: int) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, size, size), generator=torch.Generator().manual_seed(1)).to(torch.uint8)


def augment_of(size: int = 24, **settings: object) -> Augment:
    return Augment(AugmentConfig(**{**NONE, **settings}), size, (124, 116, 104))


def changed(
    augment: Augment, images: torch.Tensor, samples: list[int], *, epoch: int = 0, seed: int = 0
) -> torch.Tensor:
    return augment(images, seed=seed, epoch=epoch, samples=np.array(samples))


def test_without_any_setting_nothing_is_changed():
    images = pictures(6, 24)
    assert torch.equal(changed(augment_of(), images, list(range(6))), images)


@pytest.mark.parametrize(("setting", "side"), [("flip", -1), ("vertical_flip", -2)])
def test_a_flip_of_probability_one_turns_every_image_and_of_zero_none(setting, side):
    images = pictures(20, 24)
    assert torch.equal(changed(augment_of(**{setting: 1.0}), images, list(range(20))), images.flip(side))
    assert torch.equal(changed(augment_of(**{setting: 0.0}), images, list(range(20))), images)


def test_half_of_the_images_are_flipped_and_others_in_the_next_epoch():
    images = pictures(1, 4).expand(4000, -1, -1, -1)
    flipped = [
        (changed(augment_of(4, flip=0.5), images, list(range(4000)), epoch=epoch) != images).flatten(1).any(1)
        for epoch in (0, 1)
    ]
    assert all(abs(some.float().mean().item() - 0.5) < 0.03 for some in flipped)
    assert abs((flipped[0] == flipped[1]).float().mean().item() - 0.5) < 0.03


@pytest.mark.parametrize(
    "settings",
    [{name: value} for name, value in EVERYTHING.items()] + [EVERYTHING],
    ids=[*EVERYTHING, "everything"],
)
def test_a_sample_gets_the_same_change_in_any_batch(settings):
    augment = augment_of(**settings)
    images = pictures(12, augment.stored_size)
    whole = changed(augment, images, list(range(100, 112)))
    assert whole.shape == (12, 3, 24, 24)
    assert whole.dtype == torch.uint8
    some = [7, 2, 11]
    assert torch.equal(changed(augment, images[some], [100 + place for place in some]), whole[some])
    assert torch.equal(changed(augment, images[5:6], [105]), whole[5:6])  # alone


@pytest.mark.parametrize(
    "settings",
    [{"crop_padding": 4}, {"crop_scale": 0.4}, {"trivial_augment": True}, {"erasing": 1.0}, {"color_jitter": 0.5}],
)
def test_a_change_differs_by_sample_epoch_and_seed(settings):
    augment = augment_of(**settings)
    image = pictures(1, augment.stored_size).expand(30, -1, -1, -1)
    first = changed(augment, image, list(range(30)))
    assert len({part.numpy().tobytes() for part in first}) > 15
    assert not torch.equal(changed(augment, image, list(range(30)), epoch=1), first)
    assert not torch.equal(changed(augment, image, list(range(30)), seed=1), first)


def test_the_generators_before_make_no_difference():
    augment = augment_of(**EVERYTHING)
    images = pictures(4, augment.stored_size)
    torch.manual_seed(1)
    first = changed(augment, images, [0, 1, 2, 3])
    torch.manual_seed(2)
    assert torch.equal(changed(augment, images, [0, 1, 2, 3]), first)


def test_shifting_moves_at_most_so_far_and_fills_with_the_mean_colour():
    image = torch.full((1, 3, 16, 16), 255, dtype=torch.uint8).expand(200, -1, -1, -1)
    shifted = changed(augment_of(16, crop_padding=3), image, list(range(200)))
    assert torch.equal(shifted[:, :, 3:13, 3:13], image[:, :, 3:13, 3:13])
    fill = torch.tensor([124, 116, 104]).view(3, 1, 1)
    filled = (shifted == fill).all(1)
    assert (filled | (shifted == 255).all(1)).all()
    assert filled[:, 0].any()
    assert filled[:, 2].any()  # by three pixels, too


@pytest.mark.parametrize(("probability", "share"), [(0.0, 0.0), (1.0, 1.0)])
def test_erasing_happens_with_its_probability_and_leaves_the_mean_colour(probability, share):
    image = torch.full((1, 3, 32, 32), 255, dtype=torch.uint8).expand(50, -1, -1, -1)
    erased = changed(augment_of(32, erasing=probability), image, list(range(50)))
    touched = (erased != 255).flatten(1).any(1).float().mean().item()
    assert touched == share
    levels = {tuple(pixel) for pixel in erased.permute(0, 2, 3, 1).reshape(-1, 3).tolist()}
    assert levels <= {(255, 255, 255), (124, 116, 104)}


def test_rectangles_are_cut_out_of_larger_pictures_but_not_much_larger():
    assert augment_of(100).stored_size == 100
    assert augment_of(100, crop_scale=0.64).stored_size == 125
    assert augment_of(100, crop_scale=0.08).stored_size == 150
    assert augment_of(100, crop_scale=0.0).stored_size == 150


def test_without_blending_images_and_labels_come_back_as_they_are():
    images, labels = torch.rand(4, 3, 8, 8), torch.tensor([0, 1, 2, 1])
    blended, targets = mixing(AugmentConfig(), 3)(images, labels)
    assert blended is images
    assert targets is labels


@pytest.mark.parametrize("settings", [{"mixup": 0.2}, {"cutmix": 1.0}, {"mixup": 1.0, "cutmix": 1.0}])
def test_blended_targets_are_shares_of_the_two_labels(settings):
    images, labels = torch.rand(16, 3, 8, 8), torch.arange(16) % 5
    mix = mixing(AugmentConfig(**settings), 5)
    for number in range(10):
        torch.manual_seed(number)
        blended, targets = mix(images, labels)
        assert blended.shape == images.shape
        assert targets.shape == (16, 5)
        assert torch.allclose(targets.sum(1), torch.ones(16))
        assert (targets >= 0).all()
        assert ((targets > 0).sum(1) <= 2).all()


def test_a_blend_of_images_that_show_their_class_has_the_targets_shares():
    labels = torch.tensor([0, 1])
    images = torch.nn.functional.one_hot(labels, 3).float().view(2, 3, 1, 1).expand(2, 3, 8, 8)
    for settings in ({"mixup": 1.0}, {"cutmix": 1.0}):
        torch.manual_seed(3)
        blended, targets = mixing(AugmentConfig(**settings), 3)(images, labels)
        assert torch.allclose(blended.mean((2, 3)), targets, atol=1e-5)


@pytest.mark.parametrize("settings", [{"mixup": 0.2}, {"cutmix": 1.0}, {"mixup": 0.2, "cutmix": 1.0}])
def test_a_batch_of_one_has_nothing_to_blend_with(settings):
    images = torch.rand(1, 3, 8, 8)
    blended, targets = mixing(AugmentConfig(**settings), 4)(images, torch.tensor([2]))
    assert torch.equal(blended, images)
    assert targets.tolist() == [[0, 0, 1, 0]]


def test_foreign_transforms_may_draw_from_any_generator():
    draws = []
    for _ in range(2):
        seed_all(2**63 + 5)
        draws.append((random.random(), np.random.rand(), torch.rand(1).item()))
    assert draws[0] == draws[1]
