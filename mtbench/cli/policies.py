"""Opening policies for `eval` and `render`: of a run, of an exported folder, or a function's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..env import Env
from ..suite import Suite


@dataclass(frozen=True)
class Opened:
    """Policies, and what they are to be played on."""

    name: str
    """What tables call them."""
    policies: dict[int, Any]
    """By training seed."""
    suite: Suite
    envs: dict[str, Env]
    backend: str
    folder: Path
    """Where results about them go."""
    origin: dict[str, Any]
    """What a scorecard says of where they come from."""


def open_policies(source: str, suite_name: str | None, backend: str | None, step: int | None = None) -> Opened:
    """Opens policies and makes sure that they act on the suite.

    Args:
      source: the folder of a run or of an export, or `module:function`.
      suite_name: the suite to play; by default that of the training, and then with the same digest.
      backend: physics; by default that of the training.
      step: which checkpoint of a run.

    Raises:
      UsageError: no such policy or suite, or they do not fit.
      MtbenchError: a file is damaged or of a newer format.
    """
    from .. import stored, suite
    from ..errors import UsageError
    from ..physics import default_backend
    from ..policy import Sizes, check

    trained: dict[str, Any] = {}
    if stored.is_function(source):
        if suite_name is None:
            raise UsageError(f"{source}: --suite NAME says on which tasks (mtbench tasks lists suites)")
        if step is not None:
            raise UsageError(f"{source} has no step {step}: steps are those of a run")
        name, folder, chosen = source, Path(source.replace(":", ".")), suite.load(suite_name)
    else:
        found = stored.find(source, step)
        name, trained = found.record["algorithm"], found.record.get("training", {})
        # What is installed is not written to.
        folder = Path(source) if found.folder not in stored.installed().values() else Path(source.replace("/", "-"))
        origin = {key: found.record.get(key) for key in ("algorithm", "training", "suite", "code", "files")}
        known = found.suite()
        chosen = suite.load(suite_name) if suite_name else known
        if strange := [arena for arena in chosen.arenas if arena not in known.arenas]:
            raise UsageError(
                f"{source} was trained on {known.name} with {_listed(known.arenas)}, suite {chosen.name} plays "
                f"{_listed(strange)}: choose a suite without, or train on one that has {_listed(strange)}"
            )
        policies = {seed: found.policy(seed) for seed in sorted(found.arrays)}
    backend = backend or trained.get("backend") or default_backend()
    envs = chosen.envs(backend)
    sizes = Sizes.of(next(iter(envs.values())))
    if stored.is_function(source):
        policies = {0: stored.call(source, sizes)}
        origin = {"function": source, "sha256": stored.source_digest(source)}
    elif sizes != found.sizes:
        raise UsageError(f"{source} acts on {found.sizes}, suite {chosen.name} has {sizes}: choose another --suite")
    for policy in policies.values():
        check(policy, sizes, source)
    return Opened(name, policies, chosen, envs, backend, folder, origin)


def _listed(arenas: Sequence[str]) -> str:
    return f"arena{'s' if len(arenas) > 1 else ''} {', '.join(arenas)}"
