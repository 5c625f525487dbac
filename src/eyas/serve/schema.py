"""What the server answers, as its OpenAPI says it."""

from __future__ import annotations

from pydantic import BaseModel, Field


class Guess(BaseModel):
    """A class and how likely it is."""

    label: str
    probability: float = Field(ge=0, le=1)


class Answer(BaseModel):
    """What the network says of one picture."""

    name: str = Field(description="The file's name, as it was sent; else its place, such as `picture 1`.")
    label: str = Field(description="The most likely class.")
    probability: float = Field(ge=0, le=1)
    top: list[Guess] = Field(description="The most likely classes, the first one first.")
    heatmap: str | None = Field(
        description="Where the network looks: a PNG as a data URL, the map laid over what the network sees of the "
        "picture. null where none was asked for, or the network has no places."
    )


class Answers(BaseModel):
    """An answer for every picture, in the order in which they were sent."""

    model: str
    answers: list[Answer]


class Failure(BaseModel):
    """Why a request is not answered."""

    code: str = Field(description="For programs; one word for one reason.")
    message: str = Field(description="For people.")


class Failed(BaseModel):
    """The body of every answer that is none."""

    error: Failure


class State(BaseModel):
    """How the server is."""

    status: str = Field(description="ok, or stopping.")


class Limits(BaseModel):
    """What a request may have."""

    max_mb: float
    max_files: int
    timeout: float = Field(description="Seconds.")


class Example(BaseModel):
    """A picture to try."""

    address: str = Field(description="Relative to this one.")
    label: str | None = Field(description="What its data set says that it is.")


class About(BaseModel):
    """What answers here."""

    model: str
    classes: list[str]
    preprocessing: str = Field(description="How a picture becomes the network's input, in words.")
    limits: Limits
    examples: list[Example]
    version: str
