"""Words of rules that are attributes of their own: what the kernel takes for the same, and what it knows at all."""

from __future__ import annotations

from errno import EEXIST
from struct import pack

import pytest

from routed.core.linux.requests import request
from routed.core.linux.state import LinuxState
from routed.kernel import knowledge
from routed.kernel.kernel import Kernel, read_version
from routed.kernel.requests import RequestSocket
from routed.model.attributes import SINCE, join
from routed.model.change import Verb
from routed.model.objects import Key, Kind, RuleValue, Standing
from tests.kernel.objects import OURS, V4, V6, do, read, rule, scope_of

DSCP, MASKED = join({25: b"\x08"}), join({25: b"\x08", 30: b"\x38"})
LABEL = join({26: b"\0\0\0\7", 27: b"\0\x0f\xff\xff"})
REALMS = join({11: pack("=I", 7)})
NEWEST = (6, 16)  # of Linux, of what is tried here

PLAIN = rule(V6)


def with_extra(extra: bytes, realms: bytes = b"", **more: object) -> Standing:
    made = rule(V6, extra=extra, **more)
    return made._replace(value=RuleValue(OURS, realms))


@pytest.mark.skipif(read_version() < NEWEST, reason="the kernel knows too few attributes")
@pytest.mark.parametrize(
    ("first", "second"),
    [
        (with_extra(DSCP), PLAIN),
        (PLAIN, with_extra(DSCP)),
        (with_extra(DSCP), with_extra(MASKED)),
        (with_extra(MASKED), with_extra(DSCP)),
        (with_extra(LABEL), PLAIN),
        (with_extra(LABEL), with_extra(DSCP)),
        (with_extra(join({28: pack("=H", 0xFFF0)}), sport=(80, 80)), with_extra(b"", sport=(80, 80))),
        (with_extra(b"", sport=(80, 80)), with_extra(join({28: pack("=H", 0xFFF0)}), sport=(80, 80))),
    ],
)
def test_the_model_takes_a_rule_for_another_where_the_kernel_does(
    kernel: Kernel, first: Standing, second: Standing
) -> None:
    state = LinuxState()
    for one in (first, second):
        failures = do(kernel, Verb.ADD, one)
        key = Key(Kind.RULE, one.slot, one.member)
        assert request(state, Verb.ADD, key, one.value, 0) == (failures[0].errno if failures else 0)
    there = [one for one in read(kernel, scope_of(PLAIN)) if one.value.protocol == OURS]
    assert there == list(state.stand(Kind.RULE))

    assert do(kernel, Verb.DELETE, second) == []
    assert request(state, Verb.DELETE, Key(Kind.RULE, second.slot, second.member), second.value, 0) == 0
    assert [one for one in read(kernel, scope_of(PLAIN)) if one.value.protocol == OURS] == list(state.stand(Kind.RULE))


def test_what_a_kernel_knows_is_told_by_its_release_and_asked_of_an_older_one(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = read(kernel, scope_of(PLAIN))
    monkeypatch.setitem(SINCE, 60, ("nothing", "99.0"))
    requests = RequestSocket()
    try:
        assert knowledge.find_unknown(requests, (99, 1), [*SINCE]) == frozenset()
        asked = [number for number in SINCE if number == 60 or read_version() >= NEWEST]
        assert knowledge.find_unknown(requests, (4, 19), asked) == {60}  # somebody may have put the others into it
    finally:
        requests.close()
    assert read(kernel, scope_of(PLAIN)) == before


WITH, OTHERS = RuleValue(OURS, REALMS), RuleValue(OURS, join({11: pack("=I", 0x10002)}))
TWINS = [RuleValue(OURS), WITH, OTHERS, RuleValue(4), RuleValue(4, REALMS)]


@pytest.mark.parametrize("gone", range(len(TWINS)))
@pytest.mark.parametrize("order", [TWINS, TWINS[::-1]], ids=["without first", "with first"])
def test_of_rules_that_differ_in_realms_alone_none_is_taken_for_another(
    kernel: Kernel, order: list[RuleValue], gone: int
) -> None:
    """The kernel compares them only where the request says them, so ours always does (fib4_rule_compare)."""
    twins = [rule(V4)._replace(value=value) for value in order]
    state = LinuxState()
    for one in twins:
        assert do(kernel, Verb.ADD, one) == []
        assert request(state, Verb.ADD, Key(Kind.RULE, one.slot, one.member), one.value, 0) == 0
        assert [failure.errno for failure in do(kernel, Verb.ADD, one)] == [EEXIST]

    def there() -> list[Standing]:
        return [one for one in read(kernel, scope_of(twins[0])) if one.member == twins[0].member]

    assert there() == twins == list(state.stand(Kind.RULE))
    left = [one for one in twins if one.value != TWINS[gone]]
    assert do(kernel, Verb.DELETE, rule(V4)._replace(value=TWINS[gone])) == []
    assert there() == left
    do(kernel, Verb.DELETE, rule(V4)._replace(value=TWINS[gone]))  # there is none any more, and no other goes for it
    assert there() == left
