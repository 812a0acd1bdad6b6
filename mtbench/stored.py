"""Policies as files: a folder that holds what is needed to act, and nothing that runs when it is read.

    policy.json            format, algorithm, architecture, sizes, suite, training, versions, code, files
    seed-0.safetensors …   the arrays of the policy of each training seed, by their path in its pytree
    suite.toml             what it was trained on; a run has it once, for the policies in its checkpoints

`files` of `policy.json` holds the size and SHA-256 of the others, so that damage is found and named.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from importlib.resources import files as package_files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from . import files, registry
from .errors import MtbenchError, UsageError, unknown_name, why
from .function_policy import FunctionPolicy
from .policy import Policy, Sizes, StoredPolicy

if TYPE_CHECKING:
    from .suite import Suite

FORMAT = 1
RECORD, SUITE = "policy.json", "suite.toml"
MAX_HEADER, MAX_ARRAYS = 1 << 20, 10_000
"""Of a file that a stranger wrote: the reader's time grows with both."""

_ENTRIES = {"format": int, "algorithm": str, "architecture": dict, "sizes": dict, "suite": dict, "files": dict}
_ARRAYS = re.compile(r"seed-(\d{1,9})\.safetensors")


def save_policies(
    folder: Path, policies: Mapping[int, StoredPolicy[Any]], *, algorithm: str, sizes: Sizes, **record: Any
) -> None:
    """Writes policies of one architecture to a folder.

    Args:
      folder: made where it is missing.
      policies: by training seed.
      algorithm: the registered algorithm whose `Policy` they are.
      sizes: of the environment that they were trained in.
      **record: JSON of what else `policy.json` is to say: `suite` (name, version, digest), `training`, `versions`.
    """
    policy = next(iter(policies.values()))
    head = {"format": FORMAT, "algorithm": algorithm, "architecture": policy.architecture, "sizes": sizes._asdict()}
    _write(
        folder,
        {**head, **record, "code": _code_digest(type(policy).__module__)},
        {f"seed-{seed}.safetensors": _to_bytes(policy) for seed, policy in policies.items()},
    )


@dataclass(frozen=True)
class Stored:
    """The policies of a folder, read and verified, but not yet built."""

    folder: Path
    """The export's, or the run's."""
    record: dict[str, Any]
    """Of `policy.json`."""
    arrays: dict[int, bytes]
    """By training seed."""

    @property
    def sizes(self) -> Sizes:
        """Of the environment that they were trained in."""
        return Sizes(**self.record["sizes"])

    def suite(self) -> Suite:
        """What they were trained on.

        Raises:
          MtbenchError: the folder's suite file has another digest.
        """
        from . import suite

        found, name, digest = suite.read(self.folder / SUITE), *map(self.record["suite"].get, ("name", "digest"))
        if found.digest != digest:
            raise MtbenchError(
                f"{self.folder} was trained on {name} with digest {digest}, its {SUITE} has {found.digest}: put the "
                "suite's file of that training there, or train again"
            )
        return found

    def policy(self, seed: int) -> Policy[Any]:
        """The policy of one training seed.

        Raises:
          UsageError: no such seed.
          MtbenchError: the arrays are not those of the architecture, or not finite; names the first that is wrong.
        """
        if seed not in self.arrays:
            raise UsageError(f"{self.folder} has no policy of seed {seed}, but of {sorted(self.arrays)}")
        name = self.record["algorithm"]
        algorithm = registry.algorithm(name)
        try:
            blank = jax.eval_shape(lambda: algorithm.Policy.blank(self.sizes, **self.record["architecture"]))
        except Exception as error:  # whatever an algorithm's own code says to an architecture that it did not write
            raise MtbenchError(f"{self.folder / RECORD}: no architecture of {name}: {why(error)}") from error
        where = f"{self.folder}, seed {seed}"
        found, expected = _from_bytes(where, self.arrays[seed]), _named(blank)
        for name in [*expected, *found]:
            here, there = (_shape(arrays.get(name)) for arrays in (expected, found))
            if here != there:
                raise MtbenchError(f"{where}: array {name} is {there}, expected {here}: export it again")
            if not np.isfinite(found[name]).all():
                raise MtbenchError(f"{where}: array {name} is not finite: the training went wrong, train again")
        return jax.tree.unflatten(jax.tree.structure(blank), [jnp.array(found[name]) for name in expected])

    def export(self, folder: Path, seeds: Sequence[int] | None = None) -> list[str]:
        """Writes the policies of some seeds, by default of all, and their suite to a folder; the files' names.

        Raises:
          UsageError: no such seed.
          MtbenchError: a policy or its suite is damaged.
        """
        chosen = sorted(self.arrays) if seeds is None else seeds
        for seed in chosen:
            self.policy(seed)
        contents = {f"seed-{seed}.safetensors": self.arrays[seed] for seed in chosen}
        from .suite import to_toml

        _write(folder, self.record, contents | {SUITE: to_toml(self.suite()).encode()})
        for other in folder.glob("seed-*.safetensors"):  # of an export that this one replaces
            if other.name not in contents:
                other.unlink()
        return [RECORD, SUITE, *contents]


@cache
def installed() -> dict[str, Path]:
    """Folders of exported policies by name, e.g. `best/STARTER`: those of the packages that entry points of the group
    `mtbench.policies` name."""
    found = {}
    for point in entry_points(group="mtbench.policies"):
        package = Path(str(package_files(point.value)))
        for record in sorted(package.rglob(RECORD)):
            found[f"{point.name}/{record.parent.relative_to(package).as_posix()}"] = record.parent
    return found


def find(source: str | Path, step: int | None = None) -> Stored:
    """The policies of an exported folder, or of a run's checkpoint.

    Args:
      source: the folder, or the name of a policy that is installed.
      step: which checkpoint of a run, in environment steps; the newest by default.

    Raises:
      UsageError: there is neither, or no such step.
      MtbenchError: a file is missing, damaged, or of a newer format; names it.
    """
    from .training import checkpoint_folder, read_run

    folder = Path(source)
    if not folder.exists() and str(source).partition("/")[0] in {name.partition("/")[0] for name in installed()}:
        if str(source) not in installed():
            raise unknown_name("installed policy", str(source), installed())
        folder = installed()[str(source)]
    if (folder / RECORD).exists():
        if step is not None:
            raise UsageError(f"{folder} is an exported policy and has no step {step}: steps are those of a run")
        return _read(folder, folder)
    run = read_run(folder)
    found = _read(folder, checkpoint_folder(folder, step) / "policy")
    # The run says what was trained on: a folder put together from several runs is found out.
    found.record["suite"] = {**found.record["suite"], "name": run.get("suite"), "digest": run.get("digest")}
    return found


def load_policy(source: str | Path, *, seed: int | None = None, step: int | None = None) -> Policy[Any]:
    """A policy to act with: `policy.act(key, carry, seen)`, see `mtbench.policy.Policy`.

    Args:
      source: a folder of `mtbench export`, the folder of a run, or `module:function`, called without arguments.
      seed: of which training; by default the first.
      step: which checkpoint of a run, in environment steps; the newest by default.

    Raises:
      UsageError: there is no such policy.
      MtbenchError: its files are damaged or of a newer format.
    """
    if is_function(source):
        return call(str(source))
    found = find(source, step)
    return found.policy(min(found.arrays) if seed is None else seed)


def is_function(source: str | Path) -> bool:
    """Whether a source is a `module:function`."""
    return ":" in str(source) and not Path(source).exists()


def call(source: str, sizes: Sizes | None = None) -> Any:
    """The policy that `module:function` returns, or that it is; the module may lie in the working folder.

    Args:
      source: names a function without arguments, which returns a policy, or one that acts (`FunctionPolicy`).
      sizes: of the environment; a function that acts needs them.

    Raises:
      UsageError: no such module or function, or sizes are missing.
    """
    module_name, _, name = source.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        module = importlib.import_module(module_name)
    except (ImportError, ValueError) as error:
        raise UsageError(f"{source}: cannot import {module_name or 'nothing'}: {why(error)}") from error
    function = getattr(module, name, None)
    if not callable(function):
        known = [n for n, value in vars(module).items() if callable(value) and not n.startswith("_")]
        raise unknown_name(f"function of {module_name}", name, known)
    if inspect.isclass(function) or not _needs_arguments(function):
        return function()
    if sizes is None:
        raise UsageError(f"{source} takes arguments: name a function without, which returns a policy")
    return FunctionPolicy(function, sizes.action)


def _needs_arguments(function: Any) -> bool:
    parameters = inspect.signature(function).parameters.values()
    return any(p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)


def source_digest(source: str) -> str | None:
    """Fingerprint of the file that a `module:function` is in; `None` where there is none."""
    file = getattr(sys.modules.get(source.partition(":")[0]), "__file__", None)
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()[:16] if file else None


def _write(folder: Path, record: Mapping[str, Any], contents: Mapping[str, bytes]) -> None:
    """`policy.json` goes last: it tells of files that are there."""
    for name, content in contents.items():
        files.write(folder / name, content)
    listed = {name: _described(content) for name, content in contents.items()}
    files.write(folder / RECORD, json.dumps({**record, "files": listed}, indent=2, allow_nan=False) + "\n")


def _read(owner: Path, folder: Path) -> Stored:
    path = folder / RECORD
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise MtbenchError(f"{path} cannot be read: {why(error)}: export it again") from error
    form = record.get("format") if isinstance(record, dict) else None
    if isinstance(form, int) and form > FORMAT:
        raise MtbenchError(f"{path} has format {form}, this version of mtbench reads {FORMAT}: install a newer one")
    for entry, kind in _ENTRIES.items():
        if form != FORMAT or not isinstance(record.get(entry), kind):
            raise MtbenchError(f"{path}: {entry} is no {kind.__name__} of format {FORMAT}: export it again")
    try:
        Sizes(**record["sizes"])
    except TypeError as error:
        raise MtbenchError(f"{path}: sizes: {why(error)}: export it again") from error
    arrays = {}
    for name, described in record["files"].items():
        seed = _ARRAYS.fullmatch(name)
        if not seed and name != SUITE:
            raise MtbenchError(f"{path}: files has '{name[:40]}', expected seed-<n>.safetensors and {SUITE}")
        try:
            content = (folder / name).read_bytes()
        except OSError as error:
            raise MtbenchError(f"{folder / name}: {why(error)}: export it again") from error
        if described != _described(content):
            raise MtbenchError(f"{folder / name} has been changed or cut short: export it again")
        if seed:
            arrays[int(seed[1])] = content
    if not arrays:
        raise MtbenchError(f"{path}: files lists no seed-<n>.safetensors: export it again")
    return Stored(owner, record, arrays)


def _described(content: bytes) -> dict[str, Any]:
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _code_digest(module: str) -> dict[str, str]:
    """Fingerprint of the package that a policy's class is in."""
    package = importlib.import_module(module.rpartition(".")[0] or module)
    total = hashlib.sha256()
    root = Path(str(package.__file__)).parent
    for path in sorted(root.rglob("*.py")):
        total.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return {package.__name__: total.hexdigest()[:16]}


def _named(tree: Any) -> dict[str, Any]:
    """The leaves by their path, e.g. `params/MLP_0/Dense_0/kernel`."""
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


def _shape(array: Any) -> str:
    return "absent" if array is None else f"{array.dtype}{list(array.shape)}"


def _to_bytes(policy: Any) -> bytes:
    import safetensors.numpy

    return safetensors.numpy.save({name: np.array(leaf, order="C") for name, leaf in _named(policy).items()})


def _from_bytes(where: str, content: bytes) -> dict[str, np.ndarray]:
    import safetensors.numpy

    length = int.from_bytes(content[:8], "little")
    if length > MAX_HEADER or content[: 8 + length].count(b'"dtype"') > MAX_ARRAYS:
        raise MtbenchError(f"{where}: a header of over {MAX_HEADER:,} bytes or {MAX_ARRAYS:,} arrays is not read")
    try:
        return safetensors.numpy.load(content)
    except (safetensors.SafetensorError, KeyError, ValueError) as error:
        raise MtbenchError(f"{where}: no arrays in safetensors' format: {why(error)}") from error
