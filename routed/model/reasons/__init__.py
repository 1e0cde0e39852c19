"""Reasons: why something waits, was refused, was done, is looked at, is in trouble, is held or was chosen.

A reason is a value: a member of a :class:`Plain` enumeration where there is nothing to say beside it, else a
:class:`Detailed` with the data. Names of links are in it as they were when it was made, so that a link that has gone
can still be named. Whoever decides something asks for the value or its type, and two are the same when they are equal.

Here must never live a word for a person: those are made in ``audit.reasons``, which has a row for every reason. What is
text here is somebody else's: the kernel's, the operator's, a name.

Each module has the reasons of one question; everybody imports them from here.
"""

# F403: the package is one list of reasons, and each is named in its module alone.
from routed.model.reasons.assumption import *  # noqa: F403
from routed.model.reasons.check import *  # noqa: F403
from routed.model.reasons.choice import *  # noqa: F403
from routed.model.reasons.drain import *  # noqa: F403
from routed.model.reasons.drift import *  # noqa: F403
from routed.model.reasons.effect import *  # noqa: F403
from routed.model.reasons.look import *  # noqa: F403
from routed.model.reasons.members import *  # noqa: F403
from routed.model.reasons.source import *  # noqa: F403
from routed.model.reasons.value import *  # noqa: F403
from routed.model.reasons.vip import *  # noqa: F403
from routed.model.reasons.waiting import *  # noqa: F403
from routed.model.reasons.way import *  # noqa: F403
