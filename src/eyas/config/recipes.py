"""Recipes: named sets of default settings. A flag given beside one wins."""

from __future__ import annotations

from typing import Any

# by section and key, as in a TOML file; what is not named keeps its default
RECIPES: dict[str, dict[str, dict[str, Any]]] = {
    "standard": {},  # the defaults are the standard recipe
    "fast": {  # CIFAR-10 and sets like it; after airbench94 (arXiv:2404.00498), with less work (docs/why.md)
        "preprocess": {"size": 32, "views": "flip"},
        "augment": {"alternate_flip": True, "crop_padding": 2, "crop_fill": "reflect", "color_jitter": 0.13},
        "model": {"model": "swift"},
        "optim": {"optimizer": "muon", "lr": 0.24, "momentum": 0.6, "head_lr": 0.005, "vector_lr": 0.083},
        "schedule": {"schedule": "linear"},
        # in parts of 500 images, which stay in a processor's cache
        "training": {
            "epochs": 9,
            "batch_size": 2000,
            "accumulate": 4,
            "label_smoothing": 0.2,
            "progressive_size": 0.625,
        },
        "device": {"precision": "auto", "channels_last": "on"},
    },
    "finetune": {
        "augment": {"crop_scale": 0.35, "trivial_augment": True, "erasing": 0.1},
        "optim": {"optimizer": "adamw", "lr": 1e-3, "weight_decay": 0.05, "backbone_lr": 0.3},
        "schedule": {"schedule": "cosine", "warmup_epochs": 1.0},
        "training": {"epochs": 8, "batch_size": 32, "label_smoothing": 0.1, "ema": 0.99, "clip_norm": 1.0},
        "device": {"channels_last": "on"},  # 1.75x on a CPU for networks of depthwise convolutions
    },
}
