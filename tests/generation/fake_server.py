"""A server on loopback that speaks OpenAI's language from a script."""

import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server(ThreadingHTTPServer):
    """`script` holds the answers in order: (status, headers, body); body is bytes, a JSON value or a list of events."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.script, self.asked, self.headers, self.paths = [], [], [], []
        self.url = f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, *_):
        """A client that leaves in the middle is no news."""


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        self.server.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.server.headers.append(dict(self.headers))
        self.server.paths.append(self.path)
        status, headers, body = self.server.script.pop(0)
        whole = body if isinstance(body, bytes) else json.dumps(body).encode()
        kind = "text/event-stream" if isinstance(body, list) else "application/json"
        self.send_response(status)
        for name, value in ({"Content-Type": kind} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        for part in events(body) if isinstance(body, list) else [whole]:
            if isinstance(part, float):
                time.sleep(part)
            else:
                self.wfile.write(part)
                self.wfile.flush()

    def log_message(self, *_):
        pass


def events(items):
    """Events as bytes: objects as data lines, text as it is, numbers as pauses."""
    lines = [f"data: {json.dumps(item)}\n\n" if isinstance(item, (dict, int)) else item for item in items]
    return [line.encode() if isinstance(line, str) else line for line in lines]


def said(text, finish=None):
    return {"choices": [{"index": 0, "text": text, "finish_reason": finish}], "usage": None}


def delta(**content):
    finish = content.pop("finish", None)
    return {"choices": [{"index": 0, "delta": content, "finish_reason": finish}]}


COUNTS = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}}
DONE = "data: [DONE]\n\n"
HELLO = [said("Hel"), ": ping\n\n", said("lo 世"), said("界😀", "stop"), COUNTS, DONE]


@contextmanager
def running():
    """A Server that answers while the block runs."""
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=[0.01])
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
