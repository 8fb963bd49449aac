"""A disk that fails while a mark is written, by a library that is loaded before the system's: a typed error at every
party, and after its repair the run goes on."""

from __future__ import annotations

import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.promises.processes.institutions import Institutions
from tests.promises.processes.test_resumed_runs import check, start, until_sent
from tests.promises.processes.test_three_processes import seed

SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int fails(const char *call, int fd) {  /* while the file FAULT_ON is there: this call, of files with FAULT_FILE in their name */
  char link[64], name[4096];
  if (strcmp(getenv("FAULT_CALL"), call) || access(getenv("FAULT_ON"), F_OK)) return 0;
  const char digits[] = "0123456789";
  char *at = link + sizeof link - 1;
  *at = 0;
  for (int rest = fd; at > link + 14; rest /= 10) { *--at = digits[rest % 10]; if (rest < 10) break; }
  at -= 14;
  memcpy(at, "/proc/self/fd/", 14);
  ssize_t length = readlink(at, name, sizeof name - 1);
  if (length < 0) return 0;
  name[length] = 0;
  return strstr(name, getenv("FAULT_FILE")) != 0;
}
#define SYNC(f) int f(int fd) { int (*next)(int) = dlsym(RTLD_NEXT, #f); \
  if (fails("sync", fd)) { errno = EIO; return -1; } return next(fd); }
SYNC(fsync)
SYNC(fdatasync)
#define WRITE(f) ssize_t f(int fd, const void *d, size_t n, off_t o) { ssize_t (*next)(int, const void *, size_t, off_t) = dlsym(RTLD_NEXT, #f); \
  if (fails("write", fd)) { errno = ENOSPC; return -1; } return next(fd, d, n, o); }
WRITE(pwrite)
WRITE(pwrite64)
ssize_t write(int fd, const void *d, size_t n) { ssize_t (*next)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write"); \
  if (fails("write", fd)) { errno = ENOSPC; return -1; } return next(fd, d, n); }
"""  # noqa: E501

FAULTS = [
    ("sync", "ledger.jsonl", r"the ledger .* cannot be written \(Input/output error\)"),
    ("sync", "run.sqlite", r"the run store .* cannot be read or written \(disk I/O error\)"),
    ("write", "ledger.jsonl", r"the ledger .* cannot be written \(No space left on device\)"),
    ("write", "run.sqlite", r"the run store .* cannot be read or written \(database or disk is full\)"),
]


@pytest.fixture
def shim(tmp_path: Path) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler is installed")
    (tmp_path / "shim.c").write_text(SHIM)
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-o", str(tmp_path / "shim.so"), str(tmp_path / "shim.c"), "-ldl"], check=True
    )
    return tmp_path / "shim.so"


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("call", "file", "words"), FAULTS)
def test_a_disk_that_fails_under_a_mark_ends_all_and_the_run_goes_on_after_its_repair(
    parties: Institutions, shim: Path, call: str, file: str, words: str
) -> None:
    parties.lay_out(max_iter=12, preparation="none")
    fault = parties.folder / "fault"
    environment = {"LD_PRELOAD": str(shim), "FAULT_CALL": call, "FAULT_FILE": file, "FAULT_ON": str(fault)}
    arguments = [
        "-m",
        "tests.promises.processes.seeded",
        seed("telecom").hex(),
        str(parties.job),
        str(parties.file("telecom")),
    ]
    started = {name: start(parties, name) for name in ("bank", "trustco")}
    failing = parties.run(arguments, "telecom", environment=environment)
    until_sent(parties, "telecom", 4)
    fault.touch()
    failing.wait(15).says(2, words, "Make room|disk", "resumes where it stopped")
    for process in started.values():
        ended = process.wait(15)
        ended.says(ended.code, "telecom", "resumes where it stopped")
    assert not list(parties.folder.glob("*/runs/*/model"))
    again = {name: start(parties, name) for name in ("bank", "trustco")}
    parties.run(arguments, "telecom", environment=environment).wait(30).says(
        2, "cannot be (read|written)"
    )  # it is not repaired
    for process in again.values():
        process.kill(signal.SIGKILL)
        process.wait(10)
    fault.unlink()
    check(parties, {name: process.wait(100) for name, process in {n: start(parties, n) for n in parties.roles}.items()})
