"""The command line: verbs, messages and exit codes, as a shell sees them."""

import textwrap

import pytest
import yaml

import hybridpg
from hybridpg.app.cli import main
from hybridpg.app.cli.exits import Exit


@pytest.fixture(autouse=True)
def _clean(monkeypatch, tmp_path):
    """No configuration of the machine that runs the tests; a home without a kubeconfig."""
    for name in ("OPERATOR_CONFIG", "KUBECONFIG", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def call(capsys):
    """Call the command line and return exit code, output and errors."""

    def run(*arguments):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        captured = capsys.readouterr()
        return caught.value.code, captured.out, captured.err

    return run


def write(path, text):
    path.write_text(textwrap.dedent(text))
    return str(path)


def test_version_is_the_packages_version(call):
    assert call("version") == (Exit.OK, f"{hybridpg.__version__}\n", "")


def test_crd_prints_documents_that_kubectl_can_apply(call):
    code, out, _ = call("crd")

    assert code == Exit.OK
    assert [each["kind"] for each in yaml.safe_load_all(out)] == ["CustomResourceDefinition"] * 2


def test_without_a_verb_the_verbs_are_listed(call):
    _, out, err = call()

    for verb in ("run", "dev", "crd", "config", "version"):
        assert verb in out + err


@pytest.mark.parametrize("verb", ["run", "dev", "crd", "version"])
def test_every_verb_explains_itself(call, verb):
    code, out, _ = call(verb, "--help")

    assert code == Exit.OK
    assert f"hybridpg {verb}" in out


def test_an_unknown_option_is_wrong_usage(call):
    code, _, err = call("run", "--colour")

    assert code == Exit.USAGE
    assert "--colour" in err


def test_a_kubeconfig_that_does_not_exist_is_wrong_usage(call):
    code, _, err = call("dev", "--kubeconfig", "nowhere.yaml")

    assert code == Exit.USAGE
    assert "nowhere.yaml" in err


def test_config_check_accepts_a_good_configuration(call, tmp_path):
    file = write(tmp_path / "good.yaml", "backend: local")

    assert call("config", "check", "--config", file)[0] == Exit.OK


def test_config_check_names_all_mistakes_at_once(call, tmp_path):
    """C2, C30."""
    file = write(
        tmp_path / "bad.yaml",
        """
        backends:
          local:
            adress: 127.0.0.1
        security:
          password_length: 3
        controller:
          workers: many
        """,
    )

    code, _, err = call("config", "check", "--config", file)

    assert code == Exit.USAGE
    for path in ("backend: ", "security.password_length", "controller.workers"):
        assert path in err
    assert all(line.startswith("hybridpg: ") for line in err.splitlines())


def test_config_check_looks_into_the_sections_of_the_backends(call, tmp_path):
    file = write(
        tmp_path / "bad.yaml", "{backend: local, backends: {local: {adress: 1, ports: 80}}}"
    )

    code, _, err = call("config", "check", "--config", file)

    assert code == Exit.USAGE
    assert "backends.local.adress: unknown option; did you mean address?" in err
    assert "backends.local.ports" in err


def test_a_configuration_comes_from_the_environment_too(call, monkeypatch):
    monkeypatch.setenv("HYBRIDCLOUD_BACKEND", "local")

    assert call("config", "check")[0] == Exit.OK


def test_run_refuses_a_wrong_configuration_before_it_looks_for_a_cluster(call, tmp_path):
    """C2."""
    code, _, err = call("run", "--config", write(tmp_path / "empty.yaml", ""))

    assert code == Exit.USAGE
    assert "backend: is required" in err


def test_a_missing_configuration_file_is_named(call):
    code, _, err = call("run", "--config", "nowhere.yaml")

    assert code == Exit.USAGE
    assert "nowhere.yaml" in err


def test_dev_refuses_a_folder_that_is_not_its_own(call, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")

    code, _, err = call("dev", "--state", str(tmp_path))

    assert code == Exit.FAILED
    assert "choose another folder with --state DIR" in err


def test_a_reset_of_nothing_is_no_failure(call, tmp_path):
    code, out, _ = call("dev", "--reset", "--state", str(tmp_path / "state"))

    assert code == Exit.OK
    assert "does not exist" in out
