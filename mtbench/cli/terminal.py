"""A training on a terminal: live progress, and Ctrl-C."""

from __future__ import annotations

import math
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import numpy as np

from ..training import Status, mean


class Terminal:
    """The `Watcher` of a training that a person follows; use it as a context.

    Progress is live on a terminal; elsewhere it is a plain line every `interval` seconds, without escape codes.

    At SIGINT or SIGTERM the running update is finished and saved; at the next SIGINT the process ends at once, with
    status 130. Python runs signal handlers between two steps of the interpreter: not while XLA compiles or an update
    runs. A thread that reads the wake-up socket hears of them at once. Within half a second of the first they are
    taken for its echo: launchers such as `timeout` signal both a process and its group.
    """

    def __init__(self, interval: float = 10.0):
        """Shows nothing yet."""
        self.interval, self._next = interval, 0.0
        self._silent, self._stop = False, False
        self._live: Any = None
        self._in_main = threading.current_thread() is threading.main_thread()  # others cannot set handlers

    def __enter__(self) -> Terminal:
        """Takes the two signals over."""
        if self._in_main:
            self._read, self._write = socket.socketpair()
            self._write.setblocking(False)
            self._old_fd = signal.set_wakeup_fd(self._write.fileno(), warn_on_full_buffer=False)
            self._old = {n: signal.signal(n, self._note) for n in (signal.SIGINT, signal.SIGTERM)}
            self._thread = threading.Thread(target=self._listen, daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leaves the last state on the screen, and gives the signals back."""
        if self._live:
            self._live.stop()
            self._live = None
        if self._in_main:
            for number, handler in self._old.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(self._old_fd)
            self._write.send(b"\0")
            self._thread.join()
            self._read.close()
            self._write.close()

    def stop(self) -> bool:
        """Whether a signal has come."""
        return self._stop

    def say(self, text: str) -> None:
        """Prints a line, above the live display where there is one."""
        if not self._silent:
            try:
                print(text, flush=True)  # rich redirects it while it is live
            except OSError:
                self._silent = True  # a pipe's reader has gone: no reason to stop training

    def update(self, status: Status) -> None:
        """Shows a new state."""
        if self._silent:
            return
        if sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb":
            if not self._live:
                from rich.live import Live

                self._live = Live()
                self._live.start()
            self._live.update(_panel(status))
        elif time.monotonic() >= self._next:
            self._next = time.monotonic() + self.interval
            rates = dict(zip(status.families, map(mean, status.success.T), strict=True))
            self.say(f"{_progress(status)}, {summary(rates)}")

    def _note(self, *_: object) -> None:
        self._stop = True

    def _listen(self) -> None:
        first = 0.0
        while number := self._read.recv(1)[0]:
            if number in self._old and not first:
                first = time.monotonic()
                self.say("stopping: finishing the running update, then saving (Ctrl-C again: at once)")
            elif number == signal.SIGINT and time.monotonic() - first > 0.5:
                if self._live:
                    self._live.console.show_cursor(True)
                os._exit(130)


def summary(success: Mapping[str, float]) -> str:
    """Success of families in a few words."""
    each = ", ".join(f"{name} {_two_digits(rate)}" for name, rate in success.items())
    return f"success {_two_digits(mean([*success.values()]))}" + (f" ({each})" if 1 < len(success) <= 8 else "")


def _progress(status: Status) -> str:
    text = f"{status.env_steps:,}/{status.total_steps:,} steps"
    if status.steps_per_second:
        left = timedelta(seconds=round(status.seconds_left))
        text += f", {status.steps_per_second:,.0f} steps/s, {left} left"
    return text


def _panel(status: Status) -> Any:
    from rich.columns import Columns
    from rich.console import Group
    from rich.padding import Padding
    from rich.progress_bar import ProgressBar
    from rich.text import Text

    cells = []
    for name, column in zip(status.families, status.success.T, strict=True):
        blocks = "█" * round(10 * np.nan_to_num(mean(column)))
        cells.append(Text(f"{name[:16]:16} {blocks:░<10} {_two_digits(mean(column)):4}  "))
    head = Text(f"{_progress(status)}, success {_two_digits(mean(status.success))}", no_wrap=True)
    bar = ProgressBar(total=status.total_steps, completed=status.env_steps)
    return Group(head, Padding(bar, 0), Columns(cells))  # a bar alone does not end its line


def _two_digits(rate: float) -> str:
    return "–" if math.isnan(rate) else f"{rate:.2f}"
