"""The lists, texts and arrays in a pickle, read without unpickling: its instructions are looked at, none is obeyed."""

from __future__ import annotations

import pickletools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_VALUES = frozenset({
    "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES",
    "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8", "FLOAT", "BINFLOAT", "INT", "BININT", "BININT1", "BININT2", "LONG",
    "LONG1", "LONG4",
})  # fmt: skip
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


@dataclass(slots=True, eq=False)
class Call:
    """What a pickle wants called: the name of a function, its arguments, the state of what it would give.

    Here it is a note that it said so; nothing is imported and nothing called.
    """

    function: Any
    arguments: Any = None
    state: Any = None


def read_pickle(data: bytes) -> Any:
    """Return what a pickle of plain values and arrays says. Raises `ValueError` for anything else in it."""
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[int, Any] = {}
    argument: Any
    try:
        for instruction, argument, _ in pickletools.genops(data):
            name = instruction.name
            if name in _VALUES:
                stack.append(argument)
            elif name in _CONSTANTS:
                stack.append(_CONSTANTS[name])
            elif name in _EMPTY:
                stack.append(_EMPTY[name]())
            elif name == "MARK":
                marks.append(len(stack))
            elif name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
                memo[len(memo) if name == "MEMOIZE" else argument] = stack[-1]
            elif name in ("GET", "BINGET", "LONG_BINGET"):
                stack.append(memo[argument])
            elif name in ("APPEND", "APPENDS"):
                added = _popped(stack, marks.pop() if name == "APPENDS" else -1)
                stack[-1].extend(added)
            elif name in ("SETITEM", "SETITEMS", "DICT"):
                added = _popped(stack, -2 if name == "SETITEM" else marks.pop())
                stack.extend([{}] if name == "DICT" else [])
                stack[-1].update(zip(added[::2], added[1::2], strict=True))
            elif name in ("TUPLE", "LIST"):
                added = _popped(stack, marks.pop())
                stack.append(tuple(added) if name == "TUPLE" else added)
            elif name in _TUPLES:
                stack.append(tuple(_popped(stack, -_TUPLES[name])))
            elif name in ("GLOBAL", "STACK_GLOBAL"):
                stack.append(Call(argument if name == "GLOBAL" else " ".join(_popped(stack, -2))))
            elif name == "REDUCE":
                function, arguments = _popped(stack, -2)
                stack.append(Call(function.function, arguments))
            elif name == "BUILD":
                (state,) = _popped(stack, -1)
                stack[-1].state = state
            elif name == "STOP":
                return stack.pop()
            elif name not in ("PROTO", "FRAME"):
                raise ValueError(f"it holds the instruction {name}")
    except (IndexError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"it is damaged ({type(error).__name__})") from None
    raise ValueError("it breaks off")


def _popped(stack: list[Any], start: int) -> list[Any]:
    """Take what lies on the stack from `start` on, counted from its top where that is negative."""
    if start < -len(stack):
        raise IndexError(start)
    taken = stack[start:]
    del stack[start:]
    return taken


def as_bytes(value: Any) -> bytes:
    """Return a text of Python 2, or bytes in any of the ways in which they are pickled."""
    if isinstance(value, Call) and value.function == "_codecs encode":
        value = value.arguments[0]
    return value.encode("latin-1") if isinstance(value, str) else bytes(memoryview(value))


def as_pixels(value: Any) -> NDArray[np.uint8]:
    """Return a pickled array of numpy, uint8 of any shape, row by row. Raises `ValueError` for another one."""
    call = value if isinstance(value, Call) else Call("")
    if call.function.endswith("._frombuffer") or call.function.endswith(" _frombuffer"):
        body, kind, shape, order = call.arguments
        by_column = order != "C"
    elif call.function.endswith(" _reconstruct"):
        _, shape, kind, by_column, body = call.state
    else:
        raise ValueError("it holds no array of numpy")
    of_bytes = isinstance(kind, Call) and kind.function == "numpy dtype" and kind.arguments[0] in ("u1", b"u1")
    if by_column or not of_bytes:
        raise ValueError("its array is not one of bytes, row by row")
    return np.frombuffer(as_bytes(body), np.uint8).reshape(shape)
