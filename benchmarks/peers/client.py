"""Talks to Meta-World, its scripted policies or its environments, in a process with another MuJoCo than ours.

    with ExpertServer(".venv-peers/bin/python", ["reach", "push"]) as server:
        actions = server.actions(observations)

    with HomeServer(".venv-peers/bin/python", ["reach", "push"], seed=0) as home:
        observations = home.reset()
        observations, success = home.step(actions)

Needs numpy alone. frames.py describes how they talk.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
from frames import FRAME

OBSERVATION = 39
ACTION = 4


class Peer:
    """A process of the peers' environment that serves some lanes; entered, it runs, and left, it ends.

    Attributes:
      versions: of the peers' packages, by name; known once entered.
    """

    script: str

    def __init__(self, interpreter: str | Path, families: Sequence[str], **request: Any) -> None:
        """Starts nothing yet.

        Args:
          interpreter: Python of the environment that requirements.txt sets up.
          families: name of each lane's family, as "pick-place".
          request: what else the script is told.
        """
        self.interpreter = str(interpreter)
        self.families = list(families)
        self.request = {"families": self.families, **request}
        self.versions: dict[str, str] = {}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Starts the process and waits until its lanes stand."""
        command = [self.interpreter, "-W", "ignore", str(Path(__file__).with_name(self.script))]
        try:
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        except OSError as error:
            raise RuntimeError(f"cannot start {self.interpreter}: {error.strerror}; {_SETUP}") from error
        try:
            self._write(json.dumps(self.request).encode() + b"\n")
            greeting: dict[str, Any] = json.loads(self._pipes()[1].readline() or "{}")
            if greeting.get("lanes") != len(self.families):
                raise RuntimeError(f"{self.script}: {greeting.get('error', 'the server ended')}; {_SETUP}")
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

    def ask(self, message: np.ndarray | None, width: int) -> np.ndarray:
        """Sends a frame and returns the answer, float64 [lanes, width]."""
        sent = b"" if message is None else np.ascontiguousarray(message, "<f8").tobytes()
        self._write(FRAME.pack(len(sent)) + sent)
        (size,) = FRAME.unpack(self._read(FRAME.size))
        return np.frombuffer(self._read(size), "<f8").reshape(len(self.families), width).astype(np.float64)

    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise RuntimeError("the process is not running: use it in a `with` statement")
        return process.stdin, process.stdout

    def _write(self, message: bytes) -> None:
        sink, _ = self._pipes()
        try:
            sink.write(message)
            sink.flush()
        except BrokenPipeError as error:
            raise RuntimeError(f"the process ended: its error is printed above; {_SETUP}") from error

    def _read(self, size: int) -> bytes:
        _, source = self._pipes()
        message = source.read(size)
        if len(message) < size:
            raise RuntimeError("the process ended before it answered: its error is printed above")
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


class ExpertServer(Peer):
    """Meta-World's policies, one per lane."""

    script = "metaworld_experts.py"

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
        return self.ask(observations, ACTION)


class HomeServer(Peer):
    """Meta-World's environments, one per lane, each with the goals of its MT1 in their order."""

    script = "metaworld_envs.py"

    def reset(self) -> np.ndarray:
        """Begins an episode of the next goal in every lane; the observations [lanes, 39], goals shown."""
        return self.ask(None, OBSERVATION + 1)[:, :-1]

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """One step of every lane with actions [lanes, 4], clipped to [-1, 1]: observations, and success now."""
        answer = self.ask(np.clip(actions, -1.0, 1.0), OBSERVATION + 1)
        return answer[:, :-1], answer[:, -1] > 0


_SETUP = "the interpreter's environment must hold benchmarks/peers/requirements.txt"
