"""The service under attack, as a process, and what the system knows of it."""

import os
import pathlib
import re
import signal
import subprocess
import time
import urllib.request
from collections import namedtuple

from honest import SECRET

CONFIG = f"""
[server]
listen = "127.0.0.1:0"
admin_listen = "127.0.0.1:0"

[sources.bitbucket]
kind = "bitbucket-cloud"
secret = "{SECRET}"

[channels.screen]
kind = "console"

[[routes]]
name = "everything"
event = "@all"
to = "screen"
"""

# Memory and peak are in MB, cpu in seconds, lines are those of the log.
State = namedtuple("State", "memory peak cpu lines")


class Service:
    """A running hookbell, with a directory of its own. Its limit of open files is the one this program was given."""

    def __init__(self, binary, home):
        home = pathlib.Path(home)
        home.mkdir()
        config = home / "config.toml"
        config.touch(mode=0o600)
        config.write_text(CONFIG)
        self.log = home / "log"
        environment = {key: value for key, value in os.environ.items() if not key.startswith("HOOKBELL")}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [os.path.abspath(binary)], cwd=home, env={**environment, "NO_COLOR": "1"},
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log)
        self.proc = pathlib.Path(f"/proc/{self.process.pid}")
        self.port = self._port()
        if self.recovers(30) is None:
            self.stop()
            raise SystemExit("the service does not answer")

    def _port(self):
        """Where it listens, as it says itself."""
        for _ in range(300):
            if found := re.search(rb"http://127\.0\.0\.1:(\d+)/hooks/", self.log.read_bytes()):
                return int(found[1])
            if not self.is_running():
                break
            time.sleep(0.1)
        self.stop()
        raise SystemExit("the service did not start:\n" + self.last_words())

    def is_running(self):
        return self.process.poll() is None

    def recovers(self, patience):
        """How many seconds it takes until /healthz answers three times in a row, each within a second; or None."""
        began, in_a_row = time.monotonic(), 0
        while in_a_row < 3 and time.monotonic() - began < patience:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=1):
                    in_a_row += 1
            except OSError:
                in_a_row = 0
                time.sleep(0.1)
        return time.monotonic() - began if in_a_row == 3 else None

    def forget_peak(self):
        """Has the system count the peak of memory anew."""
        if self.is_running():
            (self.proc / "clear_refs").write_text("5")

    def memory(self):
        """What it takes now and what it took at most, in MB."""
        try:
            status = (self.proc / "status").read_text()
            return tuple(int(re.search(rf"{key}:\s*(\d+) kB", status)[1]) / 1024 for key in ("VmRSS", "VmHWM"))
        except (OSError, TypeError):
            return 0, 0  # It has ended.

    def open_files(self):
        try:
            return len(os.listdir(self.proc / "fd"))
        except OSError:
            return 0

    def state(self):
        try:
            # The fields behind the name, which stands in parentheses; the 14th and 15th of all are the times.
            fields = (self.proc / "stat").read_text().rpartition(")")[2].split()
            cpu = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        except OSError:
            cpu = 0
        with self.log.open("rb") as log:
            lines = sum(piece.count(b"\n") for piece in iter(lambda: log.read(1 << 20), b""))
        return State(*self.memory(), cpu, lines)

    def last_words(self):
        return self.log.read_bytes()[-2000:].decode(errors="replace")

    def stop(self):
        for ask in (signal.SIGTERM, signal.SIGKILL):
            self.process.send_signal(ask)
            try:
                self.process.wait(20)
                return
            except subprocess.TimeoutExpired:
                pass
