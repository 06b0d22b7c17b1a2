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
        if way in ("endless", "unframed", "padded", "huge", "negative", "garbage", "loop", "bomb", "chained", "zstd", "drip", "trickle"):
            try:
                self.close_connection = True
                return getattr(self, way)(body)
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

    # -- Servers that are broken or hostile

    def start(self, **headers):
        self.send_response(200)
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()

    def endless(self, body):
        """A body in chunks without end, as fast as it is taken."""
        self.start(Transfer_Encoding="chunked")
        while True:
            self.wfile.write(b"10000\r\n" + bytes(65536) + b"\r\n")

    def unframed(self, body):
        """A body that ends with the connection, which does not end."""
        self.start(Connection="close")
        while True:
            self.wfile.write(bytes(65536))

    def padded(self, body):
        """A header without end."""
        self.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            self.wfile.write(b"X-Padding: " + b"x" * 1000 + b"\r\n")

    def huge(self, body):
        """The largest length that there is."""
        self.start(Content_Length=str(2**63 - 1), ETag='"huge"')
        self.wfile.write(body[: len(body) // 2])

    def negative(self, body):
        """Lengths that make no sense."""
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\nContent-Range: bytes 9-3/x\r\n\r\n" + body)

    def garbage(self, body):
        """No HTTP at all."""
        self.wfile.write(bytes(range(256)) * 1000)

    def loop(self, body):
        """A redirection to itself."""
        self.answer(302, b"", {"Location": self.path})

    def bomb(self, body):
        """A small body that unpacks to a gigabyte."""
        packed = gzip.compress(bytes(1 << 20))
        self.start(Content_Encoding="gzip", Connection="close")
        for _ in range(1024):
            self.wfile.write(packed)

    def chained(self, body):
        """Encodings in each other, whose decoders would each take their memory."""
        self.start(Content_Encoding="gzip, gzip", Connection="close")
        self.wfile.write(gzip.compress(gzip.compress(body)))

    def zstd(self, body):
        """An encoding whose window may be of 128 MiB."""
        self.start(Content_Encoding="zstd", Connection="close")
        self.wfile.write(body)

    def drip(self, body):
        """A byte every tenth of a second."""
        self.start(Content_Length=str(len(body)), ETag='"drip"')
        for place in range(len(body)):
            self.wfile.write(body[place : place + 1])
            time.sleep(0.1)

    def trickle(self, body):
        """A new byte on every connection."""
        start = int(self.headers.get("Range", "bytes=0-")[len("bytes=") :].rstrip("-"))
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(body) - start))
        self.send_header("ETag", '"trickle"')
        self.end_headers()
        self.wfile.write(body[start : start + 1])

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
