"""Servers that mean harm, on the loopback: memory stays bounded, every fetch comes to an end, with one line."""
import os
import random as randoms
import socket
import struct
import threading
import time

from inputs import gz, idx_labels
from machine import Fault

CHUNK = bytes(65536)


def hostile(random):
    """A way to answer: gives a name and a function of the connection, the request and the number of the connection."""
    length = random.choice(["-1", "0", "1", "9223372036854775807", "9223372036854775808", "18446744073709551616", "99999999999999999999999", "abc", "", "1e9", "0x10", "+5", " 5 ",
                            "5, 6", "5\r\nContent-Length: 6", "4000000000", "48000000", "49000000", "00000000000000000005"])
    status = random.choice(["200 OK", "206 Partial Content", "416 Range Not Satisfiable", "204 No Content", "304 Not Modified", "100 Continue", "999 Odd", "0 None", "-1", "", "200",
                            "500 Broken", "401 Unauthorized", "407 Proxy", "300 Choices", "418 Tea", "2000 Many"])
    ranges = random.choice(["bytes 0-9/10", "bytes 5-3/10", "bytes 0-9223372036854775807/9223372036854775807", "bytes -1-5/3", "bytes */*", "bytes x-y/z", "pages 1-2/3", "",
                            "bytes 99999999999999999999-1/2", "bytes 1000-1999/2000"])
    body = random.choice([b"", b"\x1f\x8b", gz(idx_labels(60)), random.randbytes(1000), bytes(100_000), gz(bytes(20 << 20))])
    tag = random.choice(["", 'ETag: "tag"\r\n', 'ETag: "' + "x" * 100_000 + '"\r\n', "ETag: W/\"\"\r\n", "Last-Modified: never\r\n", 'ETag: "a\x01b"\r\n'])

    def plain(c, request, n):
        c.sendall(f"HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{tag}\r\n".encode() + body)

    def ranged(c, request, n):
        c.sendall(f"HTTP/1.1 206 Partial Content\r\nContent-Range: {ranges}\r\nContent-Length: {len(body)}\r\n{tag}\r\n".encode() + body)

    def part(c, request, n):
        # What was promised does not come; at the second time it is asked for the rest.
        if b"\r\nRange:" in request or b"\r\nrange:" in request:
            return random.choice([plain, ranged])(c, request, n)
        c.sendall(b"HTTP/1.1 200 OK\r\nETag: \"tag\"\r\nContent-Length: 100000\r\n\r\n" + bytes(50_000))

    def endless(c, request, n):
        way = random.randrange(4)
        head = [f"Content-Length: {length}\r\n", "Transfer-Encoding: chunked\r\n", "", "Content-Length: 9223372036854775807\r\n"][way]
        c.sendall(f"HTTP/1.1 200 OK\r\n{head}{tag}\r\n".encode())
        end = time.monotonic() + 60
        while time.monotonic() < end:
            c.sendall(b"10000\r\n" + CHUNK + b"\r\n" if way == 1 else CHUNK)

    def chunks(c, request, n):
        size = random.choice([b"ffffffffffffffff", b"-1", b"zz", b"7fffffffffffffff", b"", b"5;" + b"x" * 100_000, b"0", b"80000000", b"ffffffffffffffffffffffff"])
        c.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + size + b"\r\n" + body + b"\r\n" * random.choice([0, 1, 3]))

    def headers(c, request, n):
        c.sendall(b"HTTP/1.1 200 OK\r\n")
        end = time.monotonic() + 20
        while time.monotonic() < end:
            c.sendall(b"X-Long: " + b"a" * 60_000 + random.choice([b"\r\n", b""]))

    def interim(c, request, n):
        for _ in range(20_000):
            c.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 10)

    def drip(c, request, n):
        pause = random.choice([0.05, 0.5, 1])
        for byte in f"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n{tag}\r\n".encode() if random.random() < 0.3 else b"":
            c.sendall(bytes([byte]))
            time.sleep(0.05)
        c.sendall(b"" if random.random() < 0.1 else f"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n{tag}\r\n".encode())
        while True:
            c.sendall(b"\x1f")
            time.sleep(pause)

    def single(c, request, n):
        # One byte a connection, so that each try brings the file further.
        c.sendall(b"HTTP/1.1 206 Partial Content\r\nETag: \"tag\"\r\nContent-Range: bytes %d-8999999/9000000\r\nContent-Length: %d\r\n\r\n\x1f" % (n, 9_000_000 - n)
                  if n else b"HTTP/1.1 200 OK\r\nETag: \"tag\"\r\nContent-Length: 9000000\r\n\r\n\x1f")

    def garbage(c, request, n):
        c.sendall(random.choice([b"", b"\0" * 1000, random.randbytes(10_000), b"HTTP/9.9 200 OK\r\n\r\n", b"HTTP/1.1\r\n\r\n", b"220 ftp\r\n", b"<html>", b"\r\n" * 5000, b"HTTP/1.1 200 OK\n\nbody",
                                 b"HTTP/1.1 200 OK\r\nContent-Length", b"HTTP/2 200\r\n\r\n"]))

    def reset(c, request, n):
        c.sendall(random.choice([b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc"]))
        c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def redirect(c, request, n):
        port = c.getsockname()[1]
        where = random.choice([f"http://127.0.0.1:{port}/{n}", "/", "file:///etc/passwd", "ftp://127.0.0.1/", "http://127.0.0.1:1/", f"https://127.0.0.1:{port}/", "", "http://", "javascript:0",
                               "//[::1", "http://127.0.0.1:99999/", "/" + "x" * 100_000, "http://user:pass@127.0.0.1:%d/" % port, "data:,x", "gopher://127.0.0.1/"])
        code = random.choice([301, 302, 303, 307, 308])
        c.sendall(f"HTTP/1.1 {code} Moved\r\nLocation: {where}\r\nContent-Length: 0\r\n\r\n".encode())

    def encoded(c, request, n):
        packed = random.choice([gz(bytes(200 << 20)), b"\x1f\x8bxx", gz(gz(bytes(1 << 20)))]) if n == 0 else b""
        c.sendall(f"HTTP/1.1 200 OK\r\nContent-Encoding: {random.choice(['gzip', 'deflate', 'br', 'x'])}\r\nContent-Length: {len(packed)}\r\n\r\n".encode() + packed)

    def silent(c, request, n):
        time.sleep(150)

    ways = [(plain, 22), (ranged, 10), (part, 12), (endless, 12), (chunks, 8), (headers, 4), (interim, 3), (garbage, 10), (reset, 6), (redirect, 10), (encoded, 4)]
    # These take minutes, each, so that a short run has none.
    if random.number % 16 == 15:
        ways = [(drip, 2), (single, 2), (silent, 1)]
    way = random.choices([w for w, _ in ways], [n for _, n in ways])[0]
    detail = {"plain": f"{status}, length {length}", "ranged": ranges, "endless": length}.get(way.__name__, "")
    return f"{way.__name__} {detail}".strip(), way


class Server:
    """Answers every connection in a thread of its own, on a free port of the loopback."""

    def __init__(self, way):
        self.way, self.count, self.open = way, 0, True
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.address = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.connections = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while self.open:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            number, self.count = self.count, self.count + 1
            self.connections.append(connection)
            threading.Thread(target=self.answer, args=(connection, number), daemon=True).start()

    def answer(self, connection, number):
        try:
            connection.settimeout(60)
            request = b""
            while b"\r\n\r\n" not in request:
                part = connection.recv(65536)
                if not part:
                    return
                request += part
            self.way(connection, request, number)
        except OSError:
            pass
        finally:
            connection.close()

    def close(self):
        self.open = False
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        for connection in self.connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def servers(world, machine, random, case):
    name, way = hostile(random)
    server = Server(way)
    base = world.fetch_peak(machine)
    try:
        address = server.address + random.choice(["", "/", "/x", "/a b", "/%00", "//"]) if random.random() < 0.2 else server.address
        words = ["data", "fetch", "mnist", "--from", address, "--to", "to"]
        result = machine.run(words, case, limit=base + (100 << 20), seconds=world.patience)
        try:
            outcome = result.judge(base + (100 << 20))
            if outcome == "ok" or os.path.exists(f"{case}/to/mnist"):
                raise Fault("wrong bytes are taken for a data set", result.words())
            return outcome
        except Fault as fault:
            fault.kind = f"{fault.kind.rstrip(': ')}: the server's way is '{name.split()[0]}'"
            fault.detail = f"server: {name}, {server.count} connections; {fault.detail}"
            raise
    finally:
        server.close()
