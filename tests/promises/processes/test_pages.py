"""Every shell command of README.md, docs/quickstart.md and docs/two-machines.md, run as printed and in that order; one
that cannot run is listed here.

A fence says how it is meant: `sh` one after the other, `sh together` each line in a terminal of its own, `sh at NAME`
on that party's machine (a folder each), `sh at each` on all three.  What is changed of the print: the ports and the two
machines' addresses, because others use this machine too.
"""

from __future__ import annotations

import glob
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.main import get_command

from tests.promises.processes.institutions import ROOT, Institutions
from tests.promises.processes.test_commands import printed as between_institutions
from vfl.cli.main import app
from vfl.demo.datasets import credit_sim
from vfl.demo.run import free_ports

PAGES = ("README.md", "docs/quickstart.md", "docs/two-machines.md")  # docs/node.md: tests/promises/node/test_page.py
ELSEWHERE = {  # commands that are not run here, and why
    "make demo": "sets up a machine; CI does, and test_demo.py runs the demo that it ends with",
    "make test": "is this suite",
    "pip install vfl-0.1.0-*.whl": "test_wheel.py installs the wheel",
    "vfl bench": "takes minutes; tests/unit/vfl/bench/test_command.py runs it",
    "sudo ufw allow from 10.0.0.2 to any port 7443 proto tcp": "changes a real machine's firewall",
    "nc -vz 10.0.0.1 7443": "needs a real second machine; test_namespaces.py connects three addresses",
}
LABELS = {"job", "ledger 2", "split 1", "transcript 1"}  # these name what is hashed or signed
MACHINES = ("bank", "telecom", "trustco")


@dataclass(frozen=True)
class Fence:
    """A fenced block: what stands behind the three ticks, and its commands (a here-document is one command)."""

    how: str
    commands: tuple[str, ...]


def fences(page: str) -> list[Fence]:
    """The shell fences of a page."""
    found = re.findall(r"^```([^\n]*)\n(.*?)^```", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)
    return [Fence(how.strip(), tuple(commands(text))) for how, text in found if how.strip().split(" ")[0] in ("", "sh")]


def commands(text: str) -> list[str]:
    found: list[str] = []
    end = None
    for line in text.splitlines():
        if end is not None:
            found[-1] += "\n" + line
            end = None if line == end else end
        elif line.strip() and not line.lstrip().startswith("#"):
            found.append(re.sub(r"\s+# .*", "", line))
            here = re.search(r"<<'(\w+)'", line)
            end = here[1] if here else None
    return found


def shell(texts: list[str], folder: Path, ports: dict[str, int]) -> list[str]:
    """Runs the commands at once, each as a shell would, until all have ended well; returns what they wrote."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "COLUMNS": "80", "PYTHONPATH": str(ROOT)}
    for old, port in ports.items():
        texts = [t.replace(old, f"127.0.0.1:{port}") for t in texts]
    out = [folder / f".out-{i}" for i in range(len(texts))]
    running = []
    for text, file in zip(texts, out, strict=True):
        with file.open("w") as written:
            process = subprocess.Popen(
                ["sh", "-ec", text], cwd=folder, env=env, stdout=written, stderr=subprocess.STDOUT
            )
        running.append(process)
    try:
        codes = [process.wait(100) for process in running]
    finally:
        for process in running:
            process.kill()
    said = [file.read_text() for file in out]
    assert codes == [0] * len(texts), list(zip(texts, said, strict=True))
    return said


def test_every_command_is_run_or_listed() -> None:
    """A new command on a page has to be run here, or to get a reason."""
    mine = [c for page in PAGES for fence in fences(page) for c in fence.commands]
    by_readme = {shlex.join(words) for words in between_institutions()}
    for page in PAGES:
        for fence in fences(page):
            for command in fence.commands:
                runs = fence.how != "" or shlex.join(shlex.split(command)) in by_readme
                assert runs or command in ELSEWHERE, f"{page}: {command} is not run by a test"
                assert page != "README.md" or fence.how == "", f"{page}: nobody runs {command}"
    assert [c for c in ELSEWHERE if c not in mine] == []
    assert len(by_readme) >= 11


def test_every_command_in_a_sentence_exists() -> None:
    """`vfl ...` between single ticks, on any page: its command and its options are known."""
    tree = get_command(app)
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "protocols").glob("*.md")]
    for page in pages:
        prose = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
        for text in re.findall(r"`vfl ([a-z][^`]*)`", prose):
            if text in LABELS:
                continue
            here, words = tree, text.split()
            while words and isinstance(commands_of := getattr(here, "commands", None), dict):
                assert words[0] in commands_of, (page.name, text)
                here = commands_of[words.pop(0)]
            known = {o for p in getattr(here, "params", []) for o in p.opts} | {"--help"}
            assert {w for w in words if w.startswith("--")} <= known, (page.name, text)


class Page:
    """Runs the fences of one page, in one folder or in a folder a machine.

    Commands of ours that need no other process run within this one, unless `shell` says that all go through a shell.
    """

    def __init__(self, page: str, parties: Institutions, ports: dict[str, int], *, shell: bool, apart: bool) -> None:
        self.page, self.parties, self.ports, self.shell, self.apart = page, parties, ports, shell, apart
        self.said: dict[str, str] = {}

    def run(self) -> dict[str, str]:
        """Runs everything; returns what each command wrote."""
        for fence in fences(self.page):
            here = [c for c in fence.commands if c not in ELSEWHERE]
            if fence.how == "sh together":
                self.together(here)
                continue
            self.courier()
            for command in here:
                for home in self.homes(fence.how):
                    self.said[command] = self.one(command, home)
        return self.said

    def homes(self, how: str) -> list[Path]:
        """The machines on which a fence is run."""
        if how == "sh":
            return [self.parties.folder]
        name = how.removeprefix("sh at ")
        assert name in (*MACHINES, "each"), f"{self.page}: a fence of unknown kind: {how}"
        return [self.parties.folder / m for m in (MACHINES if name == "each" else (name,))]

    def one(self, command: str, home: Path) -> str:
        program, *words = shlex.split(command)
        if self.shell or program != "vfl" or words[0] == "demo":
            (said,) = shell([command], home, self.ports)
        else:
            with pytest.MonkeyPatch.context() as patch:
                patch.chdir(home)
                patch.setenv("COLUMNS", "80")
                for old, port in self.ports.items():
                    words = [w.replace(old, f"127.0.0.1:{port}") for w in words]
                ended = self.parties.here(*(found for w in words for found in sorted(glob.glob(w)) or [w]))
            assert ended.code == 0, (command, ended.err)
            said = ended.out
        if self.apart and program == "vfl" and words[0] == "init":
            self.one_machine(home / words[1] / "party.toml")
        return said

    def one_machine(self, file: Path) -> None:
        """`vfl init` writes 0.0.0.0:7443, which two parties cannot both have on one machine."""
        port = self.ports["10.0.0.1:7443" if 'role = "guest"' in file.read_text() else "10.0.0.3:7443"]
        file.write_text(file.read_text().replace("0.0.0.0:7443", f"127.0.0.1:{port}"))

    def together(self, here: list[str]) -> None:
        """Each line in a terminal of its own: on the machine whose party file it names."""
        names = [next(m for m in MACHINES if f" {m}/party.toml" in c) for c in here]
        texts = [
            f"cd {self.parties.folder / n if self.apart else self.parties.folder}\n{c}"
            for n, c in zip(names, here, strict=True)
        ]
        self.said |= dict(zip(here, shell(texts, self.parties.folder, self.ports), strict=True))

    def courier(self) -> None:
        """Carries every certificate that lies ready on one machine to the others."""
        for machine in MACHINES:
            if self.apart and (ready := self.parties.folder / machine / f"{machine}.pem").exists():
                for other in MACHINES:
                    if other != machine:
                        shutil.copy(ready, self.parties.folder / other)


HOW = pytest.mark.parametrize("shell", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["within", "shell"])


@HOW
@pytest.mark.slow
def test_the_quickstart(parties: Institutions, shell: bool) -> None:
    folder = parties.folder
    guest, arbiter = free_ports(2)
    ports = {"127.0.0.1:7443": guest, "127.0.0.1:7444": arbiter}
    said = Page("docs/quickstart.md", parties, ports, shell=shell, apart=False).run()
    assert "Three processes on this machine" in next(t for c, t in said.items() if c.startswith("vfl demo"))
    for party in MACHINES:
        assert "Ready. Nothing was sent." in said[f"vfl check job.toml {party}/party.toml"]
    verified = said["vfl ledger verify bank/runs/latest --certificate bank/identity/cert.pem"]
    assert "Signed by the owner of bank/identity/cert.pem" in verified
    assert len((folder / "scores.csv").read_text().splitlines()) == 201
    shown = [t for c, t in said.items() if c.startswith(("vfl report", "vfl ledger", "vfl model", "vfl check"))]
    lines = [line for text in shown for line in text.splitlines() if "runs/first-" not in line]
    assert [line for line in lines if len(line) > 80 and not line.startswith("caution: ")] == []  # one line in a log


@HOW
@pytest.mark.slow
def test_between_machines(parties: Institutions, shell: bool) -> None:
    """Three folders for three machines; the job, the tables and the mail are this test's."""
    folder = parties.folder
    made = credit_sim(300)
    job = next(c for f in fences("docs/quickstart.md") for c in f.commands if c.startswith("cat > job.toml")).split(
        "\n", 1
    )[1]
    for name in MACHINES:
        (folder / name / name).mkdir(parents=True)
        (folder / name / "job.toml").write_text(job.partition("\nEND")[0].replace("max_iter = 10", "max_iter = 5"))
    made.guest.to_csv(folder / "bank" / "bank" / "customers.csv", index=False)
    made.hosts["telecom"].to_csv(folder / "telecom" / "telecom" / "customers.csv", index=False)
    guest, arbiter = free_ports(2)
    page = Page(
        "docs/two-machines.md", parties, {"10.0.0.1:7443": guest, "10.0.0.3:7443": arbiter}, shell=shell, apart=True
    )
    said = page.run()
    read = said["openssl x509 -in bank.pem -noout -fingerprint -sha256"].partition("=")[2].strip()
    for other in ("telecom", "trustco"):  # both ends of the telephone read the same
        assert read in said[f"vfl trust {other} bank.pem --add"]
    if shell:  # and with the renewed certificate they meet again
        page.together([f"vfl run job.toml {m}/party.toml" for m in MACHINES])
