"""What stands at the end of each `--help` page: commands that one would really type."""

from __future__ import annotations

EXAMPLES: dict[str, tuple[str, ...]] = {
    "demo": ("vfl demo", "vfl demo --board", "vfl demo --data credit-sim --rows 5000", "vfl demo --data loans.csv --label default --guest age,limit"),  # noqa: E501
    "init": ("vfl init bank/ --role guest --name bank", "vfl init telecom/ --role host --name telecom", "vfl init bank-a/ --role member --name bank-a"),  # noqa: E501
    "trust": ("vfl trust bank/ telecom.pem", "vfl trust telecom/ bank.pem --address 10.0.0.1:7443", "vfl trust telecom/ bank.pem --add"),  # noqa: E501
    "renew": ("vfl renew bank/", "vfl renew bank/ --new-key"),
    "job new": ("vfl job new job.toml --key national_id", "vfl job new job.toml --key national_id --kind boosted-trees --host telecom --host utility", "vfl job new job.toml --kind averaging --member bank-a --member bank-b --member bank-c --column age --column limit"),  # noqa: E501
    "job show": ("vfl job show job.toml",),
    "job digest": ("vfl job digest job.toml",),
    "job schema": ("vfl job schema",),
    "check": ("vfl check job.toml bank/party.toml", "vfl check job.toml bank/party.toml --connect"),
    "align": ("vfl align job.toml bank/party.toml", "vfl align job.toml bank/party.toml --format csv"),
    "prepare": ("vfl prepare job.toml bank/party.toml", "vfl prepare job.toml bank/party.toml --iterations 60"),
    "run": ("vfl run job.toml bank/party.toml", "vfl run job.toml bank/party.toml --connect-timeout 3600 --progress lines"),  # noqa: E501
    "predict": (
        "vfl predict job.toml bank/party.toml --model RUN/model --data new.csv --out scores.csv",
        "vfl predict job.toml telecom/party.toml --model RUN/model",
        "vfl predict job.toml trustco/party.toml --model RUN/model",
    ),
    "node start": ("vfl node start bank/party.toml",),
    "node submit": ("vfl node submit job.toml bank/party.toml",),
    "node predict": (
        "vfl node predict job.toml bank/party.toml --model bank/runs/latest/model --data new.csv --out scores.csv",
        "vfl node predict job.toml telecom/party.toml --model telecom/runs/latest/model",
    ),
    "node status": ("vfl node status bank/party.toml",),
    "node approve": ("vfl node approve DIGEST bank/party.toml",),
    "node publish": (
        "vfl node publish job.toml bank/party.toml --model bank/runs/latest/model",
        "vfl node publish job.toml telecom/party.toml --model telecom/runs/latest/model --data customers.csv",
    ),
    "node withdraw": ("vfl node withdraw DIGEST bank/party.toml",),
    "node cancel": ("vfl node cancel DIGEST bank/party.toml",),
    "monitor": (
        "vfl monitor bank/party.toml --model RUN/model --data new.csv --scores scores.csv",
        "vfl monitor telecom/party.toml --model RUN/model --data new.csv --out drift.csv",
    ),
    "runs": ("vfl runs bank/party.toml", "vfl runs bank/party.toml --json"),
    "report": ("vfl report RUN", "vfl report bank/runs/latest", "vfl report RUN --cutoff 0.2"),
    "ledger show": ("vfl ledger show RUN", "vfl ledger show RUN --messages"),
    "ledger verify": ("vfl ledger verify RUN --certificate bank/identity/cert.pem",),
    "ledger reconcile": ("vfl ledger reconcile bank/runs/RUN telecom/runs/RUN",),
    "evidence pack": (
        "vfl evidence pack RUN --out pack.zip",
        "vfl evidence pack bank/runs/latest --out pack.zip --about evidence.toml",
    ),
    "evidence verify": ("vfl evidence verify pack.zip", "vfl evidence verify pack.zip --certificate bank.pem"),
    "model show": ("vfl model show RUN/model",),
    "budget": ("vfl budget bank/party.toml",),
    "purge": ("vfl purge bank/party.toml --before 2026-01-01", "vfl purge bank/party.toml --customer id --yes"),
    "audit": ("vfl audit RUN", "vfl audit bank/runs/latest --seeds 5"),
    "support": ("vfl support RUN", "vfl support bank/runs/latest --out support.zip"),
    "chaos kill": ("vfl chaos kill --every 20", "vfl chaos kill --model boosted-trees --every-boundary --instants 200"),
    "chaos net": ("vfl chaos net", "vfl chaos net --schedules 2000 --seed 8 --model logistic-regression"),
    "bench": ("vfl bench", "vfl bench --out results/ --compare old/overhead.json", "vfl bench --full --peers-python peers/bin/python"),  # noqa: E501
}  # fmt: skip


def examples(command: str) -> str:
    """The text below a command's options; RUN is the folder that `vfl run` names at its end."""
    lines = EXAMPLES[command]
    note = (
        ["", "RUN is the folder of the report that vfl run names at its end."]
        if any("RUN" in line for line in lines)
        else []
    )
    return "\b\n" + "\n".join(["Examples:" if len(lines) > 1 else "Example:", *(f"  {line}" for line in lines), *note])
