"""A policy is a file: what is read acts as what was written, and what is wrong with a file is told in one line."""

from __future__ import annotations

import hashlib
import json

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from mtbench import files, stored, suite
from mtbench.baselines.mt_ppo import MTPPO
from mtbench.errors import MtbenchError, UsageError
from mtbench.policy import PolicyInput, Sizes, check

SIZES = Sizes(observation=5, context=3, action=2)
BIAS = "params/params/MLP_0/Dense_0/bias"
ARCHITECTURES = {
    "heads and layouts": {
        "network": "multi-head",
        "network_options": {},
        "layouts": [0, 0, 1],
        "activation": "tanh",
        "deterministic": True,
    },
    "two experts, samples": {
        "network": "moore",
        "network_options": {"experts": 2},
        "layouts": [0, 0, 0],
        "activation": "swish",
        "deterministic": False,
    },
}


def make(name: str, seed: int):
    """A policy with numbers drawn at random."""
    blank = MTPPO.Policy.blank(SIZES, hidden=[8, 4], **ARCHITECTURES[name])
    keys = iter(jax.random.split(jax.random.key(seed), 20))
    return jax.tree.map(lambda x: x + jax.random.uniform(next(keys), x.shape), blank)


def save(folder, name="heads and layouts"):
    """An export of two seeds, as from a run on STARTER."""
    trained = suite.load("STARTER")
    source = folder.with_name("source")
    stored.save_policies(
        source,
        {seed: make(name, seed) for seed in (0, 1)},
        algorithm="mt-ppo",
        sizes=SIZES,
        suite={"name": trained.name, "version": trained.version, "digest": trained.digest},
    )
    files.write(source / "suite.toml", suite.to_toml(trained))
    assert stored.find(source).export(folder) == [
        "policy.json", "suite.toml", "seed-0.safetensors", "seed-1.safetensors",
    ]  # fmt: skip
    return folder


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_what_is_loaded_acts_bit_for_bit(tmp_path, name):
    folder, original = save(tmp_path / "policy", name), make(name, 1)
    assert {path.suffix for path in folder.iterdir()} == {".json", ".toml", ".safetensors"}
    loaded = stored.load_policy(folder, seed=1)
    chex.assert_trees_all_equal(loaded, original, strict=True)
    keys = jax.random.split(jax.random.key(9), 64)
    no = jnp.zeros(64, bool)
    observation, context = jax.random.normal(keys[0], (64, 5)), jnp.eye(3)[jnp.arange(64) % 3]
    seen = PolicyInput(observation, context, jnp.zeros(64), no, no)
    act = jax.jit(jax.vmap(lambda policy, key, seen: policy.act(key, (), seen)[1], (None, 0, 0)))
    played = act(loaded, keys, seen)
    np.testing.assert_array_equal(played, act(original, keys, seen))
    assert not np.array_equal(played, act(stored.load_policy(folder), keys, seen))  # the first seed is another
    assert stored.find(folder).suite().name == "STARTER"


def edit(folder, **entries):
    record = json.loads((folder / "policy.json").read_text())
    (folder / "policy.json").write_text(json.dumps({**record, **entries}))


def put(folder, content, name="seed-0.safetensors"):
    """Replaces a file, as somebody would who writes its checksum too."""
    record = json.loads((folder / "policy.json").read_text())
    described = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    edit(folder, files={**record["files"], name: described})
    (folder / name).write_bytes(content)


def rewrite(folder, **changes):
    """Changes arrays; `None` removes one."""
    arrays = safetensors.numpy.load((folder / "seed-0.safetensors").read_bytes())
    arrays |= {BIAS if name == "bias" else name: value for name, value in changes.items()}
    put(folder, safetensors.numpy.save({name: value for name, value in arrays.items() if value is not None}))


def shorten(folder, name, count):
    (folder / name).write_bytes((folder / name).read_bytes()[:-count])


def flip(folder):
    raw = bytearray((folder / "seed-0.safetensors").read_bytes())
    raw[-9] ^= 1
    (folder / "seed-0.safetensors").write_bytes(raw)


BAD = {
    "missing file": (lambda f: (f / "seed-0.safetensors").unlink(), r"seed-0.safetensors: No such file"),
    "cut file": (lambda f: shorten(f, "seed-0.safetensors", 7), r"seed-0.safetensors has been changed or cut short"),
    "flipped bit": (flip, r"seed-0.safetensors has been changed or cut short"),
    "cut record": (lambda f: shorten(f, "policy.json", 30), r"policy.json cannot be read: .*export it again"),
    "cut array": (
        lambda f: put(f, (f / "seed-0.safetensors").read_bytes()[:-7]),
        "seed 0: no arrays in safetensors' format",
    ),
    "missing array": (lambda f: rewrite(f, bias=None), rf"array {BIAS} is absent, expected float32\[8\]"),
    "further array": (lambda f: rewrite(f, more=np.ones(2)), r"array more is float64\[2\], expected absent"),
    "wrong shape": (
        lambda f: rewrite(f, bias=np.ones((9,), np.float32)),
        rf"array {BIAS} is float32\[9\], expected float32\[8\]",
    ),
    "wrong type": (lambda f: rewrite(f, bias=np.ones(8)), rf"array {BIAS} is float64\[8\], expected float32\[8\]"),
    "not finite": (
        lambda f: rewrite(f, bias=np.array([np.nan] * 8, np.float32)),
        rf"array {BIAS} is not finite",
    ),
    "long header": (lambda f: put(f, (2**20 + 1).to_bytes(8, "little") + b" " * 2**21), "a header of over 1,048,576"),
    "many arrays": (
        lambda f: put(f, safetensors.numpy.save({str(i): np.zeros(0) for i in range(10_001)})),
        "or 10,000 arrays is not read",
    ),
    "newer format": (lambda f: edit(f, format=2), r"has format 2, this version of mtbench reads 1: install a newer"),
    "no format": (lambda f: edit(f, format=None), "format is no int of format 1"),
    "no sizes": (lambda f: edit(f, sizes=[]), "sizes is no dict of format 1"),
    "other sizes": (lambda f: edit(f, sizes={"observation": 5}), "sizes: .*missing 2"),
    "other architecture": (
        lambda f: edit(f, architecture={**ARCHITECTURES["heads and layouts"], "hidden": [8, 4], "activation": "sine"}),
        "no architecture of mt-ppo: 'sine'",
    ),
    "file elsewhere": (lambda f: edit(f, files={"../x": {}}), r"files has '../x', expected seed-<n>.safetensors"),
    "no files": (lambda f: edit(f, files={}), "lists no seed"),
    "other suite": (
        lambda f: edit(f, suite={"name": "STARTER", "version": 1, "digest": "0" * 16}),
        "trained on STARTER with digest 0000000000000000, its suite.toml has",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_folder(tmp_path, name):
    folder = save(tmp_path / "policy")
    damage, message = BAD[name]
    damage(folder)
    with pytest.raises(MtbenchError, match=message) as caught:
        found = stored.find(folder)
        found.policy(0)
        found.suite()
    assert not isinstance(caught.value, UsageError) and "\n" not in str(caught.value)


def test_bad_choice(tmp_path):
    folder = save(tmp_path / "policy")
    with pytest.raises(UsageError, match=r"no policy of seed 7, but of \[0, 1\]"):
        stored.load_policy(folder, seed=7)
    with pytest.raises(UsageError, match="has no step 3: steps are those of a run"):
        stored.load_policy(folder, step=3)
    with pytest.raises(UsageError, match="holds no run"):
        stored.load_policy(tmp_path / "nothing")


def test_installed_policies_have_names(tmp_path, monkeypatch):
    folder = save(tmp_path / "policy")
    monkeypatch.setattr(stored, "installed", lambda: {"best/STARTER": folder})
    chex.assert_trees_all_equal(stored.load_policy("best/STARTER", seed=1), make("heads and layouts", 1), strict=True)
    with pytest.raises(UsageError, match="unknown installed policy 'best/STARTR'.*did you mean best/STARTER"):
        stored.load_policy("best/STARTR")


@pytest.mark.parametrize("name", stored.installed())
def test_what_is_installed_is_small_and_of_an_installed_suite(name):
    found = stored.find(name)
    assert sum(path.stat().st_size for path in found.folder.glob("seed-*")) <= 1 << 20
    trained = found.suite()
    assert trained.name == name.partition("/")[2] and suite.load(trained.name).digest == trained.digest
    for seed in found.arrays:
        check(found.policy(seed), found.sizes, name)


def test_an_export_that_replaces_another_leaves_nothing_of_it(tmp_path):
    folder = save(tmp_path / "policy")
    (folder / "notes.txt").write_text("mine")
    stored.find(tmp_path / "source").export(folder, [1])
    assert {path.name for path in folder.iterdir()} == {"policy.json", "suite.toml", "seed-1.safetensors", "notes.txt"}
    assert list(stored.find(folder).arrays) == [1]


OWN = """
import jax, jax.numpy as jnp
from flax import struct

@struct.dataclass
class Counting:
    gain: jax.Array
    def init_carry(self, key):
        return jnp.zeros((), jnp.int32)
    def act(self, key, carry, seen):
        return carry + 1, self.gain * seen.observation[:2] + carry

@struct.dataclass
class Long(Counting):
    def act(self, key, carry, seen):
        return carry, seen.observation

@struct.dataclass
class Forgetful(Counting):
    def act(self, key, carry, seen):
        return (), seen.observation[:2]

@struct.dataclass
class Lone(Counting):
    def act(self, key, carry, seen):
        return seen.observation[:2]

@struct.dataclass
class Prying(Counting):
    def act(self, key, carry, seen):
        return carry, seen.quantities[0, :2]

class Plain:
    init_carry, act = Counting.init_carry, Counting.act

def make(kind=Counting):
    return kind(jnp.ones(()))

long, forgetful, lone, prying = (lambda k=k: make(k) for k in (Long, Forgetful, Lone, Prying))
plain, nothing = Plain, lambda: None
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "own_policy.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)


def test_a_function_gives_a_policy(own):
    policy = stored.load_policy("own_policy:make")
    check(policy, SIZES, "own")
    seen = PolicyInput(jnp.arange(5.0), jnp.zeros(3), jnp.zeros(()), jnp.ones((), bool), jnp.ones((), bool))
    carry, action = policy.act(jax.random.key(0), policy.init_carry(jax.random.key(0)) + 1, seen)
    assert carry == 2 and action.tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nowhere:make", "nowhere:make: cannot import nowhere: No module named 'nowhere'"),
        (":make", ":make: cannot import nothing"),
        ("own_policy:mak", "unknown function of own_policy 'mak': did you mean make"),
        ("own_policy:long", r"act returns an action float32\[5\], expected floating-point \[2\]"),
        ("own_policy:forgetful", "act returns a carry of another structure, shape or type than init_carry"),
        ("own_policy:lone", "does not act on .*cannot unpack"),
        ("own_policy:prying", "'PolicyInput' object has no attribute 'quantities'"),
        ("own_policy:plain", "Plain is no pytree of arrays: make it a flax.struct.dataclass"),
        ("own_policy:nothing", "NoneType has no method init_carry"),
    ],
)
def test_bad_function(own, source, message):
    with pytest.raises(UsageError, match=message) as caught:
        check(stored.load_policy(source), SIZES, source)
    assert "\n" not in str(caught.value)
