"""Asks COUNT times who is there, each time by a new connection: ask.py ADDRESS PORT COUNT. A line for each answer."""

import http.client
import sys

ADDRESS, PORT, COUNT = sys.argv[1:]
for _ in range(int(COUNT)):
    try:
        connection = http.client.HTTPConnection(ADDRESS, int(PORT), timeout=5)
        connection.request("GET", "/")
        sys.stdout.write(connection.getresponse().read().decode() + "\n")
        connection.close()
    except OSError as error:
        sys.stdout.write(type(error).__name__ + "\n")
