"""Asks over TLS, as a kubelet does, again and again until a file is there: ask_for.py ADDRESS PORT FILE.

A line for each question: when it began, in seconds since boot; how long it took; who answered, or the error's name.
"""

import http.client
import ssl
import sys
import time
from pathlib import Path

ADDRESS, PORT, FILE = sys.argv[1:]
PATIENCE = 3.0  # seconds for an answer
CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
CONTEXT.check_hostname = False
CONTEXT.verify_mode = ssl.CERT_NONE
while not Path(FILE).exists():
    began = time.monotonic()
    connection = http.client.HTTPSConnection(ADDRESS, int(PORT), timeout=PATIENCE, context=CONTEXT)
    try:
        connection.request("GET", "/healthz")
        answer = connection.getresponse().read().decode()
    except OSError as error:
        answer = type(error).__name__
    connection.close()
    sys.stdout.write(f"{began:.2f} {time.monotonic() - began:.2f} {answer}\n")
    sys.stdout.flush()
    time.sleep(0.1)
