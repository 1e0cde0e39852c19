"""The story as a machine: reloads, strangers, flaps, refusals, lost events and restarts in any order."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from routed.model.entries import Entry, Intent, Settings
from routed.model.events import Event, Overrun
from tests.property.fake_kernel import FakeKernel
from tests.property.rig import Rig, a_host
from tests.property.test_invariants import ERRNOS, LONGEST_RETRY, assert_in_force
from tests.property.worlds import Act, Meanwhile, acts, files, heal, outsiders, place

CHOSEN = Settings(resync=60.0, fight_limit=None, max_deletes=1.0)


class Story(RuleBasedStateMachine):
    """A host with a daemon on it, and everything that may happen to both."""

    kernel: FakeKernel
    rig: Rig
    entries: tuple[Entry, ...]

    @initialize(entries=files())
    def start(self, entries: tuple[Entry, ...]) -> None:
        self.kernel = a_host()
        place(self.kernel, outsiders())
        self.restart()
        self.reload(entries)

    @rule()
    def restart(self) -> None:
        self.rig = Rig(self.kernel)
        self.rig.start(*getattr(self, "entries", ()), settings=CHOSEN)

    @rule(entries=files())
    def reload(self, entries: tuple[Entry, ...]) -> None:
        self.entries = entries
        self.rig.enforce(Intent(CHOSEN, entries))

    @rule(act=acts())
    def a_stranger_acts(self, act: Act) -> None:
        act.do(self.kernel)

    @rule(between=st.lists(st.tuples(st.integers(1, 5), acts()), min_size=1, max_size=4))
    def strangers_will_act_between_our_steps(self, between: list[tuple[int, Act]]) -> None:
        self.kernel.mischief.meanwhile = Meanwhile(self.kernel, between)

    @rule(seconds=st.sampled_from([0.0, 0.02, 1.0, 61.0]))
    def time_passes(self, seconds: float) -> None:
        self.rig.run(seconds)

    @rule(error=st.sampled_from((0, 0, *ERRNOS)))
    def the_kernel_refuses_everything_from_now_on_with(self, error: int) -> None:
        self.kernel.mischief.refuse = lambda _operation, _member: error

    @rule(is_busy=st.booleans())
    def dumps_are_interrupted(self, is_busy: bool) -> None:
        left = iter(range(3 if is_busy else 0))
        self.kernel.mischief.interrupt = lambda _scope: next(left, None) is not None

    @rule()
    def the_events_that_wait_are_lost_in_silence(self) -> None:
        self.kernel.read_events()

    @rule()
    def the_events_that_wait_are_overrun(self) -> None:
        kept = self.kernel.mischief.deliver

        def once(_events: list[Event]) -> list[Event]:
            self.kernel.mischief.deliver = kept
            return [Overrun()]

        self.kernel.mischief.deliver = once

    @invariant()
    def what_is_in_trouble_says_why(self) -> None:
        assert all(one.trouble.reason for one in self.rig.host.ledger.troubles)

    def teardown(self) -> None:
        if not hasattr(self, "rig"):
            return
        heal(self.kernel)
        self.rig.run(2 * LONGEST_RETRY)
        self.rig.resync()
        assert_in_force(self.kernel, self.entries)
        assert not self.rig.host.ledger.troubles
        assert not self.rig.host.ledger.holds.active


Story.TestCase.settings = settings(
    max_examples=15, stateful_step_count=25, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
TestStory = Story.TestCase
