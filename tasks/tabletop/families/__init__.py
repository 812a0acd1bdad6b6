"""Meta-World's families, a file per piece of hardware, each of them varied; and others, a file per kind of goal."""

from __future__ import annotations

from .. import variations
from . import (
    avoiding,
    bins,
    button,
    clutter,
    coffee,
    cube,
    dial,
    door,
    drawer,
    faucet,
    hammer,
    handle,
    hoop,
    lever,
    lid,
    lock,
    nut,
    order,
    partly,
    peg,
    pit,
    plate,
    plug,
    puck,
    relative,
    sequence,
    shelf,
    soccer,
    stick,
    switching,
    window,
)

PLAIN = (
    *puck.FAMILIES,
    *drawer.FAMILIES,
    *button.FAMILIES,
    *cube.FAMILIES,
    *pit.FAMILIES,
    *nut.FAMILIES,
    *hoop.FAMILIES,
    *bins.FAMILIES,
    *lid.FAMILIES,
    *coffee.FAMILIES,
    *dial.FAMILIES,
    *door.FAMILIES,
    *lock.FAMILIES,
    *hammer.FAMILIES,
    *peg.FAMILIES,
    *plug.FAMILIES,
    *shelf.FAMILIES,
    *soccer.FAMILIES,
    *stick.FAMILIES,
    *faucet.FAMILIES,
    *handle.FAMILIES,
    *lever.FAMILIES,
    *plate.FAMILIES,
    *window.FAMILIES,
)
"""As Meta-World has them."""

KINDS = (
    *partly.FAMILIES,
    *relative.FAMILIES,
    *sequence.FAMILIES,
    *order.FAMILIES,
    *switching.FAMILIES,
    *avoiding.FAMILIES,
    *clutter.FAMILIES,
)
"""Of further kinds of goal (docs/families.md)."""

FAMILIES = (*PLAIN, *map(variations.varied, PLAIN), *KINDS)
