"""What is said to somebody who writes as other programs do, or nearly as TOML has it."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routed.intent.hints import HINTS, find_hint
from routed.intent.prefixes import parse_prefixes
from routed.intent.syntax import SLIPS, explain_syntax
from tests.unit.intent.intent_help import complaint, problems, source

ROUTE = '[[route]]\nto = "10.30.0.0/16"\nvia = "192.0.2.1"\n'
TO = '[[route]]\nvia = "192.0.2.1"\n'
VIA = '[[route]]\nto = "10.30.0.0/16"\n'
HELD = '[[address]]\ndev = "eth0"\n'
RULED = '[[rule]]\npriority = 7\nfrom = "10.0.0.0/8"\ntable = 100\n'
SERVED = '[[service]]\nlisten = "192.0.2.1:53"\nservers = ["192.0.2.2:53"]\n'
CHOICE = '[[interface]]\nname = "lan"\n'

HINT_OF_EXPIRES = "a route stays until it leaves the files, or what it `requires` is not so: drop it"
HINT_OF_TTL_PROPAGATE = "the kernel has this of routes of MPLS alone, and forgets it of others"

# (the lines before, the line in question, what the caret stands under, what is to be written)
VALUES = [
    (TO, 'to = "10.30.0.0/255.255.0.0"', '"10.30', "write 10.30.0.0/16"),
    (TO, 'to = "10.30.7.1/255.255.0.0"', '"10.30', "write 10.30.0.0/16"),
    (HELD, 'address = "10.30.7.1/255.255.255.0"', '"10.30', "write 10.30.7.1/24"),
    (ROUTE, 'gateway = "192.0.2.1"', "gateway", "write `via`"),
    (ROUTE, 'gateway4 = "192.0.2.1"', "gateway4", "write `via`"),
    (ROUTE, 'nexthop = "192.0.2.1"', "nexthop", "write `via`"),
    (ROUTE, 'netmask = "255.255.0.0"', "netmask", "write /16 behind the address"),
    (ROUTE, "prefixlen = 16", "prefixlen", "write /16 behind the address"),
    (ROUTE, 'netmask = "255.0.255.0"', "netmask", "write the length behind the address, such as /24"),
    (RULED, 'protocol = "tcp"', '"tcp"', "write `ipproto`"),
    (SERVED, 'protocol = "udp"', "protocol", 'write it behind the port in `listen`, such as "192.0.2.1:53/udp"'),
    (ROUTE, "proto = 200", "proto", "write `protocol`"),
    (ROUTE, 'proto = "static"', "proto", "what routed makes has the number of `[daemon] protocol`: leave this out"),
    ('[[rule]]\npriority = 5\nfrom = "10.0.0.0/8"\ntable = 7\n', 'proto = "tcp"', "proto", "write `ipproto`"),
    (ROUTE, 'expires = "100s"', "expires", HINT_OF_EXPIRES),
    (ROUTE, "ttl-propagate = true", "ttl-propagate", HINT_OF_TTL_PROPAGATE),
    (ROUTE, "ecn = true", "ecn", 'write features = ["ecn"]'),
    ('[[route]]\nto = "2001:db8::/32"\n', 'via = "fe80::1%eth0"', '"fe80', 'drop "%eth0", and write dev = "eth0"'),
    (VIA, 'via = "192.0.2.1/24"', '"192', 'an address stands alone here: write "192.0.2.1"'),
    (TO, 'to = ["10.30.0.0/16", "10.31.0.0/16"]', "[", "write `prefixes` in place of `to`"),
    (VIA, 'via = ["192.0.2.1", "192.0.2.2"]', "[", 'write hops = [{ via = "192.0.2.1" }, { via = "192.0.2.2" }]'),
    (ROUTE, 'mtu = "1400"', '"1400', "drop the quotes: write 1400"),
    (ROUTE, 'onlink = "yes"', '"yes', "write true, without quotes"),
    (TO, 'prefixes = "10.30.0.0/16"', '"10', 'write ["10.30.0.0/16"]'),
    (ROUTE, "name = 5", "5", 'strings need quotes: write "5"'),
    (VIA, 'via = "gw.example.org"', '"gw', "names are not looked up: write the address"),
    (TO, 'to = "storage"', '"storage', "names are not looked up: write the address"),
    (TO, 'to = "Default"', '"Default', 'did you mean "default"?'),
    (TO, 'to = "any"', '"any', 'write "default"'),
    ('[[rule]]\npriority = 5\nfamily = "ipv4"\ntable = 7\n', 'to = "default"', '"def', 'write "all"'),
    ('[[rule]]\npriority = 5\nfamily = "ipv4"\ntable = 7\n', 'to = "ALL"', '"ALL', 'did you mean "all"?'),
    (VIA, 'type = "Blackhole"', '"Black', 'did you mean "blackhole"?'),
    (TO, 'To = "10.30.0.0/16"', "To", "did you mean `to`?"),
    (ROUTE, 'table = "Main"', '"Main', 'did you mean "main"?'),
    ("", "[[Route]]", "[[Route", "did you mean `route`?"),
    (CHOICE, 'match = [{ name = "ens*" }]', '"ens*', "no wildcards here: use `regex` in `match`"),
    (CHOICE[:14], 'name = "ens*"', '"ens*', "no wildcards here: use `regex` in `match`"),
    (VIA, 'dev = "ens*"', '"ens*', 'no wildcards here: use `regex` in an [[interface]], and write "@name"'),
    (CHOICE + 'match = [{ name = "eth0" }]\n' + VIA, 'dev = "@Lan"', '"@Lan', 'did you mean "lan"?'),
    ('[[address]]\naddress = "192.0.2.1/24"\ndev = "eth0"\n', 'valid_lft = "1h"', "valid_lft",
     "an address of the file stands for good: leave it out"),
    ("", 'via = "192.0.2.1"\n' + VIA + 'dev = "eth0"', "via", "move it below [[route]]"),
    ("", 'watch = "apply"\n[daemon]', "watch", "move it below [daemon]"),
]  # fmt: skip


@pytest.mark.parametrize(("before", "line", "under", "said"), VALUES, ids=[line for _, line, _, _ in VALUES])
def test_what_was_written_is_answered_with_what_to_write(before: str, line: str, under: str, said: str) -> None:
    number = before.count("\n") + 2  # the head of the file is one line
    (found,) = [problem for problem in problems(f"{before}{line}\n") if problem.line == number]
    assert found.hint == said
    assert found.source_line[found.column - 1 :].startswith(under)


INLINE = "an inline table ends where its line does"

# (the text, line and column of the caret, what is wrong, what to write)
TEXTS = [
    ("[[route]]\nto = 10.30.0.0/16\n", (2, 6), "the value has no quotes", 'strings need quotes: write "10.30.0.0/16"'),
    ("to = default", (1, 6), "the value has no quotes", 'strings need quotes: write "default"'),
    ("via = fe80::1 # a router", (1, 7), "the value has no quotes", 'strings need quotes: write "fe80::1"'),
    ("prefixes = [10.0.0.0/8]", (1, 13), "the value has no quotes", 'strings need quotes: write "10.0.0.0/8"'),
    ("hops = [{ via = 10.0.0.1 }]", (1, 17), "the value has no quotes", 'strings need quotes: write "10.0.0.1"'),
    ("resync = 60s", (1, 10), "the value has no quotes", 'strings need quotes: write "60s"'),
    ('to = 10.0.0.0/8"', (1, 6), "the quote before the value is missing", 'write "10.0.0.0/8"'),
    ('to: "10.0.0.0/8"', (1, 3), "`=` stands between a key and its value", 'write to = "10.0.0.0/8"'),
    ("to: 10.0.0.0/8 # a net", (1, 3), "`=` stands between a key and its value", 'write to = "10.0.0.0/8"'),
    ("metric: 5", (1, 7), "`=` stands between a key and its value", "write metric = 5"),
    ('to == "10.0.0.0/8"', (1, 4), "`=` stands between a key and its value", 'write to = "10.0.0.0/8"'),
    ('to "10.0.0.0/8"', (1, 4), "`=` is missing", 'write to = "10.0.0.0/8"'),
    ("onlink = True", (1, 10), "a switch is true or false, in small letters", "write true"),
    ("onlink = no", (1, 10), "a switch is true or false, in small letters", "write false"),
    ('hops = [{ via = "a",\n dev = "b" }]', (1, 9), INLINE, "write all of { … } on one line"),
    ('hops = [ {\n via = "a" } ]', (1, 10), INLINE, "write all of { … } on one line"),
    ('hops = [{ via = "a", }]', (1, 22), "no comma stands before } of an inline table", "leave the comma out"),
    ('to = "a"\n\nvia = "b"\nmtu = 1\nvia = "c"', (5, 1), "`via` stands at line 3 already", "keep one of the two"),
    ("[a]\nb = 1\n[[c]]\nb = 1\nb = 2", (5, 1), "`b` stands at line 4 already", "keep one of the two"),
    ("to = [\n1,\n]\nto = [\n2,\n]\n", (4, 1), "`to` stands at line 1 already", "keep one of the two"),
    ("[daemon]\nx = 1\n[daemon]", (3, 1), "`daemon` stands at line 1 already", "put its keys there"),
    ("[[route]]\nx = 1\n[route]", (3, 1), "`route` stands at line 1 already", "write [[route]]"),
    ("[[route]\n", (1, 1), "the header has no end", "write [[route]]"),
    ("[daemon\n", (1, 1), "the header has no end", "write [daemon]"),
    ("[route]]\n", (1, 1), "a bracket is missing", "write [[route]]"),
    ("[[a]] b = 1", (1, 1), "the header of a table stands alone on its line", "write its keys on lines of their own"),
    ("to = \u201c10.0.0.0/8\u201d", (1, 6), "these quotes are not those of TOML", 'write straight ones: "'),
    ('to = "10.0.0.0/8', (1, 6), "the string has no end on its line", "close its quote"),
    ("x = 1;", (1, 6), "this is no comment, and nothing else stands behind a value", "comments begin with #"),
    ("x = 1 // one", (1, 7), "this is no comment, and nothing else stands behind a value", "comments begin with #"),
    ("x = 1,", (1, 6), "nothing stands behind a value", "leave the comma out"),
    ("x = 0100", (1, 5), "a number has no zero in front", "write 100"),
    ("x =", (1, 3), "the value is missing", "write it behind `=`, or leave the key out"),
    ("to", (1, 1), "the key has no value", 'write to = "…"'),
    ("dev = none", (1, 7), "TOML has no word for nothing", "leave the key out"),
    ("- to: default", (1, 1), "no line begins with a dash", "each entry is a table: write [[route]]"),
    ("routes:", (1, 7), "a table has a header in brackets", "write it so: [[route]]"),
    ("ip route add default via 192.0.2.1", (1, 1), "this is a command, and a file says what is to be there",
     "write a table, such as [[route]], with its words as keys"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "place", "wrong", "said"), TEXTS, ids=[text for text, *_ in TEXTS])
def test_what_is_no_toml_is_told_in_words(text: str, place: tuple[int, int], wrong: str, said: str) -> None:
    with pytest.raises(tomllib.TOMLDecodeError) as caught:
        tomllib.loads(text)
    found = explain_syntax("a.toml", text, str(caught.value))
    assert (found.line, found.column, found.message, found.hint) == (*place, f"not valid TOML: {wrong}", said)
    assert found.source_line == text.split("\n")[place[0] - 1]


def test_every_slip_and_every_hint_has_a_test() -> None:
    told = {(wrong, said) for _, _, wrong, said in TEXTS}
    assert {slip.message for slip in SLIPS} <= {wrong for wrong, _ in told}
    said = [hint for *_, hint in VALUES]
    literal = {row.say for row in HINTS if isinstance(row.say, str) and "\\" not in row.say}
    assert literal - set(said) <= {
        "write false, without quotes",
        "write one table for each",
        "write one table for each address",
    }


def test_a_brace_that_belongs_to_nothing_is_not_told_of_a_comma() -> None:
    problem = explain_syntax("f.toml", "a = 1\n}", "Invalid statement (at line 2, column 1)")
    assert (problem.line, problem.hint) == (2, "")


def test_what_no_row_knows_is_told_in_the_words_of_the_parser() -> None:
    found = explain_syntax("a.toml", 'x = "\\q"', "Unescaped '\\' in a string (at line 1, column 6)")
    assert (found.column, found.message, found.hint) == (6, "not valid TOML: Unescaped '\\' in a string", "")


LINES = st.lists(
    st.sampled_from(
        ["[[route]]", "[daemon", 'to = "a"', "to = b", "to:", "x = {", "}", "a = [", "]", "'", '"""', "= 1", "#", "-"]
    )
    | st.text(st.characters(codec="utf-8", exclude_characters="\n\r"), max_size=12),
    max_size=6,
)  # fmt: skip


@given(LINES)
def test_a_complaint_about_any_text_names_a_place_within_it(lines: list[str]) -> None:
    text = "\n".join(lines)
    try:
        tomllib.loads(text)
    except ValueError as error:
        found = explain_syntax("a.toml", text, str(error))
        assert 1 <= found.column <= len(found.source_line) + 1
        assert found.source_line == text.split("\n")[found.line - 1]


def test_a_line_that_no_person_has_written_is_not_looked_at() -> None:
    text = "x = " + "{'" * 100_000
    with pytest.raises(tomllib.TOMLDecodeError) as caught:
        tomllib.loads(text)
    assert "not valid TOML" in explain_syntax("a.toml", text, str(caught.value)).message
    assert find_hint("%" * 100_000, {"host"}) == ""


def test_a_line_of_a_prefix_file_gets_the_same_hint() -> None:
    (found,) = parse_prefixes(source("10.0.0.0/255.0.0.0\n", "/etc/routed.d/drop.txt", "prefixes")).problems
    assert found.hint == "write 10.0.0.0/8"


def test_a_missing_key_is_told_at_the_table_and_a_wrong_one_at_the_key() -> None:
    (missing,) = problems('[[route]]\nvia = "192.0.2.1"\n')
    assert (missing.line, missing.column) == (2, 1)
    (unknown,) = problems(ROUTE + "colour = 5\n")
    assert (unknown.line, unknown.column) == (5, 1)


def test_a_dotted_key_has_its_caret_under_its_value() -> None:
    (found,) = problems('[[vip]]\naddress = "192.0.2.80"\ndev = "lo"\nannounce.count = "3"\n')
    assert (found.line, found.column, found.hint) == (5, 18, "drop the quotes: write 3")


def test_the_words_of_a_command_are_in_no_hint() -> None:
    check = '[[check]]\nname = "a"\ntype = "exec"\ntimeout = "1s"\ncommand = "/bin/true hunter2"\n'
    assert "hunter2" not in complaint(check)
