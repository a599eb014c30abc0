"""The kernel, compiled on first use for the processor it runs on, and kept in the user's cache."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final

from stillhouse.core.atomic import write_atomically
from stillhouse.core.home import home

NATIVE: Final = ("-march=native",)
_COMPILERS: Final = ("cc", "gcc", "clang")
_FLAGS: Final = ("-O3", "-std=c11", "-ffp-contract=off", "-fPIC", "-shared")
_CPUINFO: Final = Path("/proc/cpuinfo")
_CPU_FIELDS: Final = ("model name", "flags", "CPU part", "Features")


class NoKernelError(RuntimeError):
    """The kernel cannot be compiled or loaded here; says why."""


@cache
def kernel() -> ctypes.CDLL | None:
    """The compiled kernel of this process, or None, with a warning that says why there is none.

    The compiler is `$CC`, or the first of cc, gcc and clang. One that does not know this processor
    compiles for any of its kind.
    """
    try:
        if sys.byteorder != "little":
            raise NoKernelError("it needs a little-endian processor")
        try:
            return loaded(NATIVE)
        except NoKernelError:
            return loaded(())
    except NoKernelError as failed:
        warnings.warn(
            f"binary layers run in NumPy, many times slower than their kernel: {failed}",
            RuntimeWarning,
            stacklevel=2,
        )
        return None


def loaded(architecture: Sequence[str]) -> ctypes.CDLL:
    """The kernel compiled with these flags beside the usual, from the cache if it is there.

    Raises NoKernelError.
    """
    source = source_code()
    compiler = _compiler()
    key = hashlib.sha256()
    for part in (source.decode(), _version(compiler), *_FLAGS, *architecture, _processor()):
        key.update(part.encode() + b"\0")
    path = home() / "kernels" / f"binary-{key.hexdigest()[:24]}.so"
    try:
        if not path.is_file():
            _compile(compiler, source, [*_FLAGS, *architecture], path)
        return _declared(ctypes.CDLL(str(path)))
    except (OSError, AttributeError) as failed:
        raise NoKernelError(f"{path} cannot be written or loaded ({failed})") from failed


def source_code() -> bytes:
    return files("stillhouse.plugins.binary").joinpath("kernel.c").read_bytes()


def _compiler() -> str:
    for name in (os.environ.get("CC"), *_COMPILERS):
        if name and (found := shutil.which(name)):
            return found
    raise NoKernelError("no C compiler is installed; install one, or name it in CC")


def _compile(compiler: str, source: bytes, flags: Sequence[str], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="stillhouse-") as folder:
        given, made = Path(folder) / "kernel.c", Path(folder) / "kernel.so"
        given.write_bytes(source)
        done = _run([compiler, *flags, str(given), "-o", str(made)])
        if done.returncode:
            said = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[0]
            raise NoKernelError(f"{compiler} failed: {said}")
        write_atomically(path, made.read_bytes())


def _version(compiler: str) -> str:
    return f"{compiler}\n{_run([compiler, '--version']).stdout}"


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    except OSError as failed:
        raise NoKernelError(f"{command[0]} cannot be run ({failed.strerror})") from failed


def _processor() -> str:
    """Model and instruction sets: machines may share a cache, and differ."""
    lines = _CPUINFO.read_text(errors="replace").splitlines() if _CPUINFO.is_file() else []
    fields = {line.partition(":")[0].strip(): line for line in reversed(lines)}
    known = [fields[name] for name in _CPU_FIELDS if name in fields]
    return "\n".join([platform.machine(), platform.processor(), *known])


def _declared(library: ctypes.CDLL) -> ctypes.CDLL:
    library.binary_kernel.restype = ctypes.c_char_p
    for name in ("binary_linear", "binary_convolution"):
        function = getattr(library, name)
        function.argtypes, function.restype = [ctypes.c_void_p] * 7, ctypes.c_int
    return library
