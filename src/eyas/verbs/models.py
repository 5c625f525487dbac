"""`eyas models`: lists the networks."""

from __future__ import annotations

from eyas.config.flags import ModelsFlags, parsed
from eyas.errors import SettingsError, suggest


def command(arguments: list[str]) -> int:
    """`eyas models`: list the available networks."""
    text = parsed(ModelsFlags, "models", arguments).text
    from eyas.model.zoo import model_names

    found = model_names(text)
    if not found:
        raise SettingsError(f"No network has {text!r} in its name.{suggest(text, [m.name for m in model_names()])}")
    for model in found:
        print(f"{model.name:48} {model.library}")
    return 0
