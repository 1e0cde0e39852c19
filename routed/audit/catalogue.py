"""The catalogue: every kind of message, with its id, its priority and its sentence.

A kind of message is one row here and one section in docs/reference/messages.md. How the words of a sentence are found
belongs elsewhere; here must never live code.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

# Priorities of syslog(3).
ERR: Final = 3
WARNING: Final = 4
NOTICE: Final = 5
INFO: Final = 6


class Message(StrEnum):
    """The kinds of message, as the field ROUTED_EVENT names them."""

    REPAIRED = "repaired"
    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"
    ADOPTED = "adopted"
    DISPLACED = "displaced"
    PUT_BACK = "put-back"
    DRAINS = "drains"
    FAILED = "failed"
    WAITING = "waiting"
    CONFLICT = "conflict"
    GUARD_HELD = "guard-held"
    FIGHT_HELD = "fight-held"
    FIGHT_OVER = "fight-over"
    YIELDED = "yielded"
    STRANGER_BESIDE = "stranger-beside"
    DEFAULT_RULES_MISSING = "default-rules-missing"
    CONFIG_LOADED = "config-loaded"
    CONFIG_REJECTED = "config-rejected"
    FILES_CHANGED = "files-changed"
    FILE_BEING_WRITTEN = "file-being-written"
    OVERRUN = "overrun"
    STARTED = "started"
    STOPPED = "stopped"
    PAUSED = "paused"
    RESUMED = "resumed"
    SELECTOR_CHANGED = "selector-changed"
    VIP_CONDITION = "vip-condition"
    VIP_BYPASSED = "vip-bypassed"
    SHADOWED = "shadowed"
    VIP_ANNOUNCED = "vip-announced"
    VIP_NOT_ANNOUNCED = "vip-not-announced"
    REPEATED = "repeated"
    STATE_LOST = "state-lost"
    STATE_KEPT = "state-kept"
    NETLINK_FAILED = "netlink-failed"
    DEFECT = "defect"
    REMARK = "remark"
    RECOVERED = "recovered"
    PROTOCOL_TAKEN = "protocol-taken"
    TRIAL_BEGUN = "trial-begun"
    TRIAL_OVER = "trial-over"
    CONFIRMED = "confirmed"
    ROLLED_BACK = "rolled-back"
    CHECK_UP = "check-up"
    CHECK_DOWN = "check-down"
    CHECK_FLAPPING = "check-flapping"
    CHECK_FAILED = "check-failed"
    AGENT_SILENT = "agent-silent"
    WEIGHED = "weighed"
    FOLLOWING = "following"
    NOT_FOLLOWING = "not-following"
    METRICS_SERVED = "metrics-served"
    METRICS_NOT_SERVED = "metrics-not-served"
    MEMBERS_CHANGED = "members-changed"
    MEMBERS_HELD = "members-held"
    MEMBER_BROKEN = "member-broken"
    SOURCE_FAILED = "source-failed"
    SOURCE_LIVE = "source-live"
    REGISTERED = "registered"
    UNREGISTERED = "unregistered"


class Row(NamedTuple):
    """What is fixed about a kind of message. An id never changes and is never used for another kind."""

    message_id: str  # 128 random bits in hex, as systemd-id128(1) makes them
    priority: int
    sentence: str  # for str.format
    is_state: bool = False  # tells of something that lasts: said once, not on every pass that finds it


CATALOGUE: Final[dict[Message, Row]] = {
    Message.REPAIRED: Row("611ff6f252dc40fcbfafe84b3bd31abd", NOTICE, "{subject}{trouble}; {cure} in {elapsed}"),
    Message.ADDED: Row("9821e5a0809e473eb5391092131678de", INFO, "{subject} added in {elapsed}"),
    Message.CHANGED: Row("c43c0e0954194c758e0ea64129657fd2", INFO, "{subject}: {difference}; changed in {elapsed}"),
    Message.REMOVED: Row("b0f79b9e5e944da084219642d0c7741d", INFO, "{subject} removed ({reason}){flows}"),
    Message.ADOPTED: Row(
        "67c1556338694aa2b85877cbe37144dd", INFO, "{subject} adopted: it stood there already ({reason})"
    ),
    Message.DISPLACED: Row(
        "caa022c03f8c451f995ff8be7c117c50", NOTICE, "{subject} took the place of a foreign object: {before}"
    ),
    Message.PUT_BACK: Row(
        "d1dc215e2e094649970e530d4dd32586",
        NOTICE,
        "{subject} put back, {how}: {after}",
    ),
    Message.DRAINS: Row("de0c314b4a9d4d99ac65e2d7233ce667", NOTICE, "{subject} gets no new connections: {reason}"),
    Message.FAILED: Row(
        "5db2a1dd14c34c29bc24a5eb3ddd0cf1", ERR, "{subject} could not be {action}: {reason}", is_state=True
    ),
    Message.WAITING: Row("d3730ef56af241f0820b650f1afec0a8", NOTICE, "{subject} waits: {reason}", is_state=True),
    Message.CONFLICT: Row("297c49716e2d4fa8a4ee2856514b1604", WARNING, "{subject} left alone: {reason}", is_state=True),
    Message.GUARD_HELD: Row(
        "eeb2ea4ff0eb49e5b8434d3228f7a16c", WARNING, "{subject} held by the guard: {reason}", is_state=True
    ),
    Message.FIGHT_HELD: Row(
        "8138674fa1c44e2b9e4a748a0150f788",
        WARNING,
        "{subject} held for {length}: {reason} ({actor}){exclusion}",
        is_state=True,
    ),
    Message.FIGHT_OVER: Row(
        "5777b8a5bbb84575878e25c43c43e155", NOTICE, "{subject} enforced again: nobody undoes it any more"
    ),
    Message.YIELDED: Row(
        "f274b99424fd402d814d34119a6ecb3d",
        NOTICE,
        "{subject} is as wanted, and stays under the mark of another process for {length}: {reason} ({actor})",
        is_state=True,
    ),
    Message.STRANGER_BESIDE: Row(
        "f3945d71137b4fa19cc6db026694ab31",
        NOTICE,
        "{subject} has a foreign object beside it, which is left alone: {standing}",
        is_state=True,
    ),
    Message.DEFAULT_RULES_MISSING: Row(
        "e616956473304c8892dfc59072d51481",
        ERR,
        "the kernel's own {family} rules are missing: {missing}; {command} brings them back",
        is_state=True,
    ),
    Message.CONFIG_LOADED: Row(
        "5e18ed2289824e8299f55973ea50357c", INFO, "{config} is in force: {counts}, revision {revision}"
    ),
    Message.CONFIG_REJECTED: Row(
        "e3d3acc53822413ca7f1bcfc51d9fcf7", ERR, "{config} is invalid and changes nothing: {problem}", is_state=True
    ),
    Message.FILES_CHANGED: Row(
        "7ed59190365b4d7aaea8b5366f151248",
        NOTICE,
        "{files} changed, not in force: routed apply puts it in force",
        is_state=True,
    ),
    Message.FILE_BEING_WRITTEN: Row(
        "7e4e4979c5284060ad1b82d36cd61d73",
        NOTICE,
        "{file} is being written: what is in force of it stays until it is closed",
    ),
    Message.OVERRUN: Row(
        "b8880fa8539f44f284f8a0c8fc0e2672", WARNING, "the kernel could not deliver all events; everything is read again"
    ),
    Message.STARTED: Row(
        "876b977f333844d4944e2ef87dbd8d52", INFO, "routed {version} started with {config}, protocol {protocol}"
    ),
    Message.STOPPED: Row("8a9ae2e838504238b5df0716b9dcb95e", INFO, "routed stopped; {objects}"),
    Message.PAUSED: Row("b4457773a5894cb2bf761b3d5dd2bab0", NOTICE, "{subject} paused for {length}: {reason}"),
    Message.RESUMED: Row("394eb94ae36545268400e1230205a065", NOTICE, "{subject} enforced again: {reason}"),
    Message.SELECTOR_CHANGED: Row(
        "6a83ee9da09849019aae9019c4f03e43", NOTICE, "@{name} is {after}{before}: {reason}", is_state=True
    ),
    Message.VIP_CONDITION: Row("ba702ef8ca2a4a85a8ef7589b8d6ae13", INFO, "{subject} is {reason}", is_state=True),
    Message.VIP_BYPASSED: Row(
        "a694a200eea44fbd9de38bbab6e7fcb5", WARNING, "{subject} stands, but {reason}", is_state=True
    ),
    Message.SHADOWED: Row("d035952e571346ac9a1caca53506e375", WARNING, "{subject} stands, but {reason}", is_state=True),
    Message.VIP_ANNOUNCED: Row(
        "a46ee642f34e4672b9ecd80bf684b61a", INFO, "{subject} announced to its neighbours: {reason}"
    ),
    Message.VIP_NOT_ANNOUNCED: Row(
        "7e8bd0dc8a044704a2e48d1b25d74a14", WARNING, "{subject} could not be announced: {reason}", is_state=True
    ),
    Message.REPEATED: Row(
        "eb3aa7de16ab4f359d1e98521a51981c", NOTICE, "{subject}: {event} {times} within {length} ({who})"
    ),
    Message.STATE_LOST: Row(
        "c866ddb9a4494578b0f062052ec38707", ERR, "the state on disk cannot be kept: {reason}", is_state=True
    ),
    Message.STATE_KEPT: Row(
        "08d2a96385b14b92955ad38f1e408048", NOTICE, "the state on disk is kept again, revision {revision}"
    ),
    Message.NETLINK_FAILED: Row(
        "928552c2e4f74576af2d5a86a0cbbe9f", ERR, "netlink failed: {reason}; everything is read again", is_state=True
    ),
    Message.DEFECT: Row(
        "635f7e9444424971b2cbe2120cd45bc6", ERR, "a pass ended by {reason}; everything is read again", is_state=True
    ),
    Message.REMARK: Row("ded1cefb251d46758ba8549b4f5bded1", WARNING, "{remark}"),
    Message.RECOVERED: Row(
        "72cf14ab7e90407aa16bf362ad64cf0b", NOTICE, "everything has been read again, after {reason}"
    ),
    Message.PROTOCOL_TAKEN: Row(
        "d8f33c79e59c4a3eb52d9bcf42548b15",
        ERR,
        "protocol {protocol} is not ours: {reason}; {consequence}",
        is_state=True,
    ),
    Message.TRIAL_BEGUN: Row(
        "2b8d1884f30542c0b18837fbfd9244f9",
        NOTICE,
        "revision {revision} is on trial for {length}, then revision {base} comes back unless it is confirmed ({by})",
    ),
    Message.TRIAL_OVER: Row(
        "4b81cc8c9ce44634a6378db197dece87",
        WARNING,
        "nobody confirmed revision {revision} in time: {consequence}",
    ),
    Message.CONFIRMED: Row("ecde858e025a4cfd800aeaa6e505111a", NOTICE, "revision {revision} is confirmed ({by})"),
    Message.ROLLED_BACK: Row(
        "aac2bbc3e0b94edba46f3662191b585b",
        NOTICE,
        "rolled back to revision {revision} ({by}); the files on disk are left alone",
    ),
    Message.CHECK_UP: Row("4c344ac07ac64622a5a04230105f5133", NOTICE, "{subject} is up"),
    Message.CHECK_DOWN: Row("da89832aacf8496dbb65af17642da123", WARNING, "{subject} is down: {reason}"),
    Message.CHECK_FAILED: Row(
        "ef5164e69fb64380967152c16121c0a5", ERR, "{subject} cannot be made: {reason}", is_state=True
    ),
    Message.CHECK_FLAPPING: Row(
        "217245344cb54806945a03783f26f746", WARNING, "{subject} goes up and down: not every turn is told", is_state=True
    ),
    Message.AGENT_SILENT: Row(
        "202d1915056745f3bf7a00fa4e023548", NOTICE, "{subject} says nothing, so the written weight counts: {reason}"
    ),
    Message.WEIGHED: Row("7bdfed78c5684ab0ad7392f05169108b", INFO, "{subject}: {difference}, as its agent says"),
    Message.FOLLOWING: Row(
        "cdabb53492fa4feda67411eb0618a485", INFO, "what others ask of IPVS is seen by the link {link}"
    ),
    Message.NOT_FOLLOWING: Row(
        "e03961e13cfc4eba921e7d23ac50950a",
        WARNING,
        "what others ask of IPVS is not seen: {reason}; what they change is found within {interval}",
        is_state=True,
    ),
    Message.METRICS_SERVED: Row("651628775d034149a50ceea0da2446d0", INFO, "metrics are served at {address}"),
    Message.METRICS_NOT_SERVED: Row(
        "ab42f98dc2ab4329ad2bcbe5541c4bdb", WARNING, "metrics are not served at {address}: {reason}", is_state=True
    ),
    Message.MEMBERS_CHANGED: Row("f5152cfef7704d13bfa81d72f52cbcf1", NOTICE, "{subject}: {difference}; {members} now"),
    Message.MEMBERS_HELD: Row(
        "356681999f0448929cd2bc7197f888c7", ERR, "{subject}: {reason}: they stay until routed apply --force ({names})"
    ),
    Message.MEMBER_BROKEN: Row("5aff0f6bfc464062b48074527fe47e11", WARNING, "{subject}: member {member}: {reason}"),
    Message.SOURCE_FAILED: Row(
        "ee303da5297140faae60e7e06a5baf46", WARNING, "{subject} says nothing new, its {members} stay: {reason}"
    ),
    Message.REGISTERED: Row("ecc5b469814042f9adbd816d5d578f4d", INFO, "{subject}: this host is a member"),
    Message.UNREGISTERED: Row(
        "2ce9ef9f21814659b9096d355fa13665", WARNING, "{subject}: this host is no member: {reason}"
    ),
    Message.SOURCE_LIVE: Row("5dff9e07bb2340e39b27ec4590625783", INFO, "{subject} is live: {members}"),
}
