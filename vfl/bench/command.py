"""`vfl bench`: measures, prints a table, writes overhead.json and overhead.html."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from protocols.errors import ConfigError
from vfl.screen.console import Console

RESULTS = Path("benchmarks/results")


def bench(
    everything: bool, out: Path | None, old: Path | None, python: Path | None, console: Console | None
) -> tuple[Path, dict[str, Any]]:
    """out: the folder for both files; without it benchmarks/results where that is, else the current one.  python: has
    the other libraries; console: None prints nothing.  Returns the folder and the content of overhead.json.  Raises
    ConfigError."""
    from vfl.bench import page, peers, suite, terminal

    before = terminal.read(old) if old else None
    peers.check_python(python)
    folder = out or (RESULTS if RESULTS.is_dir() else Path())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "overhead.json").open("a").close()  # it can be written: found out before minutes are spent
    except OSError as error:
        raise unwritable(folder, error) from None
    progress = Console(stderr=True)
    result = suite.measure(everything, lambda text: progress.print(f"  {text}", highlight=False), python)
    text = json.dumps(result, indent=1) + "\n"
    try:
        (folder / "overhead.json").write_text(text, encoding="utf-8")
        (folder / "overhead.html").write_text(page.render(result), encoding="utf-8")
    except OSError as error:
        raise unwritable(folder, error) from None
    if console is not None:
        terminal.print_result(result, console)
        if before:
            terminal.print_compared(before, result, console)
        console.print(f"\n{folder / 'overhead.html'}\n{folder / 'overhead.json'}", highlight=False, soft_wrap=True)
    return folder, result


def unwritable(folder: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"the results cannot be written to {folder} ({error.strerror})", remedy="Name another folder with --out"
    )
