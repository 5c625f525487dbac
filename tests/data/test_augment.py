"""Augmentation: what each setting does, and that a draw belongs to the sample."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from eyas.config.data import AugmentConfig
from eyas.data.augment.augment import Augment, mixing
from eyas.errors import SettingsError
from eyas.seeds import Draws

NONE = {"flip": 0.0}
EVERYTHING = {
    "crop_padding": 4, "crop_fill": "reflect", "crop_scale": 0.4, "trivial_augment": True, "color_jitter": 0.3, "erasing": 0.7,
    "flip": 0.5, "vertical_flip": 0.5,
}  # fmt: skip


def pictures(count: int, size: int) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, size, size), generator=torch.Generator().manual_seed(1)).to(torch.uint8)


def augment_of(size: int = 24, **settings: object) -> Augment:
    return Augment(AugmentConfig(**{**NONE, **settings}), size, (124, 116, 104))


def changed(
    augment: Augment, images: torch.Tensor, samples: list[int], *, epoch: int = 0, seed: int = 0
) -> torch.Tensor:
    images = augment.flipped(images, seed=seed, epoch=epoch, samples=np.array(samples))
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


def test_alternating_flips_turn_all_images_over_every_epoch():
    images = pictures(400, 4)
    augment = augment_of(4, flip=0.5, alternate_flip=True)
    first, second, third = (changed(augment, images, list(range(400)), epoch=epoch) for epoch in range(3))
    mirrored = (first != images).flatten(1).any(1)
    assert 150 < mirrored.sum() < 250
    assert torch.equal(second, first.flip(-1))
    assert torch.equal(third, first)
    assert not torch.equal(changed(augment, images, list(range(400)), seed=1), first)


def test_without_flips_there_is_nothing_to_alternate():
    images = pictures(8, 4)
    for epoch in (0, 1):
        assert torch.equal(
            changed(augment_of(4, flip=0, alternate_flip=True), images, list(range(8)), epoch=epoch), images
        )


def test_flips_are_not_part_of_the_other_changes():
    images = pictures(8, 24)
    augment = augment_of(flip=1.0, vertical_flip=1.0)
    assert torch.equal(augment(images, seed=0, epoch=0, samples=np.arange(8)), images)


@pytest.mark.parametrize("size", [24, 160])
@pytest.mark.parametrize(
    "settings",
    [{name: value} for name, value in EVERYTHING.items()] + [EVERYTHING],
    ids=[*EVERYTHING, "everything"],
)
def test_a_sample_gets_the_same_change_in_any_batch(settings, size):
    augment = augment_of(size, **settings)
    images = pictures(12, augment.stored_size)
    before = images.clone()
    whole = changed(augment, images, list(range(100, 112)))
    assert whole.shape == (12, 3, size, size)
    assert whole.dtype == torch.uint8
    some = [7, 2, 11]
    assert torch.equal(changed(augment, images[some], [100 + place for place in some]), whole[some])
    assert torch.equal(changed(augment, images[5:6], [105]), whole[5:6])  # alone
    channels_last = images.contiguous(memory_format=torch.channels_last)
    assert torch.equal(changed(augment, channels_last, list(range(100, 112))), whole)
    assert torch.equal(images, before)  # nothing is changed in place


@pytest.mark.parametrize("threads", [1, 3])
def test_the_number_of_threads_changes_no_bit(threads):
    augment = augment_of(160, **EVERYTHING)
    images = pictures(12, augment.stored_size)
    before, whole = torch.get_num_threads(), changed(augment, images, list(range(12)))
    try:
        torch.set_num_threads(threads)
        assert torch.equal(changed(augment, images, list(range(12))), whole)
    finally:
        torch.set_num_threads(before)


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


def test_shifting_with_reflection_gives_windows_of_the_mirrored_picture():
    images = pictures(1, 8).expand(300, -1, -1, -1)
    shifted = changed(augment_of(8, crop_padding=3, crop_fill="reflect"), images, list(range(300)))
    wide = torch.nn.functional.pad(images[:1].float(), (3, 3, 3, 3), mode="reflect").to(torch.uint8)
    windows = {wide[0, :, y : y + 8, x : x + 8].numpy().tobytes() for y in range(7) for x in range(7)}
    assert {image.numpy().tobytes() for image in shifted} == windows


def test_no_more_can_be_mirrored_than_the_picture_has():
    augment_of(8, crop_padding=7, crop_fill="reflect")
    augment_of(8, crop_padding=8)
    with pytest.raises(SettingsError, match="--crop-padding 8: --crop-fill reflect mirrors less than"):
        augment_of(8, crop_padding=8, crop_fill="reflect")


def test_colour_is_changed_as_torchvision_does_by_the_factors_drawn():
    from torchvision.transforms.v2 import functional

    images, samples = pictures(40, 24) // 2 + 60, np.arange(40)
    ours = changed(augment_of(color_jitter=0.4), images, samples.tolist())
    names = ("brightness", "contrast", "saturation")
    factors = [Draws(0, 0, samples).uniform(name, 0.6, 1.4).tolist() for name in names]
    for image, mine, brightness, contrast, saturation in zip(images, ours, *factors, strict=True):
        image = functional.adjust_contrast(functional.adjust_brightness(image, brightness), contrast)
        image = functional.adjust_saturation(image, saturation)
        assert (image.int() - mine.int()).abs().max() <= 2  # each of the three may round to another level
        assert (image == mine).float().mean() > 0.97


@pytest.mark.parametrize(("probability", "share"), [(0.0, 0.0), (1.0, 1.0)])
def test_erasing_happens_with_its_probability_and_leaves_the_mean_colour(probability, share):
    image = torch.full((1, 3, 32, 32), 255, dtype=torch.uint8).expand(50, -1, -1, -1)
    erased = changed(augment_of(32, erasing=probability), image, list(range(50)))
    touched = (erased != 255).flatten(1).any(1).float().mean().item()
    assert touched == share
    levels = {tuple(pixel) for pixel in erased.permute(0, 2, 3, 1).reshape(-1, 3).tolist()}
    assert levels <= {(255, 255, 255), (124, 116, 104)}


def test_what_is_erased_is_one_rectangle_of_a_fiftieth_to_a_third():
    image = torch.full((1, 3, 64, 64), 255, dtype=torch.uint8).expand(300, -1, -1, -1)
    erased = (changed(augment_of(64, erasing=1.0), image, list(range(300))) != 255).any(1)
    rows, columns = erased.any(2).sum(1), erased.any(1).sum(1)
    assert torch.equal(rows * columns, erased.sum((1, 2)))
    share = erased.float().mean((1, 2))
    assert 0.015 < share.min() < 0.05
    assert 0.28 < share.max() < 0.34


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


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("setting", EVERYTHING)
def test_a_gpu_makes_the_changes_that_the_processor_makes(setting):
    """Its CPU twins: `resampled` in test_crops.py, and all of the above."""
    augment = augment_of(24, **{setting: EVERYTHING[setting]})
    images, samples = pictures(64, augment.stored_size), list(range(64))
    ours = changed(augment, images, samples)
    theirs = changed(augment, images.cuda(), samples).cpu()
    assert (
        (ours.int() - theirs.int()).abs() > 1
    ).float().mean() < 0.001  # a position between two pixels falls to either
