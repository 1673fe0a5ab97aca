"""Bugs planted in the text of a formula."""

import inspect
import textwrap
import types

import numpy as np
import pytest

import minigan
from minigan.layers.formula import Formula


def plant(patch, owner, function, right, wrong):
    """`function` of a module or class says `wrong` where it said `right`, for all who call it, until `patch` ends."""
    old = getattr(owner, function)
    source = textwrap.dedent(inspect.getsource(old))
    assert source.count(right) == 1, "the formula has been written anew: plant the bug there"
    scope = dict(inspect.unwrap(old).__globals__)
    exec(source.replace(right, wrong), scope)
    patch.setattr(owner, function, scope[function])
    named = vars(owner).values() if isinstance(owner, types.ModuleType) else ()
    for holder in (*named, *(vars(kind).get("formula") for kind in named if isinstance(kind, type))):
        if isinstance(holder, Formula):
            plain = [scope[function] if f is old else f for f in holder.plain]
            patch.setattr(holder, "plain", tuple(plain))


PASSED = set()  # what the right text is known to pass


def is_found(patch, name, check, owner, function, right, wrong):
    """`check()` passes, and once the bug is planted it fails, by a wrong number and not by crashing.

    name: what says which check that is, so that the right text is not checked anew for each bug."""
    with minigan.plain(), np.errstate(all="ignore"):
        if name not in PASSED:
            check()
            PASSED.add(name)
        plant(patch, owner, function, right, wrong)
        with pytest.raises(AssertionError) as caught:
            check()
    assert "raised" not in str(caught.value), "it must be caught as a wrong number, not by crashing"


def table(bugs):
    """{(who, where, …): {title: (right, wrong)}} as the parameters of a test: (…, right, wrong) for each."""
    return [
        pytest.param(*where, *texts, id=f"{where[-1]}: {title}")
        for where, planted in bugs.items()
        for title, texts in planted.items()
    ]
