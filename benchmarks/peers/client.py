"""Asks Meta-World's scripted policies for actions, from a process with another MuJoCo than theirs.

    with ExpertServer(".venv-peers/bin/python", ["reach", "push"]) as server:
        actions = server.actions(observations)

Needs numpy alone. The protocol is described in metaworld_experts.py.
"""

from __future__ import annotations

import json
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np

OBSERVATION = 39
ACTION = 4
FRAME = struct.Struct("<I")
SERVER = Path(__file__).with_name("metaworld_experts.py")


class ExpertServer:
    """A process that holds one of Meta-World's policies per lane; entered, it runs, and left, it ends.

    Attributes:
      versions: of the peers' packages, by name; known once entered.
    """

    def __init__(self, interpreter: str | Path, families: Sequence[str]) -> None:
        """Starts nothing yet.

        Args:
          interpreter: Python of the environment that requirements.txt sets up.
          families: name of each lane's family, as "pick-place".
        """
        self.interpreter = str(interpreter)
        self.families = list(families)
        self.versions: dict[str, str] = {}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Starts the process and waits until its policies stand."""
        command = [self.interpreter, "-W", "ignore", str(SERVER)]
        try:
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        except OSError as error:
            raise RuntimeError(f"cannot start {self.interpreter}: {error.strerror}; {_SETUP}") from error
        try:
            self._write(json.dumps(self.families).encode() + b"\n")
            greeting: dict[str, Any] = json.loads(self._pipes()[1].readline() or "{}")
            if greeting.get("lanes") != len(self.families):
                raise RuntimeError(f"no experts: {greeting.get('error', 'the server ended')}; {_SETUP}")
        except BaseException:
            self._stop()
            raise
        self.versions = greeting["versions"]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the process."""
        self._stop()

    def actions(self, observations: np.ndarray) -> np.ndarray:
        """Asks every lane's policy once.

        Args:
          observations: [lanes, 39] in Meta-World's layout, with the goal shown.

        Returns:
          float64 [lanes, 4], as the policies give them: they may exceed [-1, 1], and environments clip.
        """
        expected = (len(self.families), OBSERVATION)
        if np.shape(observations) != expected:
            raise ValueError(f"observations of shape {np.shape(observations)}: expected {expected}")
        sent = np.ascontiguousarray(observations, "<f8").tobytes()
        self._write(FRAME.pack(len(sent)) + sent)
        (size,) = FRAME.unpack(self._read(FRAME.size))
        return np.frombuffer(self._read(size), "<f8").reshape(len(self.families), ACTION).astype(np.float64)

    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise RuntimeError("the expert server is not running: use it in a `with` statement")
        return process.stdin, process.stdout

    def _write(self, message: bytes) -> None:
        sink, _ = self._pipes()
        try:
            sink.write(message)
            sink.flush()
        except BrokenPipeError as error:
            raise RuntimeError(f"the expert server ended: its error is printed above; {_SETUP}") from error

    def _read(self, size: int) -> bytes:
        _, source = self._pipes()
        message = source.read(size)
        if len(message) < size:
            raise RuntimeError("the expert server ended before it answered: its error is printed above")
        return message

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        try:
            # Closes the input, which ends the server's loop.
            process.communicate(timeout=10.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


_SETUP = "the interpreter's environment must hold benchmarks/peers/requirements.txt"
