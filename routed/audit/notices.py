"""Notices: records about the daemon, its files and its entries, where no operation is behind them.

One function an event. Pure, like ``records``; seconds are the unit of every time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from routed.audit.actors import name_actor
from routed.audit.catalogue import Message
from routed.audit.figures import format_count, format_span
from routed.audit.reasons import describe_reason
from routed.audit.records import Record, make_record
from routed.audit.wording import Absence
from routed.model.checks import Ruling
from routed.model.net import format_prefix, host_prefix
from routed.model.reasons import CallFailed, Defect, Fought, Overruled, Paused, Reason

EVERYTHING: Final = "everything"  # the subject of a pause that names no entry


def note_started(version: str, config: str, protocol: int) -> Record:
    """The daemon is up: its first pass is over."""
    return make_record(Message.STARTED, {"version": version, "config": config, "protocol": str(protocol)})


def note_stopped(is_keeping: bool, left: int = 0) -> Record:  # noqa: FBT001  # the one thing that there is to say
    """The daemon goes, and what becomes of the objects; ``left`` of them were to go and did not."""
    objects = "its objects stay" if is_keeping else "its objects were removed"
    if left:
        objects = f"its objects were removed, but {format_count(left, 'object')} could not be"
    return make_record(Message.STOPPED, {"objects": objects})


def note_config_loaded(config: str, entries: int, objects: int, revision: int) -> Record:
    """Other files came into force."""
    counts = f"{format_count(entries, 'entry')}, {format_count(objects, 'object')}"
    return make_record(
        Message.CONFIG_LOADED,
        {"config": config, "counts": counts, "revision": str(revision)},
        {"ROUTED_REVISION": str(revision), "ROUTED_COUNT": str(objects)},
    )


def note_config_rejected(config: str, problems: Sequence[str]) -> Record:
    """The files are invalid. ``problems`` are texts, perhaps of several lines; the first line of the first is said."""
    more = f" (and {format_count(len(problems) - 1, 'problem')} more: routed check)" if len(problems) > 1 else ""
    first = problems[0].partition("\n")[0]
    return make_record(
        Message.CONFIG_REJECTED,
        {"config": config, "problem": first + more},
        {"ROUTED_REASON": "\n".join(problems), "ROUTED_COUNT": str(len(problems))},
    )


def note_trial_begun(revision: int, base: int, seconds: float, by: str) -> Record:
    """Files are in force for a while only, unless somebody confirms them."""
    return make_record(
        Message.TRIAL_BEGUN,
        {"revision": str(revision), "base": str(base), "length": format_span(seconds), "by": by},
        {"ROUTED_REASON": by},
    )


def note_trial_over(revision: int, base: int) -> Record:
    """Nobody confirmed what was on trial: the revision before comes back. 0: none can be read any more."""
    consequence = f"revision {base} comes back" if base else "no other can be read, so it stays in force"
    return make_record(
        Message.TRIAL_OVER, {"revision": str(revision), "consequence": consequence}, {"ROUTED_REASON": consequence}
    )


def note_confirmed(revision: int, by: str) -> Record:
    """What was on trial lasts."""
    return make_record(Message.CONFIRMED, {"revision": str(revision), "by": by}, {"ROUTED_REASON": by})


def note_rolled_back(revision: int, by: str) -> Record:
    """A revision is enforced because somebody asked for it; the files on disk are left alone."""
    return make_record(Message.ROLLED_BACK, {"revision": str(revision), "by": by}, {"ROUTED_REASON": by})


def note_files_changed(files: Sequence[str]) -> Record:
    """Files changed on disk, are valid, and wait for ``routed apply`` (watch = "check")."""
    names = ", ".join(files)
    return make_record(Message.FILES_CHANGED, {"files": names}, {"ROUTED_REASON": names})


def note_being_written(file: str) -> Record:
    """Somebody has a file open for writing, so it is not read yet."""
    return make_record(Message.FILE_BEING_WRITTEN, {"file": file}, {"ROUTED_REASON": file})


def note_overrun(overruns: int) -> Record:
    """The event socket lost events for the ``overruns``-th time since the start."""
    return make_record(Message.OVERRUN, {}, {"ROUTED_COUNT": str(overruns)})


def note_following(link: str) -> Record:
    """A link shows from now on what others ask of IPVS."""
    return make_record(Message.FOLLOWING, {"link": link}, {"INTERFACE": link})


def note_not_following(reason: str, interval: float) -> Record:
    """Nothing does, for this reason. IPVS is read every ``interval`` seconds, as without such a link."""
    return make_record(
        Message.NOT_FOLLOWING, {"reason": reason, "interval": format_span(interval)}, {"ROUTED_REASON": reason}
    )


def note_metrics_served(address: str) -> Record:
    """Whoever connects to this address gets them from now on."""
    return make_record(Message.METRICS_SERVED, {"address": address})


def note_metrics_not_served(address: str, reason: str) -> Record:
    """Nobody gets them there, for this reason. It is tried again."""
    return make_record(
        Message.METRICS_NOT_SERVED, {"address": address, "reason": reason}, {"ROUTED_REASON": f"{address}: {reason}"}
    )


def note_fight_held(entry: str, key: str, length: float, fight: Fought, vips: Iterable[bytes] = ()) -> Record:
    """An object (``key`` as text, empty for a whole entry) is left to its rival for ``length`` seconds.

    ``vips`` are the addresses of services that others who keep IPVS have to leave alone.
    """
    actor = name_actor(fight.port, fight.process)
    reason = describe_reason(Fought(fight.times, fight.seconds))  # the sentence has a place of its own for the rival
    return make_record(
        Message.FIGHT_HELD,
        {
            "subject": f"{entry} {key}".strip(),
            "length": format_span(length),
            "reason": reason,
            "actor": f"the last was {actor.words}" if actor.words else "it is not known who",
            "exclusion": _describe_exclusion(vips),
        },
        {"ROUTED_ENTRY": entry, "ROUTED_OBJECT": key, "ROUTED_REASON": reason} | actor.fields,
    )


def _describe_exclusion(vips: Iterable[bytes]) -> str:
    """What others have to leave alone; kube-proxy takes it in these words (cmd/kube-proxy, ipvs.excludeCIDRs)."""
    listed = ",".join(map(format_prefix, sorted(map(host_prefix, vips))))
    return f"; what else keeps IPVS has to leave {listed} alone (kube-proxy: --ipvs-exclude-cidrs)" if listed else ""


def note_yielded(entry: str, key: str, length: float, fight: Fought) -> Record:
    """An object that is as wanted stays under the mark of another process for ``length`` seconds."""
    actor = name_actor(fight.port, fight.process)
    reason = f"marked otherwise {fight.times} times within {fight.seconds} s"
    return make_record(
        Message.YIELDED,
        {
            "subject": f"{entry} {key}".strip(),
            "length": format_span(length),
            "reason": reason,
            "actor": f"the last was {actor.words}" if actor.words else "it is not known who",
        },
        {"ROUTED_ENTRY": entry, "ROUTED_OBJECT": key, "ROUTED_REASON": reason} | actor.fields,
    )


def note_fight_over(entry: str, key: str) -> Record:
    """An object that was held is as the file says again, and stayed so."""
    return make_record(
        Message.FIGHT_OVER, {"subject": f"{entry} {key}".strip()}, {"ROUTED_ENTRY": entry, "ROUTED_OBJECT": key}
    )


def note_waiting(entry: str, origin: str, why: Reason | None) -> Record:
    """An entry, or a part of it, cannot be in the kernel yet."""
    reason = describe_reason(why)
    return make_record(
        Message.WAITING,
        {"subject": entry, "reason": reason},
        {"ROUTED_ENTRY": entry, "ROUTED_ORIGIN": origin, "ROUTED_REASON": reason},
    )


def note_impossible(entry: str, origin: str, why: Reason | None) -> Record:
    """An entry cannot be in the kernel, and waiting does not help."""
    reason = describe_reason(why)
    return make_record(
        Message.FAILED,
        {"subject": entry, "action": "made", "reason": reason},
        {"ROUTED_ENTRY": entry, "ROUTED_ORIGIN": origin, "ROUTED_REASON": reason},
    )


def note_selector_changed(name: str, before: str, after: str, why: Reason | None) -> Record:
    """An ``[[interface]]`` means another link than before. Both are names, empty for none."""
    reason = describe_reason(why)
    return make_record(
        Message.SELECTOR_CHANGED,
        {"name": name, "after": after or "no link", "before": f", it was {before}" if before else "", "reason": reason},
        {"ROUTED_OBJECT": f"@{name}", "ROUTED_REASON": f"{after}: {reason}", "ROUTED_BEFORE": before}
        | {"ROUTED_AFTER": after, "INTERFACE": after},
    )


def note_vip_condition(entry: str, origin: str, condition: Reason) -> Record:
    """Which way the condition of a VIP stands."""
    reason = describe_reason(condition)
    return make_record(
        Message.VIP_CONDITION,
        {"subject": entry, "reason": reason},
        {"ROUTED_ENTRY": entry, "ROUTED_ORIGIN": origin, "ROUTED_REASON": reason},
    )


def note_vip_bypassed(entry: str, key: str, why: Reason | None) -> Record:
    """The route of a VIP stands, and the kernel uses another one."""
    reason = describe_reason(why)
    return make_record(
        Message.VIP_BYPASSED,
        {"subject": f"{entry} {key}", "reason": reason},
        {"ROUTED_ENTRY": entry, "ROUTED_OBJECT": key, "ROUTED_REASON": reason},
    )


def note_shadowed(entry: str, key: str, why: Reason | None) -> Record:
    """An object stands, and something that is not ours decides in its place."""
    reason = describe_reason(why)
    actor = name_actor(why.port, why.process).fields if isinstance(why, Overruled) else {}
    return make_record(
        Message.SHADOWED,
        {"subject": f"{entry} {key}", "reason": reason},
        {"ROUTED_ENTRY": entry, "ROUTED_OBJECT": key, "ROUTED_REASON": reason} | actor,
    )


def note_announced(entry: str, key: str, link: str, why: Reason) -> Record:
    """The neighbours on ``link`` are being told where a VIP is."""
    reason = describe_reason(why)
    return make_record(
        Message.VIP_ANNOUNCED,
        {"subject": f"{entry} {key}", "reason": reason},
        {"ROUTED_ENTRY": entry, "ROUTED_OBJECT": key, "ROUTED_REASON": reason, "INTERFACE": link},
    )


def note_not_announced(entry: str, key: str, link: str, error: OSError) -> Record:
    """The neighbours on ``link`` could not be told where a VIP is."""
    reason = error.strerror or str(error)
    if isinstance(error, PermissionError):
        reason += ": it takes CAP_NET_RAW, which the service does not have"
    return make_record(
        Message.VIP_NOT_ANNOUNCED,
        {"subject": f"{entry} {key}", "reason": reason},
        {"ROUTED_ENTRY": entry, "ROUTED_OBJECT": key, "ROUTED_REASON": reason, "INTERFACE": link},
    )


def note_state_lost(reason: str) -> Record:
    """A revision, what our objects displaced, or our protocol numbers could not be kept for a restart."""
    return make_record(Message.STATE_LOST, {"reason": reason}, {"ROUTED_REASON": reason})


def note_state_kept(revision: int) -> Record:
    """What could not be written is written now."""
    return make_record(Message.STATE_KEPT, {"revision": str(revision)}, {"ROUTED_REVISION": str(revision)})


def note_pass_failed(failure: CallFailed | Defect) -> Record:
    """A pass ended before its time: a socket to the kernel failed in a way that is no answer, or routed is wrong."""
    message = Message.NETLINK_FAILED if isinstance(failure, CallFailed) else Message.DEFECT
    reason = describe_reason(failure)
    return make_record(message, {"reason": reason}, {"ROUTED_REASON": reason})


def note_recovered(failure: Reason | None) -> Record:
    """After such a failure everything has been read again, and what was wrong is put right or told of."""
    reason = describe_reason(failure)
    return make_record(Message.RECOVERED, {"reason": reason}, {"ROUTED_REASON": reason})


def note_protocol_refused(config: str, protocol: int, reason: str) -> Record:
    """The files ask for a protocol number that another routed holds."""
    return _note_protocol_taken(protocol, reason, f"{config} changes nothing")


def note_protocol_lost(protocol: int, reason: str) -> Record:
    """A former protocol number is another routed's by now."""
    return _note_protocol_taken(protocol, reason, "what it marks is left to it")


def name_protocol(protocol: int) -> str:
    """The subject of a record on a protocol number, by which it can be forgotten."""
    return f"protocol {protocol}"


def _note_protocol_taken(protocol: int, reason: str, consequence: str) -> Record:
    return make_record(
        Message.PROTOCOL_TAKEN,
        {"protocol": str(protocol), "reason": reason, "consequence": consequence},
        {"ROUTED_OBJECT": name_protocol(protocol), "ROUTED_REASON": reason},
    )


def note_paused(entry: str, length: float, why: Paused) -> Record:
    """An entry, or with an empty name everything, is not enforced for ``length`` seconds; a server drains so long."""
    reason = describe_reason(why)
    if why.is_drain:
        words = {"subject": entry, "reason": f"for {format_span(length)}, {reason}"}
        return make_record(Message.DRAINS, words, {"ROUTED_ENTRY": entry.partition("[")[0], "ROUTED_REASON": reason})
    return make_record(
        Message.PAUSED,
        {
            "subject": entry or EVERYTHING,
            "length": format_span(length),
            "reason": reason + (f" (by {why.author})" if why.author else ""),
        },
        {"ROUTED_ENTRY": entry, "ROUTED_REASON": reason},
    )


def note_resumed(entry: str, *, is_over: bool) -> Record:
    """A pause ended: its time was over, or the operator said so."""
    reason = "the pause is over" if is_over else "resumed by the operator"
    return make_record(
        Message.RESUMED,
        {"subject": entry or EVERYTHING, "reason": reason},
        {"ROUTED_ENTRY": entry, "ROUTED_REASON": reason},
    )


def note_default_rules_missing(absence: Absence) -> Record:
    """Rules that the kernel made itself are gone: without them the host hardly routes at all."""
    return make_record(
        Message.DEFAULT_RULES_MISSING,
        {"family": absence.family, "missing": absence.missing, "command": absence.command},
        {"ROUTED_OBJECT": absence.subject, "ROUTED_REASON": absence.missing},
    )


def note_check_turned(entry: str, origin: str, ruling: Ruling) -> Record:
    """A check is up, or down, and was not before; or an agent falls silent."""
    fields = {"ROUTED_ENTRY": entry, "ROUTED_ORIGIN": origin, "ROUTED_REASON": describe_reason(ruling.why)}
    silent_or_up = Message.AGENT_SILENT if ruling.is_unanswered else Message.CHECK_UP
    message = silent_or_up if ruling.is_up else Message.CHECK_DOWN
    return make_record(message, {"subject": entry, "reason": describe_reason(ruling.why)}, fields)


def note_check_failed(entry: str, origin: str, why: Reason) -> Record:
    """A check cannot be made here, and what it takes to make it."""
    reason = describe_reason(why)
    fields = {"ROUTED_ENTRY": entry, "ROUTED_ORIGIN": origin, "ROUTED_REASON": reason}
    return make_record(Message.CHECK_FAILED, {"subject": entry, "reason": reason}, fields)


def note_check_flapping(entry: str, origin: str) -> Record:
    """A check turns so often that not every turn is told."""
    return make_record(Message.CHECK_FLAPPING, {"subject": entry}, {"ROUTED_ENTRY": entry, "ROUTED_ORIGIN": origin})
