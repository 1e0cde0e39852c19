"""Inside the machine: runs commands that come by a virtio port, one at a time, and answers with what became of them.

It stands in the image as a service of its own and knows nothing of routed. One line of JSON each way; the first line
after every boot is the boot's id, so that whoever asked for a reboot can tell the new boot from the old one.
"""

import json
import os
import signal
import subprocess
from pathlib import Path

PORT = "/dev/virtio-ports/agent"


def main() -> None:
    port = os.open(PORT, os.O_RDWR)  # it can be opened only once
    with os.fdopen(port, "rb") as requests, os.fdopen(os.dup(port), "wb") as answers:

        def answer(**said: object) -> None:
            answers.write(json.dumps(said).encode() + b"\n")
            answers.flush()

        answer(boot=Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip())
        for line in requests:
            answer(**carry_out(**json.loads(line)))


def carry_out(command: str, given: str, limit: float) -> dict[str, object]:
    """Run a command of the shell, with this on its stdin; kill it, and all that it started, after so many seconds."""
    process = subprocess.Popen(
        ["/bin/bash", "-c", command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="backslashreplace",
        start_new_session=True,
    )
    try:
        out, err = process.communicate(given, limit)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        return {"code": None, "out": out, "err": err}
    return {"code": process.returncode, "out": out, "err": err}


if __name__ == "__main__":
    main()
