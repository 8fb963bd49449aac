"""Who repeated ids, and which key matched how many: each party tells its own page, and no other."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

import vfl
from protocols.cipher import Identity
from tests.unit.vfl.steps.test_out_of_time import frames


def test_repeated_ids_and_keys_are_told_to_their_owner(tmp_path: Path) -> None:
    guest, hosts = frames(200)
    phones = [f"07700 {k:06d}" for k in range(200)]
    telecom = hosts["telecom"].assign(phone=[phones[int(i[1:])] for i in hosts["telecom"]["id"]])
    telecom.loc[telecom.index[:30], "id"] = None  # these are known by their phone only
    telecom = pd.concat([telecom, telecom.dropna().iloc[:7]])
    fed = vfl.Federation.local(
        guest.drop(columns="opened").assign(phone=phones),
        {"telecom": telecom},
        on=[["id"], ["phone"]],
        label="bad",
        duplicates="first",
        cipher=Identity(),
        convergence=False,
    )
    model = fed.fit(vfl.LogisticRegression(max_iter=5, link="taylor"), split=vfl.Split())
    told = {party: report.result["alignment"] for party, report in model.reports_.items()}
    assert (told["guest"]["repeated"], told["telecom"]["repeated"]) == (0, 7)
    assert told["guest"]["by_key"] == told["telecom"]["by_key"] == {"id": 170, "phone": 30}
    assert "7" not in json.dumps({k: v for k, v in told["guest"].items() if k == "repeated"})
    pages = {party: report.save(tmp_path / party).read_text() for party, report in model.reports_.items()}
    assert "7 rows of telecom’s table repeated the id of an earlier one and were left out" in pages["telecom"]
    assert "No row of guest’s table repeated an id" in pages["guest"]
    assert "By which key" in pages["guest"]
    assert "alignment,,phone,by_key,30" in (tmp_path / "guest" / "report.csv").read_text()
    single = vfl.Federation.local(
        *frames(60), on="id", label="bad", date="opened", cipher=Identity(), convergence=False
    )
    plain = single.fit(vfl.LogisticRegression(max_iter=5, link="taylor"), split=vfl.Split()).reports_["guest"]
    assert "by_key" not in plain.result["alignment"]
    assert "By which key" not in plain.save(tmp_path / "plain").read_text()
