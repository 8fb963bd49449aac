"""What encryption cost: the products that the report tells are those that the bench counts, of every key, and
ciphertexts are told from other bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from protocols.local import run_local
from protocols.session import Roles, Session
from tests.harness import TOY
from tests.plans import planned
from tests.unit.vfl.steps.test_out_of_time import frames
from vfl.cost import meter
from vfl.data import Table, table_from_frame
from vfl.models.regression import program as glm
from vfl.models.regression.spec import LogisticRegression
from vfl.report import page
from vfl.report.page import as_csv, render, write_report
from vfl.run.result_frame import encryption
from vfl.taps.counting import Counted, CountingTap, pace

BYTES = ("bytes_sent", "bytes_received", "messages_sent", "messages_received")


def test_the_products_of_a_run_are_those_that_the_bench_counts() -> None:
    guest, hosts = frames(60)
    common: dict[str, Any] = {"keys": ["id"], "normalise": {}, "duplicates": "error", "columns": None}
    tables: dict[str, Table] = {
        "bank": table_from_frame(guest.drop(columns="opened"), party="bank", label="bad", **common),
        "telecom": table_from_frame(hosts["telecom"], party="telecom", label=None, **common),
    }
    job = planned(LogisticRegression, max_iter=5, link="taylor", test=0.3)
    counting = {party: CountingTap() for party in (*tables, "trustco")}
    meters = {party: meter.Meter() for party in counting}

    def watched(session: Session, role: Any) -> Any:
        session.scheme = Counted(session.scheme, counting[session.me].keys.append)
        return role(session)

    programs = {
        "bank": partial(glm.guest, table=tables["bank"], plan=job),
        "telecom": partial(glm.host, table=tables["telecom"], plan=job),
        "trustco": partial(glm.arbiter, plan=job),
    }
    run_local(
        Roles("bank", ("telecom",), "trustco"),
        {party: partial(watched, role=role) for party, role in programs.items()},
        meter.Counted(TOY),
        taps={p: [m] for p, m in meters.items()},
        observers=meters,
    )
    for party, one in counting.items():
        assert one.products == sum(event.products for event in meters[party].events) > 0
    rows = [
        {"message": "Residual", "bytes": 1000},
        {"message": "MaskedGradient", "bytes": 70},
        {"message": "Scores", "bytes": 9},
    ]
    products = counting["bank"].products
    told = encryption(counting["bank"], {"disclosure": rows})["encryption"]  # its measurement adds products of its own
    assert told["ciphertext_bytes"] == 1070
    assert told["products"] == products
    assert told["cpu_s"] == pytest.approx(told["products"] * told["product_s"])
    assert 0 < pace(counting["bank"].keys[0]) < 1
    assert "ciphertext_bytes" not in encryption(counting["bank"], {"disclosure": rows, "resumed": True})["encryption"]


def test_a_run_without_encryption_has_no_such_cost() -> None:
    assert encryption(CountingTap(), {"disclosure": []}) == {}


def test_the_page_and_the_table_tell_it() -> None:
    told = {"products": 1234567, "product_s": 2e-6, "cpu_s": 2.469134, "ciphertext_bytes": 2048}
    phases = [
        {
            "name": "train",
            "seconds": 9.0,
            "bytes_sent": 4096,
            "bytes_received": 1,
            "messages_sent": 1,
            "messages_received": 1,
        }
    ]
    result = {"job": "j", "job_digest": "d", "party": "bank", "role": "guest", "phases": phases}
    page = render(result | {"encryption": told})
    assert "1,234,567 products modulo n²" in page
    assert "2.00 µs" in page
    assert "cost,,encryption,products,1234567" in as_csv(result | {"encryption": told})
    assert "in the clear" not in render(result)


def test_the_writing_of_the_report_is_counted_until_its_page_is_drawn(
    full_result: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    counting = CountingTap(clock=lambda: now[0])
    counting.phase("write")
    draw = page.context

    def slowly(result: Mapping[str, Any]) -> dict[str, Any]:
        shown = draw(result)
        now[0] += 700.0  # the plots
        return shown

    monkeypatch.setattr(page, "context", slowly)
    path = write_report(tmp_path, full_result, counting.phases)
    assert json.loads(path.read_text(encoding="utf-8"))["phases"] == [
        {"name": "write", "seconds": 700.0, **dict.fromkeys(BYTES, 0)}
    ]
    shown = (tmp_path / "report.html").read_text(encoding="utf-8").replace("\N{NO-BREAK SPACE}", " ")
    assert '<th scope="row">write</th><td class="n">11 min 40 s</td>' in shown
    assert "cost,,write,seconds,700.0" in (tmp_path / "report.csv").read_text(encoding="utf-8")
    json_before = json.loads(write_report(tmp_path, full_result).read_text(encoding="utf-8"))
    assert json_before["phases"] == full_result["phases"]  # a report that is written again keeps its run's
