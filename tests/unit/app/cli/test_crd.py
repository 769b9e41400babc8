"""``hybridpg crd`` prints what is committed, ready for ``kubectl apply -f -``."""

from pathlib import Path

import yaml

from hybridpg.app.cli.crd import crd

COMMITTED = Path(__file__).parents[4] / "charts" / "hybridpg" / "templates" / "crds"


def test_the_printed_definitions_are_the_committed_ones(capsys):
    crd()

    printed = list(yaml.safe_load_all(capsys.readouterr().out))
    committed = [yaml.safe_load(path.read_text()) for path in sorted(COMMITTED.glob("*.yaml"))]
    assert sorted(printed, key=lambda each: str(each["metadata"]["name"])) == committed


def test_everything_that_is_printed_is_yaml(capsys):
    crd()

    assert capsys.readouterr().out.startswith("---\n")
