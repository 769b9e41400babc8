"""Tuning of the garbage collector belongs to the process, so the test gives back what it took."""

import gc

import pytest

from hybridpg.app.cli.collector import THRESHOLDS, pause_collections, resume_collections


@pytest.fixture(autouse=True)
def _as_it_was():
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)
    gc.enable()


def test_collections_pause_while_the_caches_are_filled():
    pause_collections()

    assert not gc.isenabled()


def test_afterwards_they_are_rare_and_skip_what_was_there():
    pause_collections()
    resume_collections()

    assert gc.isenabled()
    assert gc.get_threshold() == THRESHOLDS
    assert gc.get_freeze_count() > 0
