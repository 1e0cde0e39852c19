"""What becomes of a snapshot: who is a member, who stays, and why."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from routed.core import membership
from routed.core.membership import NOBODY
from routed.model.entries import Origin
from routed.model.members import Broken, FileSource, Member, MemberSource, Roster, Snapshot, SourceType
from routed.model.net import parse_address, parse_prefix
from routed.model.reasons import ManyGone, Standstill

SOURCE = MemberSource(
    "fleet",
    Origin("/etc/routed.toml", 1),
    SourceType.FILE,
    FileSource("fleet.json"),
    prefixes_within=(parse_prefix("10.244.0.0/16"), parse_prefix("fd44::/16")),
    addresses_within=(parse_prefix("10.0.0.0/8"), parse_prefix("224.0.0.0/3"), parse_prefix("127.0.0.0/8")),
)
ALL = SOURCE._replace(max_loss=None, holds_empty=False)


def member(name: str, uid: str = "", *, addresses: str = "", prefixes: str = "") -> Member:
    packed = tuple(map(parse_address, addresses.split())), tuple(map(parse_prefix, prefixes.split()))
    return Member(name, uid, *packed)


@dataclass
class Source:
    """A source that speaks at moments of a clock."""

    source: MemberSource = SOURCE
    roster: Roster = NOBODY
    now: float = 1000.0

    def tell(self, names: str, *, broken: str = "", is_complete: bool = True) -> str:
        """Who is a member after it told of these; those who are held in brackets."""
        members = tuple(member(*one.split("=")) for one in names.split())
        bad = tuple(Broken(name, "bad") for name in broken.split())
        self.roster = membership.take(self.roster, Snapshot(members, bad, "", is_complete), self.source, self.now)
        return self.shown

    @property
    def shown(self) -> str:
        return " ".join(f"[{name}]" if name in self.roster.held else name for name in sorted(self.roster.present))


def test_only_a_complete_snapshot_takes_anybody_away() -> None:
    source = Source(ALL)
    assert source.tell("a b") == "a b"
    assert source.tell("c", is_complete=False) == "a b c"
    assert source.tell("a c") == "a c"


def test_a_member_that_cannot_be_understood_stays_as_it_was() -> None:
    source = Source(ALL)
    source.tell("a b")
    before = source.roster.present["b"]
    assert source.tell("a", broken="b") == "a b"
    assert source.roster.present["b"] == before
    assert source.roster.broken == (Broken("b", "bad"),)


def test_a_member_that_never_was_understood_is_none() -> None:
    assert Source(ALL).tell("a", broken="b") == "a"


def test_a_document_of_broken_members_alone_is_not_empty() -> None:
    source = Source(SOURCE._replace(max_loss=None))
    source.tell("a b")
    assert source.tell("", broken="b") == "b"
    assert source.roster.why is None


def test_nobody_goes_when_the_source_tells_of_none_at_all() -> None:
    source = Source(SOURCE._replace(max_loss=None))
    source.tell("a b")
    assert source.tell("") == "[a] [b]"
    assert source.roster.why is Standstill.EMPTY
    assert source.tell("a") == "a"  # which is not none, and all may go
    assert source.roster.why is None


def test_where_an_empty_list_is_to_be_believed_all_go_however_many_they_are() -> None:
    source = Source(SOURCE._replace(holds_empty=False))
    source.tell("a b c d")
    assert source.tell("") == ""


@pytest.mark.parametrize(("left", "shown"), [
    ("a b c d e f g", "a b c d e f g"),
    ("a b c d e f", "a b c d e f [g] [h] [i] [j]"),
    ("x", "[a] [b] [c] [d] [e] [f] [g] [h] [i] [j] x"),
])  # fmt: skip
def test_at_most_the_share_of_the_file_goes_at_once_and_else_nobody(left: str, shown: str) -> None:
    source = Source()
    source.tell("a b c d e f g h i j")
    assert source.tell(left) == shown


def test_one_may_always_go() -> None:
    source = Source()
    source.tell("a b")
    assert source.tell("a") == "a"


def test_those_who_go_one_by_one_within_a_minute_go_at_once() -> None:
    source = Source()
    source.tell("a b c d e f g h i j")
    for left in ("a b c d e f g h i", "a b c d e f g h", "a b c d e f g"):
        assert source.tell(left) == left
        source.now += 1
    assert source.tell("a b c d e f") == "a b c d e f [g]"
    assert source.roster.why == ManyGone(4, 10)
    source.now += membership.AT_ONCE
    assert source.tell("a b c d e f") == "a b c d e f"
    assert source.roster.why is None


def test_those_who_are_held_are_counted_once_however_often_it_is_told() -> None:
    source = Source()
    source.tell("a b c d e f g h i j")
    for _ in range(5):
        assert source.tell("a b c d e") == "a b c d e [f] [g] [h] [i] [j]"
        assert source.roster.why == ManyGone(5, 10)


def test_since_when_members_are_held_is_since_the_first_of_them_is() -> None:
    source = Source()
    source.tell("a b c d e f g h i j")
    moments = [source.roster.held_since]
    for names in ("a b c d e", "a b c d", "a b c d e", "a b c"):
        source.tell(names)
        moments.append(source.roster.held_since)
        source.now += 9.0
    source.tell("a", is_complete=False)
    moments.append(source.roster.held_since)
    assert moments == [None, *[1000.0] * 5]
    source.roster = membership.let_go(source.roster, source.source, source.now)
    assert source.roster.held_since is None


def test_who_is_told_of_again_is_not_held_any_more() -> None:
    source = Source()
    source.tell("a b c d e f g h i j")
    source.tell("a b c d e")
    assert source.tell("a b c d e f g h") == "a b c d e f g h"  # the last two may go
    source = Source()
    source.tell("a b c d")
    source.tell("a")
    assert source.tell("b", is_complete=False) == "a b [c] [d]"
    assert source.roster.why == ManyGone(3, 4)
    source.tell("c d", is_complete=False)
    assert not source.roster.held
    assert source.roster.why is None


def test_new_members_come_while_others_are_held() -> None:
    source = Source()
    source.tell("a b c d")
    assert source.tell("e") == "[a] [b] [c] [d] e"


def test_the_operator_lets_go_those_who_are_held_and_nobody_else() -> None:
    source = Source()
    source.tell("a b c d e f")
    source.tell("a b c")
    source.roster = membership.let_go(source.roster, source.source, source.now)
    assert source.shown == "a b c"
    assert (source.roster.held, source.roster.why) == (frozenset(), None)
    assert source.tell("a b") == "a b"  # one may always go
    assert source.tell("") == "[a] [b]"


def test_who_goes_stays_as_long_as_the_file_says() -> None:
    source = Source(ALL._replace(gone_after=30.0))
    source.tell("a b")
    assert source.tell("a") == "a b"
    assert membership.find_next(source.roster) == 1030.0
    source.now += 29
    assert source.tell("a") == "a b"
    source.roster = membership.expire(source.roster, source.now)
    assert source.shown == "a b"
    source.now += 1
    source.roster = membership.expire(source.roster, source.now)
    assert source.shown == "a"
    assert membership.find_next(source.roster) is None


def test_who_comes_back_in_time_never_went() -> None:
    source = Source(ALL._replace(gone_after=30.0))
    source.tell("a b")
    since = source.roster.present["b"].since
    source.tell("a")
    source.now += 20
    source.tell("a b")
    assert source.roster.present["b"].since == since
    assert membership.find_next(source.roster) is None


def test_the_operator_lets_go_at_once_only_what_the_file_lets_go_at_once() -> None:
    source = Source(SOURCE._replace(gone_after=30.0))
    source.tell("a b c d")
    source.tell("a")
    source.roster = membership.let_go(source.roster, source.source, source.now)
    assert source.shown == "a b c d"
    assert membership.find_next(source.roster) == 1030.0
    assert source.tell("a") == "a b c d"  # the same again holds nobody: they are going
    assert source.roster.why is None


def test_another_uid_is_another_member_under_the_same_name() -> None:
    source = Source(ALL)
    source.tell("a=1 b=1")
    assert [source.roster.present[name].since for name in "ab"] == [1, 2]
    source.tell("a=2 b=1")
    assert [source.roster.present[name].since for name in "ab"] == [3, 2]
    assert source.roster.present["a"].member.uid == "2"


def test_a_member_that_changes_keeps_its_place() -> None:
    source = Source(ALL)
    source.tell("a b")
    changed = member("a", prefixes="10.244.1.0/24")
    source.roster = membership.take(source.roster, Snapshot((changed, member("b"))), ALL, source.now)
    assert [source.roster.present[name].since for name in "ab"] == [1, 2]
    assert source.roster.present["a"].member == changed


def test_the_order_in_which_they_came_is_kept_over_a_restart() -> None:
    source = Source(ALL)
    source.tell("z")
    source.tell("z b")
    source.tell("z b a")
    restored = membership.restore(membership.make_snapshot(source.roster), ALL)
    assert sorted(restored.present, key=lambda name: restored.present[name].since) == ["z", "b", "a"]


def test_what_the_file_does_not_allow_does_not_count_and_the_rest_does() -> None:
    told = member(
        "a",
        addresses="10.0.0.1 192.0.2.1 224.0.0.5 127.0.0.1 255.255.255.255 ::1",
        prefixes="10.244.1.0/24 10.0.0.0/8 0.0.0.0/0 10.244.0.0/15 fd44:1::/32 ::/0",
    )
    roster = membership.take(NOBODY, Snapshot((told,)), ALL, 0.0)
    assert roster.present["a"].member == member("a", addresses="10.0.0.1", prefixes="10.244.1.0/24 fd44:1::/32")
    (broken,) = roster.broken
    assert broken.name == "a"
    assert len(broken.outside) == 9


def test_what_was_kept_is_judged_by_the_file_of_today() -> None:
    kept = Snapshot((member("a", prefixes="10.244.1.0/24 10.245.0.0/24"),))
    assert membership.restore(kept, ALL).present["a"].member == member("a", prefixes="10.244.1.0/24")


def test_the_whole_of_what_the_file_allows_is_no_default_route() -> None:
    wide = ALL._replace(prefixes_within=(parse_prefix("0.0.0.0/0"), parse_prefix("::/0")))
    roster = membership.take(NOBODY, Snapshot((member("a", prefixes="0.0.0.0/0 ::/0 10.0.0.0/8"),)), wide, 0.0)
    assert roster.present["a"].member == member("a", prefixes="10.0.0.0/8")


def test_who_claims_what_another_has_by_then_comes_after_that_one_however_old_he_is() -> None:
    a, b = member("a"), member("b", prefixes="10.244.1.0/24")
    roster = membership.take(NOBODY, Snapshot((a, b)), ALL, 0.0)
    late = member("a", prefixes="10.244.1.0/24")
    roster = membership.take(roster, Snapshot((late, b)), ALL, 1.0)
    assert [one.member.name for one in membership.list_by_age(roster)] == ["b", "a"]


def test_who_claims_what_nobody_has_stays_as_old_as_he_is() -> None:
    a, b = member("a"), member("b", prefixes="10.244.1.0/24")
    roster = membership.take(NOBODY, Snapshot((a, b)), ALL, 0.0)
    swapped = member("a", prefixes="10.244.1.0/24"), member("b", prefixes="10.244.2.0/24")
    roster = membership.take(roster, Snapshot(swapped), ALL, 1.0)
    assert [one.member.name for one in membership.list_by_age(roster)] == ["a", "b"]
