"""Numbers that are written in terms of factors: `0.6 + 2 * goal_x`. A small part of Python's expressions, no more."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp

from mtbench.errors import UsageError

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {ast.USub: operator.neg, ast.UAdd: operator.pos}
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": jnp.abs,
    "cos": jnp.cos,
    "max": jnp.maximum,
    "min": jnp.minimum,
    "sin": jnp.sin,
    "sqrt": jnp.sqrt,
}
CONSTANTS = {"pi": math.pi}
LONGEST = 200
"""Characters of an expression; more is no number any more."""


def names(text: str) -> set[str]:
    """The names of factors in an expression.

    Raises:
      UsageError: it is no expression of numbers, factors, + - * / ** and `FUNCTIONS`.
    """
    tree = _parse(text)
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    found = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and id(node) not in called}
    return found - CONSTANTS.keys()


def evaluate(text: str, factors: Mapping[str, Any]) -> Any:
    """The value of an expression whose names are known; traceable."""
    return _value(_parse(text), factors)


def _parse(text: str) -> ast.expr:
    if len(text) > LONGEST:
        raise UsageError(f"'{text[:20]}…': an expression has at most {LONGEST} characters")
    try:
        tree = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise UsageError(f"'{text}' is no expression, expected e.g. 0.6 + 2 * goal_x") from None
    for node in ast.walk(tree):
        if isinstance(node, ast.expr) and not _allowed(node):
            raise UsageError(
                f"'{text}': {ast.unparse(node)} is not allowed, expected numbers, factors, + - * / ** and "
                f"{', '.join(FUNCTIONS)}"
            )
    return tree


def _allowed(node: ast.expr) -> bool:
    match node:
        case ast.Constant(value=bool()):
            return False
        case ast.Constant(value=int() | float()) | ast.Name():
            return True
        case ast.BinOp(op=op):
            return type(op) in _BINARY
        case ast.UnaryOp(op=op):
            return type(op) in _UNARY
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
            return name in FUNCTIONS and len(args) == (2 if name in ("min", "max") else 1)
    return False


def _value(node: ast.expr, factors: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant(value=value):
            return float(value)  # type: ignore[arg-type]
        case ast.Name(id=name):
            return CONSTANTS[name] if name in CONSTANTS else factors[name]
        case ast.BinOp(left=left, op=op, right=right):
            return _BINARY[type(op)](_value(left, factors), _value(right, factors))
        case ast.UnaryOp(op=op, operand=operand):
            return _UNARY[type(op)](_value(operand, factors))
        case ast.Call(func=ast.Name(id=name), args=args):
            return FUNCTIONS[name](*(_value(arg, factors) for arg in args))
    raise AssertionError(ast.dump(node))  # `_parse` lets nothing else through
