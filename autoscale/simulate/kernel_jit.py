"""Turns the kernel's functions into machine code, kept on disk until a source of the kernel changes; it knows no model.

With NUMBA_DISABLE_JIT=1 the same functions run as plain Python, some hundred times slower.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import ParamSpec, TypeVar, cast

import numba

_SOURCES = ("kernel*.py", "replica*.py", "routing*.py", "prefix*.py", "state*.py")
_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


def compiled(function: Callable[_Parameters, _Result]) -> Callable[_Parameters, _Result]:
    """The function in machine code, made when it is first called. It may not allocate.

    Without `_nrt=False` numba counts references to each array at each call, atomically.
    """
    with _cached_in(str(_folder())):
        made = numba.njit(cache=True, _nrt=False, error_model="numpy")(function)
    return cast(Callable[_Parameters, _Result], made)


@cache
def _folder() -> Path:
    """One per state of the sources: numba looks at a function's own file only, not at those that it calls into."""
    here = Path(__file__).parent
    digest = hashlib.sha256()
    for source in sorted(path for pattern in _SOURCES for path in here.glob(pattern)):
        digest.update(source.read_bytes())
    return here / "__pycache__" / f"kernel-{digest.hexdigest()[:16]}"


@contextmanager
def _cached_in(folder: str) -> Iterator[None]:
    former = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = folder
    try:
        yield
    finally:
        numba.config.CACHE_DIR = former
