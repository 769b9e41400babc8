"""The API server prunes what the schema does not know, without a word: nothing of ours may be."""

import re
from pathlib import Path

import pytest

from hybridpg.crds import DatabaseStatus, ServerStatus

APP = Path(__file__).parents[3] / "src" / "app"
WRITTEN = re.compile(r"""(?:draft\.set\(|self\._status\[)\s*"(\w+)\"""")


@pytest.mark.parametrize(
    ("model", "of_the_other_kind"), [(ServerStatus, {"serverUID"}), (DatabaseStatus, set())]
)
def test_every_field_of_a_status_that_is_written_is_in_the_schema(model, of_the_other_kind):
    written = {name for path in APP.glob("*.py") for name in WRITTEN.findall(path.read_text())}
    known = {field.alias for field in model.model_fields.values()}

    assert {"observedGeneration", "conditions", "externalName"} <= written, "the pattern is stale"
    assert written - known == of_the_other_kind
