"""Recipes: named configurations, nothing more. A flag given beside one wins."""

from __future__ import annotations

from typing import Any

# by section and key, as in a TOML file; what is not named keeps its default
RECIPES: dict[str, dict[str, dict[str, Any]]] = {
    "standard": {},  # the defaults are the standard recipe
    "finetune": {
        "augment": {"crop_scale": 0.35, "trivial_augment": True, "erasing": 0.1},
        "optim": {"optimizer": "adamw", "lr": 1e-3, "weight_decay": 0.05, "backbone_lr": 0.3},
        "schedule": {"schedule": "cosine", "warmup_epochs": 1.0},
        "training": {"epochs": 8, "batch_size": 32, "label_smoothing": 0.1, "ema": 0.99, "clip_norm": 1.0},
        "device": {"channels_last": "on"},  # 1.75x on a CPU for networks of depthwise convolutions
    },
}
