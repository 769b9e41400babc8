"""``hybridpg crd`` prints what is committed, ready for ``kubectl apply -f -``."""

from pathlib import Path

import yaml

from hybridpg.app.cli.crd import crd

COMMITTED = Path(__file__).parents[4] / "charts" / "hybridpg" / "templates" / "crds"


def test_the_printed_definitions_are_the_committed_ones(capsys):
    crd(admission=False)

    printed = list(yaml.safe_load_all(capsys.readouterr().out))
    committed = [yaml.safe_load(path.read_text()) for path in sorted(COMMITTED.glob("*.yaml"))]
    assert sorted(printed, key=lambda each: str(each["metadata"]["name"])) == committed


def test_everything_that_is_printed_is_yaml(capsys):
    crd(admission=False)

    assert capsys.readouterr().out.startswith("---\n")


def test_the_admission_policy_is_printed_on_demand_and_is_the_committed_one(capsys):
    crd(admission=True)

    printed = list(yaml.safe_load_all(capsys.readouterr().out))
    policy = COMMITTED.parent / "admission" / "credentials-secret.yaml"
    committed = list(yaml.safe_load_all(policy.read_text()))
    assert printed[-2:] == committed
    assert [each["kind"] for each in printed[:-2]] == ["CustomResourceDefinition"] * 2
