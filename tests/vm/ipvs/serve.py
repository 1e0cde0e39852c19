"""Answers every connection with a name: serve.py NAME ADDRESS PORT, over HTTP."""

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

NAME, ADDRESS, PORT = sys.argv[1:]


class Handler(BaseHTTPRequestHandler):
    """Says who it is."""

    def do_GET(self) -> None:
        """Answer."""
        body = NAME.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


ThreadingHTTPServer((ADDRESS, int(PORT)), Handler).serve_forever()
