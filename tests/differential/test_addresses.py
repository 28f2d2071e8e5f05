"""getaddrinfo() and getnameinfo(): the answers of the socket module on both loops."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from differential.families.addresses import ADDRESSES, QUESTIONS, asking_loop
from differential.quick import quick


@pytest.fixture(scope="module", autouse=True)
def loop_that_is_asked():
    yield
    asking_loop().close()
    asking_loop.cache_clear()


@quick
@given(ADDRESSES.programs)
def test_addresses(program):
    ADDRESSES.check(program)


@settings(quick, max_examples=500)
@given(QUESTIONS.programs)
def test_some_of_the_combinations(question):
    QUESTIONS.check(question)
