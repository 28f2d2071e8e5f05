"""Every native object is collected when only a cycle holds it: alone, and with its loop."""

from __future__ import annotations

import asyncio
import gc
import warnings

import pytest

from support import specimens
from support.descriptors import none_leaked
from support.leftovers import native_objects


@pytest.mark.parametrize("make", specimens.KINDS, ids=lambda make: make.__name__)
def test_an_object_in_a_cycle_is_collected(loop_factory, make):
    gc.collect()
    before = native_objects()
    with warnings.catch_warnings(record=True) as caught, none_leaked():
        warnings.simplefilter("always")
        loop = loop_factory()
        token = specimens.cycle(loop, make)
        assert token() is not None
        specimens.turn(loop)
        gc.collect()
        assert token() is None
        specimens.turn(loop)
        loop.close()
        del loop
    told = [str(warning.message) for warning in caught if "unclosed transport" in str(warning.message)]
    assert len(told) == (make in specimens.UNCLOSED)
    caught.clear()  # A warning refers to its transport.
    gc.collect()
    assert native_objects() == before


@pytest.mark.parametrize("held", specimens.HELD_BY_A_LOOP)
@pytest.mark.parametrize("ending", ["forgotten", "closed"])
def test_a_loop_is_collected_with_what_it_holds(loop_factory, held, ending):
    gc.collect()
    before = native_objects()
    with warnings.catch_warnings(), none_leaked():
        warnings.simplefilter("ignore", ResourceWarning)
        loop = loop_factory()
        asyncio.set_event_loop(loop)
        token = specimens.HELD_BY_A_LOOP[held](loop)
        asyncio.set_event_loop(None)
        if ending == "closed":
            loop.close()
        else:
            assert token() is not None
        del loop
        gc.collect()
        gc.collect()  # What a finaliser let go.
        assert token() is None
    assert native_objects() == before


def test_the_view_that_a_protocol_gave_is_released(loop):
    """A protocol may resize its buffer as soon as it has been told what was put there."""
    transport, protocol = specimens.paused_buffered_stream(loop)
    protocol.extra.pop().close()
    for view in protocol.views:
        view.release()
    protocol.buffer.extend(b"more")
    transport.abort()
    specimens.turn(loop)
