"""How much memory a machine has left."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import sys
from pathlib import Path

GROUP = Path("/sys/fs/cgroup")


M_MMAP_THRESHOLD, LARGE = -3, 1 << 18  # glibc's name of the option; bytes
OWN = ctypes.CDLL(None)  # this process and the C library that it has


def give_back() -> None:
    """From now on, large blocks of memory go back to the system when they are freed.  Otherwise glibc keeps the more of
    them the larger those were that a process has used."""
    with contextlib.suppress(AttributeError):  # another C library
        OWN.mallopt(M_MMAP_THRESHOLD, LARGE)


def trim() -> None:
    """Gives memory that was freed back to the system, also where it lies between what is used."""
    with contextlib.suppress(AttributeError):
        OWN.malloc_trim(0)


def memory_left() -> int:
    """Bytes that this process can still get, on this machine, in this container and within its own limits."""
    left = min(_free(), _unlimited())
    try:
        most, used = ((GROUP / name).read_text().strip() for name in ("memory.max", "memory.current"))
        cached = dict(line.split() for line in (GROUP / "memory.stat").read_text().splitlines())["inactive_file"]
    except (OSError, KeyError, ValueError):
        return left
    return left if most == "max" else max(0, min(left, int(most) - int(used) + int(cached)))


def _free() -> int:
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            return next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def resident() -> int:
    """Bytes that this process has in memory; 0 where the system does not say."""
    return _pages(1)


def _unlimited() -> int:
    """What a limit of the process's address space or data leaves (`ulimit -v`, `ulimit -d`)."""
    space, data = (resource.getrlimit(which)[0] for which in (resource.RLIMIT_AS, resource.RLIMIT_DATA))
    limits = [(space, _pages(0)), (data, _pages(5))]
    return min((max(0, most - used) for most, used in limits if most != resource.RLIM_INFINITY), default=sys.maxsize)


def _pages(column: int) -> int:
    """Bytes of this process: 0 its address space, 1 in memory, 5 its data and stacks."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[column]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return 0
