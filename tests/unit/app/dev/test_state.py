"""The state folder of ``dev``: private, locked, and only ever our own."""

import fcntl
import json
import stat
from dataclasses import replace

import pytest

from hybridpg.app.dev.state import MARK, Settings, hold, is_ours, remove, write_private
from hybridpg.app.dev.steps import StepFailed


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_folder_gets_settings_that_only_its_owner_can_read(tmp_path):
    with hold(tmp_path / "state") as state:
        mark = state.folder / MARK

        assert mode(mark) == 0o600
        assert json.loads(mark.read_text())["cluster_id"] == state.settings.cluster_id
        assert len(state.settings.token) >= 32


def test_two_folders_differ_in_token_and_cluster_id(tmp_path):
    with hold(tmp_path / "a") as one, hold(tmp_path / "b") as other:
        assert one.settings.token != other.settings.token
        assert one.settings.cluster_id != other.settings.cluster_id


def test_the_settings_are_found_again_at_the_next_start(tmp_path):
    with hold(tmp_path / "state") as state:
        first = state.settings
        state.keep(replace(first, port=4711))

    with hold(tmp_path / "state") as state:
        assert state.settings == replace(first, port=4711)


def test_the_block_of_ports_is_below_the_ephemeral_ones_and_never_has_5432():
    for _ in range(200):
        first, last = map(int, Settings.new().server_ports.split("-"))

        assert 20_000 <= first < last < 32_768


def test_two_folders_rarely_share_their_ports():
    assert len({Settings.new().server_ports for _ in range(20)}) > 10


def test_a_second_dev_on_the_same_folder_is_refused_and_told_what_to_do(tmp_path):
    with (
        hold(tmp_path / "state"),
        pytest.raises(StepFailed, match="another `hybridpg dev` is running") as caught,
        hold(tmp_path / "state"),
    ):
        pass

    assert "--state" in caught.value.fix


def test_the_lock_ends_with_its_process_not_with_its_file(tmp_path):
    with hold(tmp_path / "state"):
        pass

    assert (tmp_path / "state" / "lock").exists()
    with hold(tmp_path / "state") as state:
        assert is_ours(state.folder)


def test_an_empty_folder_that_exists_is_taken(tmp_path):
    (tmp_path / "state").mkdir()

    with hold(tmp_path / "state") as state:
        assert is_ours(state.folder)


def test_a_folder_with_foreign_files_is_refused_and_left_as_it_is(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")

    with pytest.raises(StepFailed, match="did not make"), hold(tmp_path):
        pass

    assert [each.name for each in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "state").write_text("a file")

    with pytest.raises(StepFailed, match="is not a folder"), hold(tmp_path / "state"):
        pass


def test_a_folder_that_cannot_be_made_is_named_with_the_reason(tmp_path):
    (tmp_path / "file").write_text("")

    with (
        pytest.raises(StepFailed, match="cannot be used: Not a directory"),
        hold(tmp_path / "file" / "state"),
    ):
        pass


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("{", id="no JSON"),
        pytest.param('{"cluster_id": "a"}', id="a field is missing"),
        pytest.param('{"cluster_id": "a", "token": "t", "colour": "red"}', id="a field too many"),
        pytest.param("[]", id="another type"),
    ],
)
def test_damaged_settings_are_named_instead_of_replaced(tmp_path, text):
    (tmp_path / MARK).write_text(text)

    with pytest.raises(StepFailed, match="is damaged"), hold(tmp_path):
        pass

    assert (tmp_path / MARK).read_text() == text


def test_removing_takes_the_whole_folder(tmp_path):
    with hold(tmp_path / "state") as state:
        (state.folder / "cluster").mkdir()
        (state.folder / "cluster" / "objects").write_text("{}")
        remove(state, state.folder / "postgres")

    assert not (tmp_path / "state").exists()


def test_a_private_file_is_private_although_the_old_one_was_not(tmp_path):
    path = tmp_path / "kubeconfig"
    path.write_text("old")
    path.chmod(0o644)

    write_private(path, "new")

    assert (path.read_text(), mode(path)) == ("new", 0o600)


def test_a_part_that_a_crash_left_does_not_stop_the_next_write(tmp_path):
    (tmp_path / "kubeconfig.part").write_text("half")

    write_private(tmp_path / "kubeconfig", "whole")

    assert (tmp_path / "kubeconfig").read_text() == "whole"
    assert not (tmp_path / "kubeconfig.part").exists()


def test_all_paths_lie_in_the_folder(tmp_path):
    with hold(tmp_path / "state") as state:
        paths = [state.kubeconfig, state.certificate, state.service_file, state.log]

        assert {path.parent for path in paths} == {state.folder}


def test_data_that_lies_elsewhere_is_removed_too(tmp_path):
    (tmp_path / "data" / "servers").mkdir(parents=True)

    with hold(tmp_path / "state") as state:
        remove(state, tmp_path / "data")

    assert list(tmp_path.iterdir()) == []


def test_the_lock_is_one_that_other_programs_can_see(tmp_path):
    with (
        hold(tmp_path / "state") as state,
        (state.folder / "lock").open() as again,
        pytest.raises(BlockingIOError),
    ):
        fcntl.flock(again.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
