"""A job file that is wrong is refused in words that a stranger understands: file, key, what is wrong, remedy."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.errors import ConfigError
from protocols.glm import Stopping
from tests.unit.vfl.job.samples import MINIMAL, with_key
from vfl.job import PERMITS, Job, cautions, job_from, load_job, needed_permits, starter_job
from vfl.job.plan import plan_of, roles_of
from vfl.models.registry import kind_of
from vfl.models.regression.program import terms_of


def refusal(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load_job(path)
    assert "job.toml" in str(caught.value)
    assert "pydantic" not in str(caught.value)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_a_minimal_job_gets_the_documented_defaults(write):
    job = load_job(write(MINIMAL))
    assert (job.split.test, job.split.seed) == (0.25, 0)
    assert (job.model.C, job.model.max_iter, job.model.link, job.model.clip) == (1.0, 100, "exact", None)
    assert (job.crypto.key_bits, job.disclosure.score_bits) == (3072, 10)
    assert (job.align.min_intersection, job.align.duplicates) == (100, "error")
    assert job.align.normalise == {"national_id": "text"}
    assert job.parties.names == ("bank", "telecom", "trustco")


def test_who_talks_to_whom_and_who_dials():
    parties = job_from(tomllib.loads(starter_job(hosts=["telecom", "shop"]))).parties
    assert parties.peers_of("bank") == ("telecom", "shop", "trustco")
    assert parties.peers_of("shop") == ("bank", "trustco")
    assert parties.peers_of("trustco") == ("bank", "telecom", "shop")
    assert [parties.dials(name) for name in parties.names] == [(), *[("bank", "trustco")] * 2, ("bank",)]
    assert [parties.role_of(n) for n in ("bank", "shop", "trustco", "mallory")] == ["guest", "host", "arbiter", None]


BAD = [
    (
        "model",
        'kind = "boosted-tree"',
        "model.kind",
        'is "boosted-tree", which is not known. Did you mean "boosted-trees"? Use "logistic-regression"',
    ),
    ("model", 'kind = "logistic"', "model.kind", 'Use "logistic-regression", "linear-regression"'),
    ("model", "kind = 7", "model.kind", "is 7, which is not known"),
    ("model", 'kind = ["x"]', "model.kind", 'is ["x"], which is not known'),
    ("model", 'link = "probit"', "model.link", "exact"),
    ("model", "C = 0.0", "model.C", "above 0"),
    ("model", "C = -1", "model.C", "above 0"),
    ("model", "C = inf", "model.C", "above 0"),
    ("model", "C = nan", "model.C", "above 0"),
    ("model", "max_iter = 4", "model.max_iter", "5 to 10000"),
    ("model", "max_iter = 10001", "model.max_iter", "5 to 10000"),
    ("model", "max_iter = 50.0", "model.max_iter", "whole number"),
    ("model", 'max_iter = "50"', "model.max_iter", "whole number"),
    ("model", "max_iter = true", "model.max_iter", "is true. Expected the number of iterations, a whole number"),
    ("model", 'max_iter = "often"', "model.max_iter", '(default 200), or "auto"'),
    ("model", "max_iter = 1", "model.max_iter", "weights of fewer iterations reveal too much"),
    ("model", "tol = 1e-6", "model.tol", "1e-5 to 1"),
    ("model", 'tol = "1e-4"', "model.tol", "1e-5 to 1"),
    ("model", "tol = 1e-4", "disclosure.allow", "lacks permissions that this job needs: 'loss-verdict-to-parties'"),
    ("model", "early_stopping = true", "disclosure.allow", "'loss-verdict-to-parties'"),
    ("model", "early_stopping = 1", "model.early_stopping", "true or false (default false)"),
    ("model", "validation_fraction = 0.2", "model.validation_fraction", "does nothing without early_stopping"),
    ("model", "n_iter_no_change = 4", "model.n_iter_no_change", "5 to 1000"),
    ("model", "n_iter_no_change = 20", "model.n_iter_no_change", "does nothing without tol or early_stopping"),
    (
        "model",
        "tol = 1e-4\nmax_iter = 29",
        "model.n_iter_no_change",
        "training can end at the third evaluation at the earliest",
    ),
    ("model", 'tol = 1e-4\nsolver = "sgd"', "model.tol", 'does not go with solver = "sgd"'),
    ("model", 'max_iter = "auto"', "disclosure.allow", "'label-scale-to-parties'"),
    ("model", "clip = 0", "model.clip", "above 0"),
    ("model", "weight_bits = 3", "model.weight_bits", "4 to 24"),
    ("model", "standardise = true", "model.standardise", "not supported yet"),
    (
        "model",
        "max_depth = 5",
        "model.max_depth",
        'is a key of "boosted-trees", and this kind is "logistic-regression"',
    ),
    ("model", "max_itr = 50", "model.max_itr", "Did you mean 'max_iter'?"),
    ("model", "zzz = 50", "model.zzz", "known here: kind, max_iter, weight_bits, clip"),
    ("crypto", "key_bits = 1024", "crypto.key_bits", "SP 800-57"),
    ("crypto", "key_bits = 2047", "crypto.key_bits", "112-bit"),
    ("crypto", "key_bits = 3000", "crypto.key_bits", "2048, 3072 (default) or 4096"),
    ("crypto", 'key_bits = "3072"', "crypto.key_bits", "whole number"),
    ("crypto", "key_bits = true", "crypto.key_bits", "whole number"),
    ("crypto", "key_bits = 3072.0", "crypto.key_bits", "whole number"),
    ("split", "test = 0.95", "split.test", "0 to 0.9"),
    ("split", "test = -0.1", "split.test", "0 to 0.9"),
    ("split", "seed = -1", "split.seed", "at least 0"),
    ("split", "seed = 1.5", "split.seed", "whole number"),
    ("split", "train = true", "split.train", "[evaluation]"),
    ("align", "keys = []", "align.keys", "at least one key"),
    ("align", "keys = [[]]", "align.keys", "at least one key"),
    ("align", 'keys = ["national_id"]', "align.keys", 'keys = [["national_id"], ["phone", "birth_date"]]'),
    ("align", 'keys = "national_id"', "align.keys", 'keys = [["national_id"], ["phone", "birth_date"]]'),
    ("align", 'keys = [["national_id"], []]', "align.keys", "at least one key"),
    ("align", 'keys = [["a", "b"], ["b", "a"]]', "align.keys", "has a key twice"),
    ("align", f"keys = [{', '.join(f'[{chr(34)}k{i}{chr(34)}]' for i in range(9))}]", "align.keys", "Use 8 at most"),
    ("align", 'keys = [["a", "a"]]', "align.keys", "twice"),
    ("align", 'keys = [["  "]]', "align.keys", "not a column name"),
    ("align", "keys = [[7]]", "align.keys", "a list of its columns"),
    ("align", 'normalise = { national_id = "e164:UK" }', "align.normalise.national_id", "ISO 3166, such as e164:GB"),
    ("align", 'normalise = { national_id = "e164" }', "align.normalise.national_id", "is not known"),
    ("align", 'normalise = { national_id = "date:" }', "align.normalise.national_id", "is not known"),
    (
        "align",
        'normalise = { national_id = "date:%d/%m/%y" }',
        "align.normalise.national_id",
        "Write %d, %m and %Y once each",
    ),
    (
        "align",
        'normalise = { national_id = "date:%Y-%d-%m" }',
        "align.normalise.national_id",
        "reads ISO dates differently",
    ),
    (
        "align",
        'normalise = { national_id = "date:%d %b %Y" }',
        "align.normalise.national_id",
        "Write %d, %m and %Y once each",
    ),
    ("align", "normalise = { national_id = 7 }", "align.normalise.national_id", "is 7, which is not known"),
    (
        "align",
        'normalise = { national_id = "upper" }',
        "align.normalise.national_id",
        '"text", "digits", "integer", "exact", "email", "date"',
    ),
    ("align", 'normalise = { phone = "digits" }', "align.normalise.phone", "not a key column"),
    ("align", 'duplicates = "last"', "align.duplicates", '"first"'),
    ("align", "min_intersection = 0", "align.min_intersection", "from 1 to"),
    ("align", "cardinality_only = true", "align.cardinality_only", "a model needs rows"),
    ("align", "cardinality_only = 1", "align.cardinality_only", "true or false"),
    ("parties", 'guest = "../bank"', "parties.guest", "lower-case letters, digits and hyphens"),
    ("parties", 'guest = "Bank"', "parties.guest", "lower-case letters"),
    ("parties", 'guest = "bank\\n"', "parties.guest", "lower-case letters"),
    ("parties", f'guest = "{"b" * 33}"', "parties.guest", "1 to 32"),
    ("parties", 'guest = "-v"', "parties.guest", "not starting with a hyphen"),
    ("parties", "hosts = []", "parties.hosts", "at least one"),
    ("parties", 'hosts = "telecom"', "parties.hosts", "at least one"),
    ("parties", 'hosts = ["telecom", "telecom"]', "parties.hosts", "twice"),
    ("parties", 'hosts = ["bank"]', "parties.hosts", "guest too"),
    ("parties", 'hosts = ["trustco"]', "parties.hosts", "arbiter too"),
    ("parties", 'arbiter = "bank"', "parties.arbiter", "guest too"),
    ("disclosure", "allow = []", "disclosure.allow", "'scores-to-guest' (the guest learns"),
    (
        "disclosure",
        'allow = ["intersection-to-parties", "scores-to-guest"]',
        "disclosure.allow",
        'add "edge-count-to-arbiter"',
    ),
    ("disclosure", 'allow = ["everything"]', "disclosure.allow", "not known"),
    ("disclosure", 'allow = ["scores-to-guest", "scores-to-guest"]', "disclosure.allow", "twice"),
    ("disclosure", "score_bits = 21", "disclosure.score_bits", "0 to 20"),
    ("disclosure", "score_bits = -1", "disclosure.score_bits", "0 to 20"),
    ("extra", "x = 1", "extra", "not a known key"),
]


@pytest.mark.parametrize(("section", "line", "key", "says"), BAD, ids=[b[1] for b in BAD])
def test_a_bad_key_is_named_with_its_line_and_a_remedy(write, section, line, key, says):
    said = refusal(write(with_key(section, line)))
    assert key in said
    assert says in said
    assert "(line " in said


@pytest.mark.parametrize(
    ("drop", "key"),
    [
        ("name", "name"),
        ("version", "version"),
        ("guest", "parties.guest"),
        ("arbiter", "parties.arbiter"),
        ("keys", "align.keys"),
        ("kind", "model.kind"),
    ],
)
def test_a_missing_key_is_named_with_an_example(write, drop, key):
    text = "\n".join(row for row in MINIMAL.split("\n") if not row.startswith(f"{drop} "))
    said = refusal(write(text))
    assert f"{key} " in said
    assert "is missing. Expected" in said


@pytest.mark.parametrize("section", ["parties", "align", "model"])
def test_a_missing_section_is_named(write, section):
    before, _, after = MINIMAL.partition(f"[{section}]")
    said = refusal(write(before + after[after.index("\n[") + 1 :]))
    assert f"{section} is missing. Expected a section [{section}]" in said


def test_no_disclosure_section_says_what_would_be_disclosed(write):
    said = refusal(write(MINIMAL[: MINIMAL.index("[disclosure]")]))
    for permit in ("intersection-to-parties", "edge-count-to-arbiter", "scores-to-guest"):
        assert f"'{permit}' ({PERMITS[permit]})" in said
    assert 'write allow = ["intersection-to-parties", "edge-count-to-arbiter", "scores-to-guest"]' in said


def test_two_hosts_need_one_permission_more(write):
    said = refusal(write(with_key("parties", 'hosts = ["telecom", "shop"]')))
    assert 'add "intersection-sizes-to-arbiter"' in said
    job = load_job(write(starter_job(hosts=["telecom", "shop"])))
    assert needed_permits(job) == (
        "intersection-to-parties",
        "intersection-sizes-to-arbiter",
        "edge-count-to-arbiter",
        "scores-to-guest",
        "convergence-to-parties",
    )


def test_two_keys_need_one_permission_more(write):
    said = refusal(write(with_key("align", 'keys = [["national_id"], ["phone", "birth_date"]]')))
    assert 'add "matched-keys-to-parties"' in said


def test_all_problems_are_told_at_once(write):
    text = with_key("model", "C = -1", with_key("crypto", "key_bits = 512"))
    said = refusal(write(text))
    assert "2 problems" in said
    assert "model.C" in said
    assert "crypto.key_bits" in said


@pytest.mark.parametrize("version", ["2", "0", '"1"', "true", "1.0"])
def test_another_version_is_refused(write, version):
    assert "version (line 2)" in refusal(write(MINIMAL.replace("version = 1", f"version = {version}")))


@pytest.mark.parametrize("name", ["../x", "a/b", "", "A", "x" * 65, "a b"])
def test_a_job_name_is_never_path_like(write, name):
    assert "name (line 1)" in refusal(write(MINIMAL.replace("credit-risk", name)))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name = ", "at the end: is not valid TOML"),
        ("[parties\n", "line 1, column"),
        ("a = 1\na = 2\n", "line 2: a is given twice"),
        ("name = 'x", "not valid TOML"),
        (b"name = 1\n\xff\xfe", "line 2: is not UTF-8 text. Save the file as UTF-8"),
        (b"#" * (64 << 10) + b"#", "larger than 64 kB"),
        ("x = " + "[" * 5000, "more than 16 levels deep"),
    ],
)
def test_no_toml(write, text, says):
    assert says in refusal(write(text))


def test_a_byte_order_mark_is_accepted(write):
    assert load_job(write(b"\xef\xbb\xbf" + MINIMAL.encode())) == load_job(write(MINIMAL))


def test_a_file_that_cannot_be_read(tmp_path):
    assert "cannot be read (No such file" in refusal(tmp_path / "job.toml")
    (tmp_path / "job.toml").mkdir()
    assert "cannot be read (Is a directory). Check the name" in refusal(tmp_path / "job.toml")
    (tmp_path / "job.toml" / "party.toml").touch()
    said = refusal(tmp_path / "job.toml")
    assert said.endswith(f"Give a file in it, such as {tmp_path / 'job.toml' / 'party.toml'}")


def test_a_job_is_frozen(write):
    job = load_job(write(MINIMAL))
    with pytest.raises(ConfigError, match="C cannot be assigned"):
        job.model.C = 2.0
    with pytest.raises(ValueError, match="frozen"):
        job.align.min_intersection = 2


def test_a_2048_bit_key_is_warned_about(write):
    assert cautions(load_job(write(MINIMAL))) == []
    (caution,) = cautions(load_job(write(with_key("crypto", "key_bits = 2048"))))
    assert "112-bit" in caution


def test_a_tiny_least_intersection_is_warned_about(write):
    (caution,) = cautions(load_job(write(with_key("align", "min_intersection = 49"))))
    assert "single customers" in caution
    assert cautions(load_job(write(with_key("align", "min_intersection = 50")))) == []


name = st.from_regex(r"[a-z0-9][a-z0-9-]{0,31}", fullmatch=True)
column = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=30)


@settings(deadline=None)
@given(
    names=st.lists(name, min_size=3, max_size=6, unique=True),
    keys=st.lists(column, min_size=1, max_size=3, unique=True),
    test=st.floats(0, 0.9),
    C=st.floats(1e-6, 1e6),
    seed=st.integers(0, 2**63 - 1),
    key_bits=st.sampled_from([2048, 3072, 4096]),
)
def test_the_starter_job_loads_as_it_was_asked_for(names, keys, test, C, seed, key_bits):
    text = starter_job(
        guest=names[0], hosts=names[2:], arbiter=names[1], keys=keys, test=test, C=C, seed=seed, key_bits=key_bits
    )
    job: Job = job_from(tomllib.loads(text))
    assert job.parties.names == (names[0], *names[2:], names[1])
    assert (job.align.columns, job.split.test, job.model.C) == (tuple(keys), test, C)
    assert (job.split.seed, job.crypto.key_bits) == (seed, key_bits)


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["name", "parties", "align", "model", "x"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
            max_leaves=8,
        ),
    )
)
def test_whatever_stands_in_it_ends_as_a_config_error(document):
    with pytest.raises(ConfigError):
        job_from(document)


def test_passes_that_are_planned_or_end_early_are_told_and_need_their_permits(write):
    text = with_key("model", 'max_iter = "auto"\ntol = 1e-3\nearly_stopping = true\nvalidation_fraction = 0.2', MINIMAL)
    job = load_job(
        write(
            text.replace('"scores-to-guest"', '"scores-to-guest", "label-scale-to-parties", "loss-verdict-to-parties"')
        )
    )
    assert job.model.permits == (
        "edge-count-to-arbiter",
        "label-scale-to-parties",
        "loss-verdict-to-parties",
        "scores-to-guest",
    )
    told = kind_of(job.model).described(plan_of(job), roles_of(job))
    assert "iterations planned from bank's labels, 60 to 10,000" in told["train"]
    assert "whether the mean loss of 20% of the training rows" in told["stop"]
    assert terms_of(plan_of(job)).stopping == Stopping(1e-3, 10, validation=True)
    assert terms_of(plan_of(job)).passes is None
    fixed = load_job(write(MINIMAL))
    assert "100 iterations" in kind_of(fixed.model).described(plan_of(fixed), roles_of(fixed))["train"]
    assert terms_of(plan_of(fixed)).stopping is None


def test_exposures_need_the_guests_column_and_are_no_weights_beside(write):
    text = MINIMAL.replace("logistic-regression", "poisson-regression").replace(
        '"scores-to-guest"', '"scores-to-guest", "label-scale-to-parties"'
    )
    job = load_job(write(with_key("model", "exposure = true", text)))
    assert (job.model.exposed, terms_of(plan_of(job)).weighted) == (True, True)
    assert "events per unit of exposure" in kind_of(job.model).described(plan_of(job), roles_of(job))["rows"]
    assert (
        load_job(write(text)).digest
        == load_job(write(with_key("model", "exposure = false", text))).digest
        != job.digest
    )
    assert "data.weight names one column" in refusal(
        write(with_key("model", "exposure = true\nsample_weight = true", text))
    )
