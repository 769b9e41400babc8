"""What ``dev`` prints: a line per step with its time, nothing for a step that failed."""

import pytest

from hybridpg.app.dev.steps import StepFailed, Steps


@pytest.fixture
def said():
    return []


def steps_at(said, *times):
    clock = iter(times)
    return Steps(said.append, now=lambda: next(clock))


def test_a_step_is_one_line_with_its_time_when_it_ends(said):
    with steps_at(said, 10.0, 12.34).step("CRDs") as step:
        step.done("two of them")
        assert said == []

    assert [" ".join(line.split()) for line in said] == ["2.3 s CRDs two of them"]


def test_results_stand_below_each_other_whatever_the_step_is_called(said):
    steps = steps_at(said, 0, 1, 2, 120)
    for title in ("CRDs", "control plane"):
        with steps.step(title) as step:
            step.done("done")

    assert len({line.index("done") for line in said}) == 1


def test_a_step_that_fails_prints_nothing_and_passes_the_failure_on(said):
    with pytest.raises(StepFailed), steps_at(said, 0, 1).step("PostgreSQL"):
        raise StepFailed("initdb not found")

    assert said == []


def test_a_note_stands_under_the_titles(said):
    steps_at(said).note("PostgreSQLServer demo: Creating")

    assert said[0].startswith("  ")
    assert said[0].strip() == "PostgreSQLServer demo: Creating"


def test_what_alternates_is_said_once_each(said):
    steps = steps_at(said)
    for text in ("Creating", "Denied", "Creating", "Denied"):
        steps.note(text)

    assert [line.strip() for line in said] == ["Creating", "Denied"]


def test_a_failure_names_its_fix():
    error = StepFailed("initdb not found", fix="sudo apt-get install postgresql")

    assert str(error) == "initdb not found → sudo apt-get install postgresql"
    assert str(StepFailed("no way out")) == "no way out"
