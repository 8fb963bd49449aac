"""How a command ends when something is wrong: one line on stderr and the exit code of the error's family; never a
value, an id or a traceback."""

from __future__ import annotations

import contextlib
import logging
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

from protocols.errors import VFLError
from vfl.screen.console import Console

ROOT = Path(__file__).parents[2]
OURS = ("vfl", "protocols")
RESUMES = ". When every party gives its command again, it resumes where it stopped"
PIPE_CLOSED = 128 + signal.SIGPIPE  # as a shell reports a program that wrote to `head` after its end


class Signalled(KeyboardInterrupt):
    """A signal asked this process to stop, as Ctrl-C does."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__()


class Stopped(Exception):
    """The user, or the system, asked this process to stop; the peers and the ledger receive `code`."""

    code = "stopped"
    resumes = False  # whether the same command resumes what was stopped

    def __init__(self, asked: KeyboardInterrupt | None = None) -> None:
        number = asked.number if isinstance(asked, Signalled) else signal.SIGINT
        self.exit_code = 128 + number
        super().__init__()


class Notes(logging.Handler):
    """Warnings of the engine, one line each, next to the progress bars and without a traceback."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.WARNING)
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        self._console.print(f"note: {record.getMessage()}", highlight=False, markup=False, soft_wrap=True)


def describe(error: BaseException) -> str:
    """A fault of the program: the type of the exception and where in our code it came up.  Its text may hold data, so
    it is not shown."""
    frames = [
        f"{Path(f.filename).relative_to(ROOT)}:{f.lineno} in {f.name}"
        for f in traceback.extract_tb(error.__traceback__)
        if any(Path(f.filename).is_relative_to(ROOT / package) for package in OURS)
    ]
    where = "; called from ".join(reversed(frames[-3:])) or "outside of the engine"
    return f"a fault of the program: {type(error).__name__} at {where}. Please report this line; it holds no data"


def ended(command: Callable[[], object]) -> int:
    """Runs a command, says in one line on stderr what stopped it, and returns the exit code."""
    console = Console(stderr=True)
    try:
        command()
    except VFLError as error:
        line, code = str(error), error.exit_code
    except (Stopped, KeyboardInterrupt) as error:
        stopped = error if isinstance(error, Stopped) else Stopped(error)
        line, code = "stopped on request; the other parties were informed", stopped.exit_code
        line += RESUMES if stopped.resumes else ""
    except BrokenPipeError:
        return PIPE_CLOSED
    except Exception as error:
        line, code = describe(error), 1
    else:
        return 0
    console.print(f"vfl: {line}", highlight=False, markup=False, soft_wrap=True)
    return code


@contextlib.contextmanager
def log_to(console: Console) -> Iterator[None]:
    """Inside, what the engine says goes to `console`, a line each with the time."""
    handler = logging.StreamHandler(console.file)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    logger, level = logging.getLogger("vfl"), logging.getLogger("vfl").level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


@contextlib.contextmanager
def noted(console: Console) -> Iterator[None]:
    """Inside, the engine's warnings go to `console`."""
    notes, logger = Notes(console), logging.getLogger("vfl")
    logger.addHandler(notes)
    try:
        yield
    finally:
        logger.removeHandler(notes)


@contextlib.contextmanager
def stoppable(console: Console) -> Iterator[None]:
    """Inside, Ctrl-C, SIGTERM and SIGHUP become `Stopped`, so that the peers are informed; the engine's warnings go to
    `console`."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Signalled(number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        with noted(console):
            yield
    except KeyboardInterrupt as asked:
        raise Stopped(asked) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def finish(command: Callable[[], object]) -> None:
    """Runs a command and leaves with its exit code."""
    if code := ended(command):
        sys.exit(code)
