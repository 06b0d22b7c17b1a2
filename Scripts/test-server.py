"""A web server with the faults of real ones, for tests: python3 Scripts/test-server.py FOLDER

Serves the folder's files on a free port of 127.0.0.1, which it prints. The first part of a path says how: /breaks/name. What counts tries
does so for each path, so a second part that is no file, as in /breaks/anything/name, gives a test a count of its own. /log gives the
requests so far, one a line. The server ends when its standard input does.
"""
import gzip
import hashlib
import os
import socket
import struct
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

folder = sys.argv[1]
lock = threading.Lock()
counts = {}
log = []


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        if self.path == "/log":
            return self.answer(200, "\n".join(log).encode())
        way, name = self.path.split("/")[1], os.path.basename(self.path)
        with lock:
            count = counts[self.path] = counts.get(self.path, 0) + 1
            log.append(f"{self.path} {self.headers.get('Range', '-')} {self.headers.get('If-Range', '-')}")
        try:
            with open(os.path.join(folder, name), "rb") as file:
                body = file.read()
        except OSError:
            return self.answer(404, b"no such file")
        if way == "missing":
            return self.answer(404, b"no such file")
        if way == "down" or way == "busy" and count <= 2:
            return self.answer(503, b"later")
        if way == "moved":
            return self.answer(302, b"", {"Location": "/good/" + name})
        if way == "page":
            return self.answer(200, b"<html>Please log in</html>")
        if way == "encoded":
            return self.answer(200, gzip.compress(body), {"Content-Encoding": "gzip"})
        if way == "wrong" or way == "changes" and count == 1:
            body = body[: len(body) // 3] + bytes([body[len(body) // 3] ^ 1]) + body[len(body) // 3 + 1 :]
        if way == "short":
            body = body[:-1]
        if way == "endless":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            try:
                while True:
                    self.wfile.write(b"10000\r\n" + bytes(65536) + b"\r\n")
                    # As fast as a network, not as memory: the client's URLSession takes all that comes and hands it on later.
                    time.sleep(0.001)
            except OSError:
                return
        tag = '"%s"' % hashlib.md5(body).hexdigest()
        headers = {} if way == "anonymous" else {"ETag": tag}
        if way == "dated":
            headers = {"ETag": 'W/"1"', "Last-Modified": "Mon, 05 Jan 2026 00:00:00 GMT"}
        start, status = 0, 200
        asked = self.headers.get("Range")
        if asked and way != "ignores" and self.headers.get("If-Range") in (None, *headers.values()):
            start, status = int(asked[len("bytes=") :].rstrip("-")), 206
            if start >= len(body):
                return self.answer(416, b"", {"Content-Range": f"bytes */{len(body)}"})
            told = start + 1 if way == "nonsense" else start
            headers["Content-Range"] = f"bytes {told}-{len(body) - 1}/{len(body)}"
        rest = body[start:]
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        part = rest
        if way in ("breaks", "anonymous", "dated"):
            # A third of what is left, so that it is done after a number of tries; the last bytes come whole.
            part = rest[: len(rest) // 3] if len(rest) > 3000 else rest
        if way in ("changes", "ignores", "nonsense", "quits", "stalls") and count == 1:
            part = rest[: len(rest) // 2]
        if way in ("never", "resets") or way == "quits" and count in (2, 3):
            part = rest[:0]
        try:
            for place in range(0, len(part), 1 << 16):
                self.wfile.write(part[place : place + (1 << 16)])
                if way == "slow":
                    time.sleep(0.02)
            self.wfile.flush()
            if way == "stalls" and count == 1:
                time.sleep(20)
        except OSError:
            return
        if len(part) < len(rest):
            if way == "resets":
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True

    def answer(self, status, body, headers={}):
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
print(server.server_address[1], flush=True)


def end_with_parent():
    """Its standard input is the test's: at its end the test is over, however it ended."""
    sys.stdin.buffer.read()
    os._exit(0)


threading.Thread(target=end_with_parent, daemon=True).start()
server.serve_forever()
