"""Converts an image that Pillow opened to upright 8-bit RGB. The program beside an export has these lines too."""

import numpy as np
from PIL import ExifTags, Image, ImageCms

Range = tuple[float, float]
TURNS = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}  # EXIF's orientation -> Image.Transpose


def upright(image: Image.Image, grey_range: Range | None = None) -> Image.Image:
    """Return an opened image in RGB, turned as its EXIF data say; damaged EXIF data turn nothing."""
    image.load()
    try:
        turn = TURNS.get(int(image.getexif().get(ExifTags.Base.Orientation, 1)))
    except Exception:  # whatever Pillow makes of damaged EXIF data
        turn = None
    picture = to_rgb(image, grey_range)
    return picture if turn is None else picture.transpose(Image.Transpose(turn))


def to_rgb(image: Image.Image, grey_range: Range | None = None) -> Image.Image:
    """Return an image of any mode in RGB; raises `ValueError` where its values have no known range."""
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        return Image.fromarray(eight_bits(image, grey_range)).convert("RGB")
    if image.mode == "LAB":
        lab, rgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, lab, rgb, outputMode="RGB")
        assert converted is not None  # None only where it works in place
        return converted
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        seen = image if image.mode == "RGBA" else image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen).convert("RGB")
    return image.convert("RGB")


def eight_bits(image: Image.Image, grey_range: Range | None) -> np.ndarray:
    """Return grey values of more than 8 bits as uint8 [H, W]: the range becomes 0 to 255, all else is clipped."""
    tags, values = getattr(image, "tag_v2", {}), np.asarray(image)  # the tags of a TIFF
    low, high = grey_range or (0, 4095 if tags.get(ExifTags.Base.BitsPerSample) == (12,) else 65535)
    if grey_range is None and image.mode == "F":
        raise ValueError(
            "its pixels are floating-point numbers, which have no agreed range: train --grey-range sets one"
        )
    if grey_range is None and (values.min() < low or values.max() > high):
        raise ValueError(f"its grey values lie outside {low} to {high}: train --grey-range sets another range")
    if np.isnan(values).any():
        raise ValueError("some of its pixels are not numbers (NaN)")
    white_is_zero = tags.get(ExifTags.Base.PhotometricInterpretation) == 0  # Pillow turns only 8 bits over

    def shade(numbers: np.ndarray) -> np.ndarray:
        share = (numbers.clip(low, high) - low) / (high - low)
        return np.floor((1 - share if white_is_zero else share) * 255 + 0.5).astype(np.uint8)

    # all values of 16 bits once: a large picture of float64 would take gigabytes
    grey = shade(np.arange(65536.0))[values] if values.dtype.kind == "u" else shade(values.astype(np.float64))
    if isinstance(clear := image.info.get("transparency"), int):
        grey[values == clear] = 255
    return grey
