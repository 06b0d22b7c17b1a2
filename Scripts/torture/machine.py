"""Runs the command under test, watches over it, and judges how it ended."""
import array
import os
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

PAGE = os.sysconf("SC_PAGE_SIZE")
HERE = os.path.dirname(os.path.abspath(__file__))
# What no user should ever see, whatever the input.
TRACES = re.compile(
    rb"Fatal error|Stack dump|Program crashed|Thread \d+ crashed|terminate called|Exception raised from|c10::|at::|torch::|/pytorch/|\.swift:\d+:|"
    rb"Assertion|std::|Backtrace|double free|malloc\(|Illegal instruction|Segmentation fault|Traceback|_swift_|libtorch_|CodingKeys")


class Fault(Exception):
    """What must not be. `kind` tells faults of one kind from others, in the summary."""

    def __init__(self, kind, detail=""):
        super().__init__(kind)
        self.kind, self.detail = kind, detail


class Result:
    def __init__(self, arguments, status, out, err, peak, seconds, ended):
        self.arguments, self.out, self.err, self.peak, self.seconds, self.ended = arguments, out, err, peak, seconds, ended
        self.signal = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        self.code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else -1

    @property
    def line(self):
        lines = self.err.decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else ""

    def words(self):
        how = f"signal {self.signal}" if self.signal else f"exit {self.code}"
        return f"{how}, {self.seconds:.1f} s, {self.peak >> 20} MB: weightnorm {' '.join(self.arguments)}"

    def task(self):
        names = [w for w in self.arguments[:2] if w.isalpha()]
        return " ".join(names[:2] if names and names[0] in ("train", "data", "weights") else names[:1]) + (" --resume" if "--resume" in self.arguments else "")

    def judge(self, limit, largest=4096):
        """'ok' or 'refused'; a fault for anything else than success or one line."""
        said = self.err + b"\n" + self.out
        if self.code == 143 and b"SIGTERM: stopped" in self.err:
            return "ok"
        if self.ended == "time":
            raise Fault(f"{self.task()} hangs", self.words())
        if self.ended == "memory" or self.peak > limit:
            raise Fault(f"{self.task()} takes too much memory", self.words())
        if self.signal or self.code > 127:
            first = next((line for line in said.decode("utf-8", "replace").splitlines() if TRACES.search(line.encode())), "")
            raise Fault(f"signal {self.signal or self.code - 128} of {self.task()}: {normal(first)}", self.words() + "\n" + first)
        if found := TRACES.search(said):
            raise Fault(f"backtrace or internals in a message: {found.group().decode()}", self.words() + "\n" + self.line)
        if self.code == 0:
            return "ok"
        lines = self.err.decode("utf-8", "replace").strip().splitlines()
        errors = [line for line in lines if line.startswith("weightnorm: error: ")]
        if not lines:
            raise Fault("fails without a word", self.words())
        if len(errors) != 1 or lines[-1] != errors[0] or len(errors[0]) < 24:
            raise Fault(f"not one line on standard error: {normal(self.line)}", self.words() + "\n" + "\n".join(lines[-5:]))
        if len(errors[0].encode()) > largest:
            raise Fault("a line too long", f"{len(errors[0])} characters: {errors[0][:200]}…; {self.words()}")
        return "refused"


def normal(text):
    """A message without what differs from case to case."""
    text = re.sub(r"(/[^\s:,']+)+", "PATH", text)
    text = re.sub(r"'[^']*'|\[[^\]]*\]", "…", text)
    return re.sub(r"-?\d[\d.,e+]*", "N", text)[:140]


def compiler():
    swift = shutil.which("swift")
    beside = os.path.join(os.path.dirname(os.path.realpath(swift)), "clang") if swift else ""
    for name in (beside, "clang", "cc", "gcc"):
        if name and shutil.which(name):
            return name
    sys.exit("torture: error: expected the clang of the Swift toolchain, or cc, found none")


def build_shim(folder):
    path = os.path.join(folder, "shim.so")
    done = subprocess.run([compiler(), "-O1", "-shared", "-fPIC", "-o", path, os.path.join(HERE, "shim.c"), "-ldl"], capture_output=True)
    if done.returncode:
        sys.exit("torture: error: cannot build the shim: " + done.stderr.decode())
    return path


class Listener:
    """Reads a named pipe beside the command, and leaves what came through it in a file of that name."""

    def __init__(self, path):
        self.path, self.said = path, b""
        if os.path.lexists(path):
            os.unlink(path)
        os.mkfifo(path)
        self.thread = threading.Thread(target=self.listen, daemon=True)
        self.thread.start()

    def listen(self):
        with open(self.path, "rb") as pipe:
            while part := pipe.read(1 << 16):
                self.said = (self.said + part)[-(1 << 20):]

    def finish(self):
        try:
            # Nobody may have opened it.
            os.close(os.open(self.path, os.O_WRONLY | os.O_NONBLOCK))
        except OSError:
            pass
        self.thread.join(10)
        os.unlink(self.path)
        with open(self.path, "wb") as file:
            file.write(self.said)


class Machine:
    """A fork server of the command, for one thread of the driver. `plain` starts every process anew instead."""

    def __init__(self, command, shim, home, plain=False):
        self.command, self.shim, self.plain = command, shim, plain
        self.environment = {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": home, "XDG_CACHE_HOME": home + "/cache", "TMPDIR": home + "/tmp",
            "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive", "LC_ALL": "C", "no_proxy": "127.0.0.1", "LD_PRELOAD": shim,
            # A backtrace takes seconds; the line before it is enough.
            "SWIFT_BACKTRACE": "enable=no"}
        for name in ("LD_LIBRARY_PATH",):
            if name in os.environ:
                self.environment[name] = os.environ[name]
        for folder in ("cache", "tmp"):
            os.makedirs(os.path.join(home, folder), exist_ok=True)
        self.server = None
        self.served = 0

    def start(self):
        self.stop()
        self.socket, theirs = socket.socketpair()
        self.server = subprocess.Popen(
            [self.command], env={**self.environment, "TORTURE_SERVER": str(theirs.fileno())}, pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        theirs.close()
        self.served = 0

    def stop(self):
        if self.server:
            self.socket.close()
            self.server.kill()
            self.server.wait()
            self.server = None

    def receive(self, size, wait):
        data = b""
        while len(data) < size:
            if wait is not None and not select.select([self.socket], [], [], wait)[0]:
                return None
            part = self.socket.recv(size - len(data))
            if not part:
                raise RuntimeError("the fork server ended")
            data += part
        return data

    def run(self, arguments, folder, changes={}, limit=1536 << 20, seconds=60, kill_after=None, files=-1, file_size=-1, during=None, polite=False):
        """Runs the command in a folder until it ends, is killed as asked, or breaks a limit of time or memory (then killed as well).

        `during`: a function that is called once, when `kill_after` seconds have passed, in place of the kill.
        `polite`: what would take longer gets SIGTERM first, to which a run that trains saves and ends.
        """
        out, err = os.path.join(folder, ".out"), os.path.join(folder, ".err")
        if file_size < 0:
            open(err, "wb").close()
        else:
            # A pipe, for what the command says is no file that must not grow.
            heard = Listener(err)
        begin = time.monotonic()
        if self.plain:
            status, peak, ended = self.run_plain(arguments, folder, changes, limit, seconds, kill_after, files, file_size, during, polite, out, err)
        else:
            if self.server is None or self.served > 3000:
                self.start()
            self.served += 1
            texts = [folder, out, err, *arguments, *(f"{k}={v}" if v is not None else k for k, v in changes.items())]
            data = b"".join(t.encode("utf-8", "surrogateescape") + b"\0" for t in texts)
            self.socket.sendall(struct.pack("<6q", len(data), len(arguments), len(changes), file_size, files, 0) + data)
            pid = struct.unpack("<q", self.receive(8, 60) or b"\xff" * 8)[0]
            if pid <= 0:
                raise RuntimeError("the fork server could not fork")
            self.pending = b""

            def over(wait):
                if not select.select([self.socket], [], [], wait)[0]:
                    return None
                return struct.unpack("<3q", self.receive(24, 60))

            answer, ended = self.watch(pid, over, begin, limit, seconds, kill_after, during, polite)
            status, peak = answer[0], answer[1] * 1024
        said = b""
        # A process that was killed at once has not made it.
        if os.path.exists(out):
            with open(out, "rb") as file:
                said = file.read(1 << 16)
        if file_size >= 0:
            heard.finish()
        with open(err, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(0, size - (1 << 20)))
            complaints = file.read()
        return Result(arguments, status, said, complaints, peak, time.monotonic() - begin, ended)

    def run_plain(self, arguments, folder, changes, limit, seconds, kill_after, files, file_size, during, polite, out, err):
        import resource

        def prepare():
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            if files >= 0:
                resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
            if file_size >= 0:
                resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))

        environment = {k: v for k, v in {**self.environment, **changes}.items() if v is not None}
        with open(out, "wb") as output, open(err, "ab") as errors:
            child = subprocess.Popen([self.command, *arguments], cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=errors,
                                     start_new_session=True, preexec_fn=prepare)

        def over(wait):
            end = time.monotonic() + wait
            while True:
                pid, status, usage = os.wait4(child.pid, os.WNOHANG)
                if pid:
                    child.returncode = 0
                    return status, usage.ru_maxrss
                if time.monotonic() > end:
                    return None
                time.sleep(0.005)

        answer, ended = self.watch(child.pid, over, time.monotonic(), limit, seconds, kill_after, during, polite)
        return answer[0], answer[1] * 1024, ended

    def watch(self, pid, over, begin, limit, seconds, kill_after, during, polite):
        ended, wait = "", 0.01
        while True:
            now = time.monotonic() - begin
            left = seconds - now
            if kill_after is not None:
                left = min(left, kill_after - now)
            answer = over(max(0, min(wait, left)))
            if answer is not None:
                self.kill(pid)  # what it may have started
                return answer, ended
            now = time.monotonic() - begin
            if ended:
                continue
            if kill_after is not None and now >= kill_after:
                kill_after = None
                if during:
                    during()
                else:
                    ended = "killed"
                    self.kill(pid)
            elif now >= seconds and polite:
                polite, seconds = False, seconds + 30
                os.kill(pid, signal.SIGTERM)
            elif now >= seconds:
                ended = "time"
                self.kill(pid)
            elif resident(pid) > limit:
                ended = "memory"
                self.kill(pid)
            wait = min(0.05, wait * 2)

    @staticmethod
    def kill(pid):
        try:
            os.killpg(pid, signal.SIGKILL)
        except OSError:
            pass


def resident(pid):
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * PAGE
    except (OSError, IndexError, ValueError):
        return 0
