"""Processes that start with the libraries loaded are processes of their own: they share no randomness."""

from __future__ import annotations

from tests.promises.processes.institutions import Institutions
from tests.promises.processes.warm import WarmProcess


def test_two_processes_of_one_server_draw_other_keys(parties: Institutions) -> None:
    started = [
        parties.run(["-m", "vfl", "init", str(parties.folder / name), "--role", "host", "--name", "shop"], name)
        for name in ("one", "two")
    ]
    assert [type(process._process) for process in started] == [WarmProcess] * 2
    assert [process.wait().code for process in started] == [0, 0]
    one, two = ((parties.folder / name / "identity" / "key.pem").read_bytes() for name in ("one", "two"))
    assert one != two
