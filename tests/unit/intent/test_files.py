"""Which files count, what they say together, and how they are kept."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from routed.intent.dropins import find_drop_ins
from routed.intent.load import load, load_kept, load_sources, read_sources
from routed.intent.names import parse_names
from routed.intent.prefixes import parse_prefixes
from routed.intent.problems import IntentError
from routed.model.entries import EachEntry, Entry, Intent, RouteEntry, Source
from routed.model.net import IPV4, IPV6, parse_prefix
from tests.unit.intent.intent_help import HEAD, complaint, drop_in, entry, problems, read, source

ROUTE = '[[route]]\nname = "a"\nto = "10.0.0.0/8"\nvia = "192.0.2.1"\n'


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder in ("etc/routed.toml.d", "run/routed.toml.d", "usr/lib/routed.toml.d", "etc/iproute2"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "etc/routed.toml").write_text(HEAD)
    return tmp_path


def test_drop_ins_come_in_name_order_and_etc_wins_over_run_and_run_over_usr(root: Path) -> None:
    for folder, name in [
        ("usr/lib", "10-a"),
        ("run", "10-a"),
        ("etc", "20-b"),
        ("usr/lib", "20-b"),
        ("usr/lib", "30-c"),
    ]:
        (root / folder / f"routed.toml.d/{name}.toml").write_text("")
    found = [str(path.relative_to(root)) for path in find_drop_ins(root / "etc/routed.toml", root)]
    assert found == [
        "run/routed.toml.d/10-a.toml", "etc/routed.toml.d/20-b.toml", "usr/lib/routed.toml.d/30-c.toml",
    ]  # fmt: skip


def test_a_link_to_dev_null_masks_a_drop_in_and_other_files_are_passed_over(root: Path) -> None:
    (root / "usr/lib/routed.toml.d/10-a.toml").write_text("")
    (root / "etc/routed.toml.d/10-a.toml").symlink_to("/dev/null")
    (root / "etc/routed.toml.d/20-b.toml~").write_text("")
    (root / "etc/routed.toml.d/.30-c.toml").write_text("")
    assert find_drop_ins(root / "etc/routed.toml", root) == ()


def test_another_main_file_has_its_own_drop_ins_only(root: Path) -> None:
    (root / "run/routed.toml.d/10-a.toml").write_text("")
    (root / "etc/other.toml.d").mkdir()
    (root / "etc/other.toml.d/10-b.toml").write_text("")
    assert [path.name for path in find_drop_ins(root / "etc/other.toml", root)] == ["10-b.toml"]


def test_what_was_read_from_disk_loads_the_same_from_memory(root: Path) -> None:
    (root / "etc/iproute2/rt_tables").write_text("120 storage\n")
    (root / "etc/drop.txt").write_text("192.0.2.1\n192.0.2.1\n")
    (root / "etc/routed.toml.d/10-a.toml").write_text(
        ROUTE + 'table = "storage"\n[[route]]\nprefixes_file = "../drop.txt"\ntype = "blackhole"\n'
    )
    loaded = load(root / "etc/routed.toml", root=root)
    sources = read_sources(root / "etc/routed.toml", root=root)
    for path in root.rglob("*"):
        if path.is_file():
            path.unlink()
    assert load_sources(sources) == loaded.intent
    assert [one.role for one in sources] == ["main", "drop-in", "prefixes", "names"]
    assert loaded.intent.table_names[120] == "storage"
    assert [notice.message for notice in loaded.notices] == ["1 duplicate prefixes count once"]


def test_a_missing_main_file_is_a_problem(tmp_path: Path) -> None:
    for reader in (load, read_sources):
        with pytest.raises(IntentError, match="no such file or directory"):
            reader(tmp_path / "routed.toml", root=tmp_path)


@pytest.mark.parametrize("pipe", ["etc/routed.toml.d/50-pipe.toml", "etc/list.txt"])
def test_a_pipe_is_named_and_nobody_waits_until_something_is_written_into_it(root: Path, pipe: str) -> None:
    os.mkfifo(root / pipe)
    (root / "etc/routed.toml").write_text(HEAD + '[[route]]\nprefixes_file = "list.txt"\ntype = "blackhole"\n')
    if pipe != "etc/list.txt":
        (root / "etc/list.txt").touch()
    with pytest.raises(IntentError) as caught:
        load(root / "etc/routed.toml", root=root)
    (problem,) = caught.value.problems
    assert str(root / pipe) in str(problem)
    assert "is not a regular file" in problem.message


def test_a_missing_prefix_file_is_told_once_and_hides_nothing(root: Path) -> None:
    text = '[[route]]\nprefixes_file = "/nowhere/x"\ntype = "blackhole"\n[[route]]\nto = "10.0.0.1/8"\ndev = "a"\n'
    (root / "etc/routed.toml").write_text(HEAD + text)
    with pytest.raises(IntentError) as caught:
        load(root / "etc/routed.toml", root=root)
    messages = [problem.message for problem in caught.value.problems]
    assert messages[0] == "`prefixes_file`: /nowhere/x: no such file or directory"
    assert len(messages) == 2


def test_the_prefix_file_of_an_entry_that_does_not_count_is_not_read(root: Path) -> None:
    text = '[[route]]\nname = "x"\nprefixes_file = "/nowhere/x"\ntype = "blackhole"\n'
    (root / "etc/routed.toml").write_text(HEAD + text)
    (root / "etc/routed.toml.d/10.toml").write_text('[[route]]\nname = "x"\ndisabled = true\n')
    assert load(root / "etc/routed.toml", root=root).intent.entries == ()


def test_a_named_entry_of_a_later_file_replaces_the_earlier_one_whole() -> None:
    found = entry(ROUTE + "metric = 5\n", drop_in('[[route]]\nname = "a"\nto = "10.1.0.0/16"\ndev = "eth0"\n'))
    assert isinstance(found, RouteEntry)
    assert (found.prefixes[IPV4], found.metric) == (frozenset({parse_prefix("10.1.0.0/16")}), None)
    assert str(found.origin) == "/etc/routed.toml.d/50-more.toml:1"


def test_a_later_file_may_take_an_entry_away() -> None:
    assert read(ROUTE, drop_in('[[route]]\nname = "a"\ndisabled = true\n')).entries == ()


def test_the_same_name_twice_in_one_file_is_an_error_that_names_both_places() -> None:
    (problem,) = problems(ROUTE + ROUTE)
    assert (problem.line, problem.message) == (7, 'the name "a" stands here already, at line 2')


def test_later_daemon_keys_win_one_by_one() -> None:
    settings = read(
        '[daemon]\nresync = "5m"\nmax_deletes = "10%"\n', drop_in("[daemon]\nfight_limit = 'off'\nresync = '500ms'\n")
    ).settings
    assert (settings.resync, settings.max_deletes, settings.fight_limit) == (0.5, 0.1, None)


def test_equal_sources_have_equal_digests_and_a_changed_byte_another() -> None:
    one, same, other = read(ROUTE), read(ROUTE), read(ROUTE + "\n")
    assert one.digest == same.digest != other.digest
    assert len(one.digest) == 64


@pytest.mark.parametrize(
    ("second", "said"),
    [
        ('[[route]]\nname = "b"\nto = "10.0.0.0/8"\ndev = "eth0"\nmetric = 0', "also in route/a at /etc/routed.toml:2"),
        ('[[route]]\nname = "b"\nprefixes = ["9.0.0.0/8", "10.0.0.0/8"]\ndev = "eth0"', "10.0.0.0/8 with metric 0"),
    ],
)
def test_two_routes_with_one_kernel_key_are_an_error_that_names_both_places(second: str, said: str) -> None:
    assert said in complaint(ROUTE + second)


def test_an_ipv6_route_without_metric_has_the_metric_1024() -> None:
    text = '[[route]]\nto = "2001:db8::/32"\ndev = "a"\n'
    assert "metric 1024" in complaint(text + text.replace('"a"', '"b"\nmetric = 1024'))


def test_equal_rules_and_equal_addresses_are_errors() -> None:
    rule = '[[rule]]\npriority = 5\nfrom = "10.0.0.0/8"\ntable = 7\n'
    assert "the same rule is also" in complaint(rule + rule)
    address = '[[address]]\naddress = "2001:db8::1/64"\ndev = "a"\n'
    assert "is also" in complaint(address + address.replace("/64", "/80"))
    assert complaint(address + address.replace('"a"', '"b"')) == ""


def test_nameless_entries_are_called_after_their_keys_whatever_their_order() -> None:
    tables = [
        '[[route]]\nto = "default"\nvia = "192.0.2.1"\n',
        '[[route]]\nto = "default"\nvia = "192.0.2.1"\ntable = 7\n',
        '[[route]]\nto = "default"\nvia = "192.0.2.1"\ntable = 7\nmetric = 5\n',
        '[[rule]]\npriority = 5\nfrom = "10.0.0.0/8"\ntable = 7\n',
        '[[rule]]\npriority = 5\nfrom = "11.0.0.0/8"\ntable = 7\n',
        '[[address]]\naddress = "10.0.0.1/8"\ndev = "a"\n',
    ]
    expected = {
        "route/default", "route/default:7", "route/default:7:5", "rule/5:10.0.0.0/8", "rule/5:11.0.0.0/8",
        "address/10.0.0.1/8",
    }  # fmt: skip
    assert {one.name for one in read("".join(tables)).entries} == expected
    assert {one.name for one in read("".join(reversed(tables))).entries} == expected


def test_tables_have_names_from_the_host_and_from_the_file_and_the_file_wins() -> None:
    host = source("# tables\n100 wan\n0x65\tlan # c\nnonsense\n", "/etc/iproute2/rt_tables.d/x.conf", "names")
    text = '[[table]]\nname = "lan"\nid = 7\n[[route]]\nto = "10.0.0.0/8"\ndev = "a"\ntable = "{}"\n'
    loaded = load_kept((source(HEAD + text.format("wan")), host))
    assert getattr(loaded.intent.entries[0], "table") == 100  # noqa: B009
    assert "rt_tables calls 101" in loaded.notices[0].message
    assert getattr(read(text.format("lan"), host).entries[0], "table") == 7  # noqa: B009
    assert 'did you mean "wan"?' in complaint(text.format("wam"), host)


def test_names_of_types_of_service_and_protocols_come_from_the_host() -> None:
    tos = source("0x10 lowdelay\n", "/etc/iproute2/rt_dsfield", "names")
    found = entry('[[route]]\nto = "10.0.0.0/8"\ndev = "a"\ntos = "lowdelay"', tos)
    assert isinstance(found, RouteEntry)
    assert found.tos == 16
    assert read('[daemon]\nprotocol = "keepalived"').settings.protocol == 18
    assert parse_names(b"7 seven\n\xff bad\n") == {"seven": 7}


OWN = '[daemon]\nprotocols = [200, "blue"]\n'
BLUE = source("201 blue\n", "/etc/iproute2/rt_protos.d/x.conf", "names")
ENTRIES = {
    "route": '[[route]]\nto = "10.0.0.0/8"\ndev = "a"\n',
    "rule": '[[rule]]\npriority = 7\nfrom = "10.0.0.0/8"\ntable = 7\n',
    "address": '[[address]]\naddress = "10.0.0.1/8"\ndev = "a"\n',
    "vip": '[[vip]]\naddress = "10.0.0.1"\nnode = "10.0.0.2"\n',
    "held vip": '[[vip]]\naddress = "10.0.0.1"\ndev = "a"\n',
}


@pytest.mark.parametrize("text", ENTRIES.values(), ids=ENTRIES)
def test_an_entry_says_one_of_the_numbers_of_the_daemon_by_number_or_name(text: str) -> None:
    loaded = read(f"{OWN}{text}", BLUE)
    assert loaded.settings.numbers == {114, 200, 201}
    assert loaded.entries[-1].protocol == 0
    for word, number in (("200", 200), ('"blue"', 201), ("114", 114)):
        assert read(f"{OWN}{text}protocol = {word}\n", BLUE).entries[-1].protocol == number
    (problem,) = problems(f"{OWN}{text}protocol = 202\n", BLUE)
    assert problem.message == "`protocol`: 202 is neither [daemon] protocol nor one of [daemon] protocols"
    assert problem.hint == "name it there: protocols = [202], and all that carries it is routed's"
    assert problem.line == 3 + text.count("\n") + 1
    (problem,) = problems(f'{OWN}{text}protocol = "static"\n', BLUE)
    assert problem.hint == "others mark their own with it: leave this out"
    assert 'unknown protocol "bleu"' in complaint(f'{OWN}{text}protocol = "bleu"\n', BLUE)


@pytest.mark.parametrize("kind", ["tunnel", "neighbour", "nexthop", "service"])
def test_entries_of_other_kinds_say_no_number(kind: str) -> None:
    assert any("unknown key `protocol`" in one.message for one in problems(f"{OWN}[[{kind}]]\nprotocol = 200\n", BLUE))


@pytest.mark.parametrize(
    "word", ['"kernel"', "1", '"ra"', '"boot"', '"static"', '"dhcp"', '"bird"', '"zebra"', '"bgp"', "196", "0", "256"]
)
def test_a_number_that_others_mark_their_own_with_is_no_further_number(word: str) -> None:
    text = ENTRIES["route"] + "protocol = 200\n"  # of which nothing is said, as the numbers could not be read
    assert complaint(f"[daemon]\nprotocols = [200, {word}]\n{text}").startswith("`protocols`: ")


def test_the_numbers_may_stand_in_another_file_than_the_entry_and_the_last_file_says_all_of_them() -> None:
    text = ENTRIES["route"] + "protocol = 200\n"
    assert read(text, drop_in("[daemon]\nprotocols = [200]\n")).settings.protocols == {200}
    assert "202 is neither" in complaint(
        "[daemon]\nprotocols = [202]\n" + text.replace("200", "202"), drop_in("[daemon]\nprotocols = [200]\n")
    )


def test_members_make_entries_with_the_number_of_their_table() -> None:
    within = 'prefixes_within = ["10.0.0.0/8"]\naddresses_within = ["10.0.0.0/8"]\n'
    fleet = f'[[source]]\nname = "f"\ntype = "file"\npath = "/m"\n{within}'
    text = '[[route]]\nname = "m"\nfor_each = "@f"\nto = "{address}"\nvia = "10.0.0.1"\nprotocol = 200\n'
    found = next(one for one in read(OWN + fleet + text, BLUE).entries if isinstance(one, EachEntry))
    assert isinstance(found.body, Entry)
    assert found.body.protocol == 200


def test_a_prefix_file_holds_prefixes_hosts_and_comments_and_duplicates_count_once() -> None:
    text = (
        "\ufeff# head\n10.0.0.0/8 ; SBL1\r\n\n 192.0.2.1 # host\n192.0.2.1/32\n2001:db8::/32\n2001:DB8::/32\n0.0.0.0/0"
    )
    found = parse_prefixes(source(text, "/x", "prefixes"))
    assert found.prefixes == {
        IPV4: frozenset(map(parse_prefix, ["10.0.0.0/8", "192.0.2.1", "0.0.0.0/0"])),
        IPV6: frozenset({parse_prefix("2001:db8::/32")}),
    }
    assert (found.duplicates, found.problems) == (2, ())


def test_hosts_of_a_prefix_file_are_the_same_with_and_without_a_word_beside_them() -> None:
    hosts = [f"10.{number % 7}.{number % 251}.{number % 13}" for number in range(40_000)]  # several pieces
    plain = parse_prefixes(source("\n".join(hosts), "/x", "prefixes"))
    with_words = parse_prefixes(source("\n".join(f"{host} # x" for host in hosts), "/x", "prefixes"))
    assert plain == with_words
    assert plain.prefixes == {IPV4: frozenset(map(parse_prefix, hosts))}
    assert plain.duplicates == len(hosts) - len(set(hosts))


def test_bad_lines_of_a_prefix_file_are_named_with_line_and_text() -> None:
    found = parse_prefixes(
        source("10.0.0.0/8\n  10.0.0.1/8 # x\nten\n10.0.0.0/\n2001:db8::1/32\n1.2.3.4/08\n", "/x", "prefixes")
    )
    assert str(found.problems[0]) == (
        '/x:2:3: "10.0.0.1/8" has host bits set: write 10.0.0.0/8\n      10.0.0.1/8 # x\n      ^'
    )
    assert [problem.line for problem in found.problems] == [2, 3, 4, 5, 6]


def test_a_file_of_another_kind_complains_a_few_times_and_counts_the_rest() -> None:
    found = parse_prefixes(source("what\n" * 1000, "/x", "prefixes"))
    assert len(found.problems) == 21
    assert found.problems[-1].message == "980 more lines are not prefixes"


V4_LINES = st.from_regex(
    r"(10|11)\.[0-9]{1,2}\.(0|64|96)\.(0|128|130)(/(0|7|8|18|19|24|25|31|32|33|08))?", fullmatch=True
)
V6_LINES = st.from_regex(
    r"20(01|02):db8:(0|80|a0):[0-9]{1,2}::(8000)?(/(0|15|41|43|48|64|113|128|129))?", fullmatch=True
)


@pytest.mark.parametrize("line", [V4_LINES, V6_LINES], ids=["IPv4", "IPv6"])
@given(data=st.data())
def test_prefixes_that_are_read_together_are_those_that_are_read_one_by_one(
    line: st.SearchStrategy[str], data: st.DataObject
) -> None:
    good, bad = set(), []
    lines = data.draw(st.lists(line, min_size=1))
    for number, text in enumerate(lines, 1):
        try:
            good.add(parse_prefix(text))
        except ValueError:
            bad.append(number)
    found = parse_prefixes(source("\n".join(lines), "/x", "prefixes"))
    assert set().union(*found.prefixes.values()) == good
    assert [problem.line for problem in found.problems][:20] == bad[:20]
    assert found.duplicates == len(lines) - len(bad) - len(good)


@given(st.lists(st.one_of(st.ip_addresses().map(str), st.text(max_size=20), st.from_regex(r"[0-9./]{1,18}"))))
def test_the_quick_parser_of_prefix_files_agrees_with_the_models(lines: list[str]) -> None:
    lines = ["".join(c for c in line if c not in "\n#;\ufeff").strip() for line in lines]
    good = set()
    for line in lines:
        try:
            good.add(parse_prefix(line))
        except ValueError:
            continue
    content = "\n".join(lines).encode("utf-8", "replace")
    found = parse_prefixes(Source("/x", content, "prefixes"))
    assert set().union(*found.prefixes.values()) == good


WORDS = st.sampled_from(
    ["to", "via", "dev", "table", "hops", "metric", "type", "name", "priority", "from", "prefixes", "lock", "tos",
     "fwmark", "sport", "address", "disabled", "id", "mtu", "family", "scope", "uidrange", "preferred_lft", "label"]
)  # fmt: skip
ANYTHING = st.recursive(
    st.one_of(
        st.integers(-(2**70), 2**70), st.booleans(), st.floats(), st.text(max_size=8), st.dates(), st.times(),
        st.sampled_from(["10.0.0.0/8", "default", "main", "eth0", "192.0.2.1", "2001:db8::/32", "fe80::1", "ipv4",
                         "both", "blackhole", "goto", "80-90", "0x1/0x3", "forever", "all", "@x", "+"]),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=5,
)  # fmt: skip
TABLES = st.lists(st.dictionaries(WORDS, ANYTHING, max_size=6), max_size=4)


def outcome(*sources: Source) -> Intent | IntentError:
    try:
        return load_sources(sources)
    except IntentError as error:
        return error


@given(st.dictionaries(st.sampled_from(["route", "rule", "address", "vip", "table", "daemon", "x"]), TABLES | ANYTHING))
def test_a_random_configuration_is_an_intent_or_a_list_of_problems(document: dict[str, object]) -> None:
    found = outcome(source(tomli_w.dumps({"version": 1, **document})))
    assert isinstance(found, Intent) or (found.problems and str(found))


@given(st.binary(max_size=200) | st.text(alphabet="[]={}\"'\\.#, \n\ttoviaru10/", max_size=80).map(str.encode))
def test_random_bytes_are_an_intent_or_a_list_of_problems(content: bytes) -> None:
    found = outcome(Source("/x", HEAD.encode() + content, "main"), Source("/y", content, "drop-in"))
    assert isinstance(found, Intent) or (found.problems and str(found))
