"""The part of systemd-python 235 that routed uses. Source: systemd/daemon.py and _daemon.c of that release."""

def notify(
    status: str,
    unset_environment: bool = False,
    pid: int = 0,
    fds: list[int] | None = None,
) -> bool: ...
def booted() -> bool: ...
