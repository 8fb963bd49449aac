"""Online scores between three nodes: the same as `vfl predict`, within budgets, and by the fallback where a partner is
silent."""

from __future__ import annotations

import http.client
import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.harness import KNOWN
from tests.promises.node.conftest import Nodes
from tests.promises.node.test_page import ONLINE, one
from tests.promises.processes.institutions import KEY, MANY, ROLES, tables
from tests.promises.processes.test_pages import fences, shell
from tests.promises.processes.test_trees import SMALL
from vfl.demo.run import free_ports
from vfl.job import PERMITS
from vfl.ledger import verify_ledger
from vfl.node.processes import is_locked
from vfl.run.budget.queries import Queries, utc_now

TOKEN = "t" * 40


def agreed(**policy: int) -> dict[str, Any]:
    """A policy that permits every job."""
    return {"allow": tuple(PERMITS), "policy": MANY | policy}


class Online(Nodes):
    """A trained model, published by all nodes, and the guest's local face."""

    def train(self, **job: Any) -> None:
        """Trains by `vfl run`, without nodes."""
        self.lay_out(**job)
        started = {name: self.start(name) for name in self.roles}
        for process in started.values():
            assert process.wait(120).code == 0, process.err.read_text()
        self.models = {name: next((self.folder / name / "runs").glob("credit*/model"), None) for name in self.roles}

    def face(self, text: str = "") -> None:
        """The guest's local face, for a user who may ask."""
        (self.http,) = free_ports(1)
        token = self.folder / "bank" / "token"
        token.write_text(TOKEN)
        token.chmod(0o600)
        section = f'[node]\n{text}[node.http]\nlisten = "127.0.0.1:{self.http}"\n'
        section += '[node.http.access.system]\ntoken = "token"\nroles = ["score", "read"]\n'
        self.change("bank", "[node]\n", section)

    def publish(self) -> None:
        for name in self.roles:
            model = self.models[name]
            words = [self.job, self.file(name), *(["--model", model] if model else [])]
            self.digest = self.tell("publish", *words)["published"]["job_digest"]

    def open(self) -> None:
        """Waits until the guest's process answers."""
        self.until(lambda: [o["doing"] for o in self.tell("status", self.file("bank"))["online"]] == ["answering"])

    def ask(self, customer: Any, **features: Any) -> tuple[int, dict[str, Any], dict[str, str]]:
        """Status, content and headers of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.http, timeout=20)
        body = json.dumps({"id": customer, "features": features})
        connection.request("POST", "/v1/score", body, {"Authorization": f"Bearer {TOKEN}"})
        answer = connection.getresponse()
        found = answer.status, json.loads(answer.read()), dict(answer.getheaders())
        connection.close()
        return found

    def of_row(self, row: int) -> dict[str, Any]:
        """The guest's own columns of one of its customers."""
        line = self.data["bank"].iloc[row]
        return {name: float(line[name]) for name in ("canaryage", "canarylimit")}

    def predicted(self) -> pd.Series:
        """What `vfl predict` says, by id."""
        out = self.folder / "scores.csv"
        started = []
        for name in self.roles:
            model = self.models[name]
            if model is None and len(self.roles) == 3:
                continue
            options = [*(["--model", str(model)] if model else []), *(["--out", str(out)] if name == "bank" else [])]
            started.append(self.start(name, *options, command="predict"))
        for process in started:
            assert process.wait(120).code == 0, process.err.read_text()
        return pd.read_csv(out, dtype=str).set_index(KEY)["score"].astype(float)

    def epoch(self, customer: str) -> str | None:
        """Which lists answer."""
        found: str | None = self.ask(customer, **self.of_row(20))[1]["score"]["epoch"]
        return found

    def lock(self, name: str) -> Path:
        """Of the process that serves at a party."""
        return next((self.folder / name).glob("node/online/processes/*.lock"))

    def close(self) -> None:
        for lock in self.folder.glob("*/node/online/processes/*.lock"):
            if is_locked(lock):
                os.kill(int(lock.read_text()), signal.SIGKILL)
        super().close()


@pytest.fixture
def online(tmp_path: Path) -> Any:
    made = Online(tmp_path)
    yield made
    made.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("job", "hosts"),
    [({}, 1), ({"reveal": KNOWN}, 1), ({}, 2), (SMALL, 1), (SMALL, 2)],
    ids=["shared", "revealed", "two hosts", "sealed trees", "sealed trees, two hosts"],
)
def test_three_nodes_answer_as_vfl_predict(online: Online, job: dict[str, Any], hosts: int) -> None:
    """Customers whom a host does not know get partial answers; over the budget nothing leaves; the ledgers count."""
    more: dict[str, Any] = {}
    if hosts == 2:
        data = tables()
        shop = pd.DataFrame({KEY: data["bank"][KEY].iloc[:70], "canaryvisits": np.linspace(-2, 2, 70)})
        more = {"data": data | {"shop": shop}, "roles": {**ROLES, "shop": "host"}}
    online.train(settings=agreed(queries_per_partner_per_day=40), **job, **more)
    wanted = online.predicted()
    online.face("[node.online]\nseconds = 4.0\n")
    nodes = {name: online.node(name) for name in online.roles}
    online.publish()
    online.open()
    for row in range(10, 30):
        customer = online.data["bank"][KEY].iloc[row]
        status, found, _ = online.ask(customer, **online.of_row(row))
        assert status == 200, found
        score = found["score"]
        if np.isnan(wanted[customer]):
            assert score["partial"], score
            assert score["why"] == "unknown"
        else:
            assert not score["partial"], score
            assert score["score"] == wanted[customer]
    status, found, _ = online.ask("\0", **online.of_row(0))
    assert (status, found["score"]["why"]) == (200, "unknown")
    assert online.ask("x", canaryage=1.0)[0] == 422
    for row in range(40, 59):
        assert online.ask(f"guess {row}", **online.of_row(row))[0] == 200
    status, found, headers = online.ask("guess", **online.of_row(1))
    assert status == 429, found
    assert int(headers["retry-after"]) > 0
    for name in online.roles:
        for peer in online.roles if name == "bank" else ("bank",):
            used = Queries(online.folder / name / "runs").today(peer, utc_now())
            assert used == (0 if {name, peer} <= {"bank", "trustco"} and name == "bank" else 40), (name, peer)
    for name in nodes:
        online.tell("withdraw", online.digest, online.file(name))
    online.until(lambda: not any(is_locked(p) for p in online.folder.glob("*/node/online/processes/*.lock")))
    for name in online.roles:
        (path,) = (online.folder / name / "runs").glob("score-*/ledger.jsonl")
        verify_ledger(path, (online.folder / name / "identity" / "cert.pem").read_bytes())
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        counted = [line["partners"] for line in lines if line["type"] == "queries"]
        assert {sum(partners.get(p, 0) for partners in counted) for p in set().union(*counted)} == {40}, name
    for node in nodes.values():
        node.kill(signal.SIGTERM)
    written = [p for name in online.roles for p in (online.folder / name / "node").rglob("*") if p.is_file()]
    written += [p for name in online.roles for p in (online.folder / name / "runs").glob("score-*/*")]
    written += [p for name in online.roles for p in (online.folder / name / "runs").glob("queries.sqlite*")]
    assert len(written) > 20
    assert not [p for p in written if b"CANARY-" in p.read_bytes().upper()], "no file of the nodes holds an id"
    assert b"CANARY-" in (online.folder / "bank" / "customers.csv").read_bytes()


@pytest.mark.slow
def test_a_silent_host_gets_a_partial_answer_in_time_and_epochs_follow(online: Online) -> None:
    online.train(data=tables(), settings=agreed(queries_per_id_per_month=1000))
    online.face("[node.online]\nseconds = 1.0\n")
    for name in online.roles:
        online.node(name)
    online.publish()
    online.open()
    customer = online.data["bank"][KEY].iloc[20]
    assert not online.ask(customer, **online.of_row(20))[1]["score"]["partial"]
    host = int(next((online.folder / "telecom").glob("node/online/processes/*.lock")).read_text())
    os.kill(host, signal.SIGSTOP)
    began = time.monotonic()
    status, found, _ = online.ask(customer, **online.of_row(20))
    assert time.monotonic() - began < 1.6
    assert (status, found["score"]["why"]) == (200, "silent")
    os.kill(host, signal.SIGKILL)  # its node starts another one, and a new epoch is published
    online.until(lambda: not online.ask(customer, **online.of_row(20))[1]["score"]["partial"], 60)
    before = online.ask(customer, **online.of_row(20))[1]["score"]
    online.tell("publish", online.job, online.file("bank"), "--model", online.models["bank"])
    online.until(lambda: online.epoch(customer) not in (None, before["epoch"]), 60)
    after = online.ask(customer, **online.of_row(20))[1]["score"]
    assert after["score"] == before["score"], "another epoch, after another move of the shares: the same bits"


@pytest.mark.slow
def test_the_page_from_a_model_to_a_score(online: Online) -> None:
    """The commands of docs/node.md, as printed."""
    online.train(settings=agreed())
    online.face()
    (online.folder / "bank" / "tokens").mkdir(mode=0o700)
    (online.folder / "bank" / "token").rename(online.folder / "bank" / "tokens" / "origination")
    online.change("bank", 'token = "token"', 'token = "tokens/origination"')
    for name in online.roles:
        online.node(name)
    customer = {"id": online.data["bank"][KEY].iloc[20], "features": online.of_row(20)}
    (online.folder / "customer.json").write_text(json.dumps(customer))
    for fence in fences("docs/node.md"):
        if fence.how not in ONLINE:
            continue
        for command in fence.commands:
            if fence.how.endswith("when up"):
                online.open()
                text = command.replace("127.0.0.1:7480", f"127.0.0.1:{online.http}")
                answer = json.loads(shell([text], online.folder, {})[0])
                assert answer["score"]["partial"] is False
                assert 0 < answer["score"]["score"] < 1
            else:
                one(online, command)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_ten_thousand_requests_and_a_node_that_is_killed(online: Online, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever was answered stands in the budgets of both sides, and no process grows."""
    monkeypatch.setenv("MALLOC_ARENA_MAX", "1")  # else each thread of the core keeps the room of its last tables
    online.train(settings=agreed(queries_per_partner_per_day=10**6, queries_per_id_per_month=10**6))
    online.face("[node.online]\nseconds = 20.0\nper_second = 100000.0\nburst = 100000\n")
    nodes = {name: online.node(name) for name in online.roles}
    online.publish()
    online.open()
    pids = {name: int(online.lock(name).read_text()) for name in online.roles}
    answered, tried, lock, sizes = [0], [0], threading.Lock(), dict[str, list[int]]()

    def ask(requests: int) -> None:
        connection, done = http.client.HTTPConnection("127.0.0.1", online.http, timeout=60), 0
        while done < requests:
            row = 20 + done % 50
            body = json.dumps({"id": online.data["bank"][KEY].iloc[row], "features": online.of_row(row)})
            with lock:
                tried[0] += 1
            try:
                connection.request("POST", "/v1/score", body, {"Authorization": f"Bearer {TOKEN}"})
                answer = connection.getresponse()
                found = json.loads(answer.read())
            except (OSError, http.client.HTTPException):  # the node is being started again
                connection.close()
                time.sleep(0.2)
                continue
            assert answer.status == 200, found
            assert not found["score"]["partial"], found
            done += 1
            with lock:
                answered[0] += 1
        connection.close()

    for part in range(5):
        threads = [threading.Thread(target=ask, args=(40,)) for _ in range(50)]
        for thread in threads:
            thread.start()
        if part == 2:
            time.sleep(2)
            nodes["bank"].kill(signal.SIGKILL)
            nodes["bank"].wait()
            nodes["bank"] = online.node("bank")
        for thread in threads:
            thread.join()
        for name, pid in pids.items():
            sizes.setdefault(name, []).append(resident(pid))
    assert answered[0] == 10_000
    assert {name: int(online.lock(name).read_text()) for name in online.roles} == pids, "no process was another one"
    for name, peer in (("bank", "telecom"), ("telecom", "bank"), ("trustco", "bank")):
        used = Queries(online.folder / name / "runs").today(peer, utc_now())
        assert answered[0] <= used <= tried[0], (name, used)
    assert all(last - first < 16 << 20 for _, first, *_, last in sizes.values()), sizes


def resident(pid: int) -> int:
    """Bytes of memory that a process holds."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
