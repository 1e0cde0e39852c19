"""Answers every connection with a name, over HTTP, or HTTPS: serve.py NAME ADDRESS PORT [KEY-AND-CERTIFICATE]."""

import ssl
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

NAME, ADDRESS, PORT, *PEM = sys.argv[1:]


class Handler(BaseHTTPRequestHandler):
    """Says who it is, and lets the client ask again over the same connection."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer."""
        body = NAME.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


class Server(ThreadingHTTPServer):
    """Says nothing of those who hang up."""

    def handle_error(self, *_: object) -> None:
        """Nothing."""


server = Server((ADDRESS, int(PORT)), Handler)
if PEM:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(PEM[0])
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()
