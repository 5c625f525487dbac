"""How numbers, times and texts are printed."""

from __future__ import annotations

FORMULA = tuple("=+-@\t\r\n＝＋－＠")  # what a cell begins with that a spreadsheet runs


def no_formula(label: str) -> str:
    """Return a text that a spreadsheet does not run; no two texts become the same."""
    return f"'{label}" if label.lstrip("' ").startswith(FORMULA) else label


def said_percent(share: float, digits: int = 2) -> str:
    """Return a share as `91.34 %`, and `-` where there is none (nan)."""
    return "-" if share != share else f"{100 * share:.{digits}f} %"


def said_share(share: float, interval: tuple[float, float]) -> str:
    """Return a share with its interval as `91.34 % [90.77, 91.87]`."""
    return f"{said_percent(share)} [{100 * interval[0]:.2f}, {100 * interval[1]:.2f}]"


def said_loss(loss: float | None) -> str:
    """Return a loss as `0.3042`, in six characters where it is larger, `-` where there is none yet."""
    if loss is None:
        return "-"
    return f"{loss:.4f}" if abs(loss) < 9.99995 else f"{loss:.3f}" if abs(loss) < 99.9995 else f"{loss:.4g}"


def said_rate(images_per_second: float) -> str:
    """Return a speed as `1,234 images/s`."""
    return f"{images_per_second:,.{0 if images_per_second >= 10 else 1}f} images/s"


def said_duration(seconds: float) -> str:
    """Return a time as `9 h 10 min`, `12 min 30 s` or `4.2 s`."""
    if seconds < 59.5:
        return f"{seconds:.0f} s" if seconds >= 9.95 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def said_briefly(seconds: float) -> str:
    """Return a short time as `1.25 s`, `12.5 ms` or `4.2 µs`."""
    factor, unit = (1.0, "s") if seconds >= 1 else (1e3, "ms") if seconds >= 1e-3 else (1e6, "µs")
    value = seconds * factor
    return f"{value:,.{2 if value < 9.995 else 1 if value < 99.95 else 0}f} {unit}"


def said_clock(seconds: float) -> str:
    """Return a time for a narrow column: `4.2 s`, `12:30`, `1:12:30`."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
