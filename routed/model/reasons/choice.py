"""Why a link is the one that an ``[[interface]]`` means, or is not."""

from __future__ import annotations

from enum import auto

from routed.model.entries import Matcher
from routed.model.reasons.value import Detailed, Plain, Reason


class Unchosen(Plain):
    """Why a link is not the one that is meant."""

    DOWN = auto()
    NOTHING_FITS = auto()
    ANOTHER_FIRST = auto()
    NOT_ALONE = auto()  # others fit as well


class Called(Detailed):
    """It has the name."""

    link: str


class NameFits(Detailed):
    """Its name fits a pattern, or else an altname of it."""

    pattern: str
    altname: str = ""


class HasAddress(Detailed):
    """It has an address in a prefix."""

    address: bytes
    prefix: str  # as written


class Reaches(Detailed):
    """The way to a target leads over it."""

    target: str  # as written
    gateway: bytes = b""  # behind which it is; empty on-link


class HasMac(Detailed):
    """It has the MAC address."""

    mac: str  # as written


class HasDefaultRoute(Detailed):
    """The default route leads over it."""

    metric: int


class HasDriver(Detailed):
    """It has the driver."""

    driver: str


class FirstOf(Detailed):
    """It is the first of several that fit."""

    why: Reason
    links: tuple[str, ...]


class But(Detailed):
    """It fits, and is not chosen all the same."""

    why: Reason
    but: Reason


class Skipped(Detailed):
    """Its name is among those that are never meant."""

    pattern: str


class Unfit(Detailed):
    """It does not fit what decides."""

    matcher: Matcher


class NoInterface(Detailed):
    """Nothing fits an ``[[interface]]``."""

    selector: str


class Ambiguous(Detailed):
    """Several links fit an ``[[interface]]``."""

    selector: str
    links: tuple[str, ...]
    matcher: Matcher
