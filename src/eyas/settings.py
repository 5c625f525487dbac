"""What every section of settings has in common: frozen, unknown keys refused. No section imports torch."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A group of settings. Its field names are flags (`--batch-size`), TOML keys (`batch_size`) and keywords."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)
