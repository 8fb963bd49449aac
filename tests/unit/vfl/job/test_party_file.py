"""A party file that is wrong, or that does not fit the job, is refused before anything is opened."""

import pytest

from protocols.errors import ConfigError, DisclosureRefused
from vfl.job import PERMITS, cautions, check_files, cross_check, split_address, with_peer

GUEST = """\
name = "bank"
role = "guest"
listen = "0.0.0.0:7443"
[identity]
key = "identity/key.pem"
certificate = "identity/cert.pem"
[peers.telecom]
certificate = "peers/telecom.pem"
[peers.trustco]
certificate = "peers/trustco.pem"
[data]
source = "customers.csv"
label = "default"
[policy]
allow = ["edge-count-to-arbiter", "convergence-to-parties", "scores-to-guest", "intersection-to-parties"]
"""
HOST = """\
name = "telecom"
role = "host"
[identity]
key = "identity/key.pem"
certificate = "identity/cert.pem"
[peers.bank]
certificate = "peers/bank.pem"
address = "10.0.0.1:7443"
[peers.trustco]
certificate = "peers/trustco.pem"
address = "10.0.0.3:7443"
[data]
source = "customers.csv"
[policy]
allow = ["edge-count-to-arbiter", "convergence-to-parties", "scores-to-guest", "intersection-to-parties"]
"""
ARBITER = """\
name = "trustco"
role = "arbiter"
listen = "0.0.0.0:7443"
[identity]
key = "identity/key.pem"
certificate = "identity/cert.pem"
[peers.bank]
certificate = "peers/bank.pem"
address = "10.0.0.1:7443"
[peers.telecom]
certificate = "peers/telecom.pem"
[policy]
allow = ["edge-count-to-arbiter", "convergence-to-parties", "scores-to-guest", "intersection-to-parties"]
"""


@pytest.mark.parametrize("text", [GUEST, HOST, ARBITER])
def test_three_good_files_fit_the_job(load, job, text):
    party = load(text)
    cross_check(job(), party)
    assert cautions(job(), party) == []


def test_paths_start_from_the_files_folder(load, tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    party = load(GUEST)
    assert party.identity.key == tmp_path / "identity/key.pem"
    assert party.peers["telecom"].certificate == (tmp_path / "peers/telecom.pem",)
    assert party.data.source == str(tmp_path / "customers.csv")
    assert party.run.directory == tmp_path / "runs"
    absolute = load(GUEST.replace("customers.csv", "/data/customers.csv") + '[run]\ndirectory = "../out"\n')
    assert absolute.data.source == "/data/customers.csv"
    assert absolute.run.directory == tmp_path / "../out"
    assert (party.run.message_seconds, load(GUEST + "[run]\nmessage_seconds = 60\n").run.message_seconds) == (3600, 60)


def test_an_sqlite_address_starts_there_too(load, tmp_path):
    def source(address: str) -> str:
        return load(GUEST.replace('"customers.csv"', f'"{address}"\nquery = "SELECT 1"')).data.source

    assert source("sqlite:///bank.db") == f"sqlite:///{tmp_path}/bank.db"
    assert source("sqlite+pysqlite:///a/bank.db?timeout=5") == f"sqlite+pysqlite:///{tmp_path}/a/bank.db?timeout=5"
    assert source("sqlite:////data/bank.db") == "sqlite:////data/bank.db"
    assert source("sqlite:///:memory:") == "sqlite:///:memory:"
    assert source("postgresql://db.example/bank") == "postgresql://db.example/bank"


def test_addresses(load):
    assert load(GUEST).endpoint == ("0.0.0.0", 7443)
    assert load(HOST).peers["bank"].endpoint == ("10.0.0.1", 7443)
    assert load(GUEST).peers["telecom"].endpoint is None
    assert split_address("[fe80::1]:443") == ("fe80::1", 443)
    assert split_address("vfl.bank.example:443") == ("vfl.bank.example", 443)


@pytest.mark.parametrize(
    "address", ["10.0.0.1", ":7443", "10.0.0.1:0", "a:70000", "a:b", "::1:7443", "http://a:1", "a b:1", ""]
)
def test_a_bad_address_says_how_to_write_it(load, address):
    said = refusal(load, GUEST.replace("0.0.0.0:7443", address))
    assert "listen (line 3)" in said
    assert '"10.0.0.3:7443"' in said


def refusal(load, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(text)
    assert "party.toml" in str(caught.value)
    return str(caught.value)


def cut(text: str, start: str) -> str:
    return "\n".join(row for row in text.split("\n") if not row.startswith(start))


@pytest.mark.parametrize(
    ("text", "key", "says"),
    [
        (cut(GUEST, "label"), "data.label", "the guest holds the labels"),
        (GUEST + "[run]\nmessage_seconds = 9\n", "run.message_seconds", "10 to 604800"),
        (cut(GUEST, "listen"), "listen", "the others dial the guest"),
        (cut(ARBITER, "listen"), "listen", "the others dial the arbiter"),
        (HOST.replace("[identity]", 'listen = "0.0.0.0:1"\n[identity]'), "listen", "a host opens no port"),
        (HOST.replace("[data]", '[data]\nlabel = "y"'), "data.label", "only the guest holds labels"),
        (HOST.replace("[data]", "[data]\ncolumns = []"), "data.columns", "adds nothing"),
        (ARBITER + '[data]\nsource = "x.csv"\n', "data", "holds no data"),
        (HOST[: HOST.index("[data]")], "data", "a host brings a table"),
        (GUEST.replace("[data]", '[data]\ncolumns = ["default"]'), "data.columns", "which is the label"),
        (GUEST.replace("[data]", '[data]\ncolumns = ["a", "a"]'), "data.columns", "twice"),
        (GUEST.replace("[data]", '[data]\ncolumns = "a"'), "data.columns", 'columns = ["limit", "age"]'),
        (GUEST.replace("[data]", '[data]\ntypes = { default = "number" }'), "data.types", "which is the label"),
        (GUEST.replace("[data]", '[data]\ntypes = { x = "text" }'), "data.types.x", '"number" or "category"'),
        (GUEST.replace("[data]", '[data]\ncategories = ["x"]\ntypes = { x = "number" }'), "data.types", "is a number"),
        (GUEST.replace("[data]", '[data]\nexclude = ["default"]'), "data.exclude", "which is the label"),
        (GUEST.replace("[data]", '[data]\nexclude = ["a"]\ncolumns = ["b"]'), "data.exclude", "does nothing"),
        (GUEST.replace("[data]", '[data]\nexclude = ["a"]\ntypes = { a = "number" }'), "data.types", "exclude lists"),
        (GUEST.replace("[data]", '[data]\ncolumns = ["b"]\ntypes = { a = "number" }'), "data.types", "not in columns"),
        (GUEST.replace("[data]", '[data]\nmissing = "-"'), "data.missing", 'such as ["-", "?"]'),
        (GUEST.replace("[data]", '[data]\nid_columns = { a = "k", b = "k" }'), "data.id_columns", "to two keys"),
        (GUEST.replace("[data]", '[data]\nquery = "SELECT"'), "data.query", "the source is a file"),
        (GUEST.replace("customers.csv", "sqlite:///x.db"), "data.query", 'Add query = "SELECT ..."'),
        (GUEST.replace("peers.telecom", "peers.bank"), "peers.bank", "this party itself"),
        (GUEST.replace("peers.telecom", 'peers."../x"'), "peers", "not a valid name"),
        (GUEST.replace("peers/telecom.pem", "peers/trustco.pem"), "certificate", "also the certificate of telecom"),
        (GUEST.replace("peers/telecom.pem", "identity/cert.pem"), "peers.telecom.certificate", "this party"),
        (GUEST.replace('role = "guest"', 'role = "client"'), "role", '"guest", "host", "arbiter" or "member"'),
        (
            GUEST.replace("[policy]", "[policy]\nruns_per_partner_per_month = -1"),
            "policy.runs_per",
            "from 0 to",
        ),
        (GUEST.replace("[policy]", "[policy]\nmin_intersection = 0"), "policy.at_least.min_intersection", "from 1 to"),
        (GUEST + "[policy.at_least]\nmin_bin_row = 3", "policy.at_least.min_bin_row", "Did you mean 'min_bin_rows'"),
        (GUEST + "[policy.at_least]\nkey_bits = 1024", "policy.at_least.key_bits", "from 2048 to 4096 (default 2048)"),
        (GUEST + "[policy.at_most]\nscore_bits = 21", "policy.at_most.score_bits", "0 to 20"),
        (
            GUEST.replace("[policy]", "[policy]\nmin_intersection = 9") + "[policy.at_least]\nmin_intersection = 9",
            "policy.min_intersection",
            "Keep policy.at_least.min_intersection",
        ),
        (GUEST.replace("scores-to-guest", "scores-to-quest"), "policy.allow", "not known"),
        (GUEST.replace("listen", "listn"), "listn", "Did you mean 'listen'?"),
        (GUEST.replace("[data]", "[data]\nkeys = 1"), "data.keys", "not a known key"),
        (cut(GUEST, "certificate"), "certificate", "is missing"),
        (GUEST.replace('"identity/key.pem"', "7"), "identity.key", "a file, such as"),
        (GUEST.replace('"identity/key.pem"', '""'), "identity.key", "a file, such as"),
        (
            GUEST.replace('"customers.csv"', '""'),
            "data.source",
            "a file (.csv, .tsv, .parquet, .feather, .arrow)",
        ),
        (GUEST.replace("[peers.telecom]", "[peers]\ntelecom = 1\n[x]"), "peers.telecom", "[peers.NAME]"),
    ],
)
def test_what_is_wrong_is_named_with_a_remedy(load, text, key, says):
    said = refusal(load, text)
    assert key in said
    assert says in said


def test_no_error_and_no_repr_shows_a_database_password(load):
    address = "postgresql://risk:CANARY@db/bank"
    text = GUEST.replace('"customers.csv"', f'"{address}"')
    assert "CANARY" not in refusal(load, text)
    assert "CANARY" not in refusal(load, text.replace(f'"{address}"', f'["{address}"]'))
    assert "CANARY" not in refusal(load, text.replace("[data]", "[data]\nquery = 7\n"))
    assert "CANARY" not in repr(load(text.replace("[data]", '[data]\nquery = "SELECT CANARY"')))


def fails(error, job, party) -> str:
    with pytest.raises(error) as caught:
        cross_check(job, party)
    assert caught.value.party == party.name
    return str(caught.value)


def test_a_party_of_another_job(load, job):
    said = fails(ConfigError, job(guest="insurer"), load(GUEST))
    assert "no party of this name, it has insurer, telecom and trustco" in said


def test_swapped_roles(load, job):
    said = fails(ConfigError, job(guest="telecom", hosts=["bank"]), load(GUEST))
    assert 'role is "guest", the job \'credit-risk\' says "host"' in said


def test_missing_and_superfluous_peers(load, job):
    text = GUEST.replace("[peers.telecom]\n", "").replace('certificate = "peers/telecom.pem"\n', "")
    assert "peers.telecom is missing" in fails(ConfigError, job(), load(text))
    guest, host = load(with_peer(GUEST, "shop", "peers/shop.pem")), job(hosts=["telecom", "shop"])
    cross_check(job(), guest)
    assert cautions(job(), guest) == ["[peers.shop] is not used in this job: the job does not name it"]
    other = load(with_peer(HOST, "shop", "peers/shop.pem"))
    assert cautions(host, other) == ["[peers.shop] is not used in this job: hosts do not talk to each other"]


def test_whoever_dials_needs_an_address(load, job):
    assert "peers.trustco.address is missing" in fails(ConfigError, job(), load(cut(HOST, 'address = "10.0.0.3')))
    assert "peers.bank.address is missing" in fails(ConfigError, job(), load(cut(ARBITER, "address")))


def test_an_address_without_use_is_told(load, job):
    party = load(GUEST.replace('trustco.pem"', 'trustco.pem"\naddress = "10.0.0.3:7443"'))
    cross_check(job(), party)
    assert cautions(job(), party) == ["peers.trustco.address is not used: trustco dials bank"]


def test_a_key_column_is_neither_label_nor_feature(load, job):
    assert 'data.label names "default"' in fails(ConfigError, job(keys=["default"]), load(GUEST))
    party = load(GUEST.replace("[data]", '[data]\ncolumns = ["customer_id"]'))
    assert 'data.columns names "customer_id"' in fails(ConfigError, job(), party)


@pytest.mark.parametrize("permit", ["intersection-to-parties", "edge-count-to-arbiter", "scores-to-guest"])
@pytest.mark.parametrize("text", [GUEST, HOST, ARBITER])
def test_a_job_outside_the_policy_is_refused_and_says_what_it_discloses(load, job, text, permit):
    said = fails(DisclosureRefused, job(), load(text.replace(f'"{permit}", ', "").replace(f', "{permit}"', "")))
    assert f"'{permit}': {PERMITS[permit]}" in said


def test_no_policy_allows_nothing(load, job):
    fails(DisclosureRefused, job(), load(GUEST[: GUEST.index("[policy]")]))


def test_missing_files_are_named(load, tmp_path):
    party = load(GUEST)
    for key, file, maker in [
        ("identity.key", "identity/key.pem", "vfl init"),
        ("identity.certificate", "identity/cert.pem", "vfl init"),
        ("peers.telecom.certificate", "peers/telecom.pem", "vfl trust"),
        ("peers.trustco.certificate", "peers/trustco.pem", "vfl trust"),
        ("data.source", "customers.csv", "This key"),
    ]:
        with pytest.raises(ConfigError, match=key) as caught:
            check_files(party)
        assert maker in str(caught.value)
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text("x")
    check_files(party)


def test_own_names_of_keys_are_those_of_the_job(load, job):
    own = load(GUEST.replace("[data]", '[data]\nid_columns = { customer_id = "KUNDENNR" }'))
    cross_check(job(), own)
    assert own.data.settings().id_columns == {"customer_id": "KUNDENNR"}
    with pytest.raises(ConfigError, match=r"data\.id_columns names \"id\", which is no key column of the job"):
        cross_check(job(), load(GUEST.replace("[data]", '[data]\nid_columns = { id = "KUNDENNR" }')))
    with pytest.raises(ConfigError, match=r"data\.types names \"KUNDENNR\", which is a key column"):
        cross_check(
            job(),
            load(
                GUEST.replace(
                    "[data]", '[data]\nid_columns = { customer_id = "KUNDENNR" }\ntypes = { KUNDENNR = "category" }'
                )
            ),
        )


def test_types_and_categories_are_one_declaration(load):
    lines = 'categories = ["a"]\nmissing = ["-"]\ntypes = { b = "number" }'
    own = load(GUEST.replace("[data]", f"[data]\n{lines}")).data.settings()
    assert own.types == {"a": "category", "b": "number"}
    assert own.missing == ("-",)
    assert load(GUEST + '[data.types]\nb = "number"\n').data.settings().types == {"b": "number"}


CONSTRAINED = "[data]\nmonotone_constraints = { income = 1, age = -1 }"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ("monotone_constraints = { income = 2 }", "Expected 1, -1 or 0 by column"),
        ("monotone_constraints = [1, 0]", "Expected 1, -1 or 0 by column"),
        ("monotone_constraints = { default = 1 }", "which is the label"),
        ('monotone_constraints = { a = 1 }\ncolumns = ["b"]', "which is not in columns"),
        ('monotone_constraints = { a = 1 }\nexclude = ["a"]', "which exclude lists too"),
        ('monotone_constraints = { a = 1 }\ncategories = ["a"]', "they have no order"),
        ('monotone_constraints = { a = 1 }\ntypes = { a = "category" }', "they have no order"),
    ],
)
def test_a_constraint_that_cannot_be_is_named(load, data, says):
    said = refusal(load, GUEST.replace("[data]", f"[data]\n{data}"))
    assert "data.monotone_constraints" in said
    assert says in said


def test_constraints_stay_with_their_party_and_need_a_job_that_keeps_them(load, job):
    party = load(GUEST.replace("[data]", CONSTRAINED))
    assert party.data.settings().monotone == {"income": 1, "age": -1}
    cross_check(job(), party)  # a regression has none
    key = load(GUEST.replace("[data]", "[data]\nmonotone_constraints = { customer_id = 1 }"))
    assert "data.monotone_constraints names" in fails(ConfigError, job(), key)


@pytest.mark.parametrize("value", ['["bad"]', "nan", "{ a = 1 }", "2026-01-01"])
def test_a_key_of_several_types_is_one_problem(load, value):
    with pytest.raises(ConfigError) as refused:
        load(GUEST.replace("[policy]", f"event = {value}\n[policy]"))
    assert str(refused.value).count("data.event") == 1
    assert "data.event (line 14) is not valid" in str(refused.value)
    assert "problems" not in str(refused.value)
    assert "data.event." not in str(refused.value)  # the types as pydantic names them are no keys


@pytest.mark.parametrize(("value", "event"), [("true", True), ("false", False), ("1", 1), ("0.5", 0.5), ('"a"', "a")])
def test_the_event_may_be_any_value_of_a_label(load, value, event):
    found = load(GUEST.replace("[policy]", f"event = {value}\n[policy]")).data.event
    assert found == event
    assert type(found) is type(event)


def test_columns_called_like_types_are_named(load):
    with pytest.raises(ConfigError, match=r"data\.types\.int .* is 7"):
        load(GUEST.replace("[policy]", "types = { int = 7 }\n[policy]"))


@pytest.mark.parametrize("source", ['"\\u0000.csv"', '"customers\\u0000.csv"', '"sqlite:///\\u0000.db"'])
def test_a_path_with_a_nul_is_no_other_path(load, source):
    """Without the check the source was the folder in which the command is given."""
    with pytest.raises(ConfigError, match=r"data\.source \(line 12\) holds the character NUL"):
        load(GUEST.replace('"customers.csv"', source))
