"""Holds one connection and asks over it, once a second, who is there: hold.py ADDRESS PORT FILE.

It ends when FILE is there.
Each answer is a line of FILE.log; without an answer it ends with the name of the error.
"""

import http.client
import sys
import time
from pathlib import Path

ADDRESS, PORT, END = sys.argv[1:]
connection = http.client.HTTPConnection(ADDRESS, int(PORT), timeout=5)
with Path(f"{END}.log").open("w") as log:
    while not Path(END).exists():
        try:
            connection.request("GET", "/")
            log.write(connection.getresponse().read().decode() + "\n")
        except (OSError, http.client.HTTPException) as error:
            log.write(type(error).__name__ + "\n")
            break
        log.flush()
        time.sleep(1)
connection.close()
