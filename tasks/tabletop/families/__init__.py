"""Meta-World's families, one file per piece of hardware, and each of them varied."""

from __future__ import annotations

from .. import variations
from . import (
    bins,
    button,
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
    peg,
    pit,
    plate,
    plug,
    puck,
    shelf,
    soccer,
    stick,
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

FAMILIES = (*PLAIN, *map(variations.varied, PLAIN))
