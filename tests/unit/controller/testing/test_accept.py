"""Which form of an object a client is given."""

from __future__ import annotations

import pytest
from tests.unit.controller.testing.conftest import SECRETS, Api

from hybridpg.controller.testing._accept import WHOLE, Form, form_of
from hybridpg.controller.testing._status import StatusError

PARTIAL = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", WHOLE),
        ("*/*", WHOLE),
        ("application/json", WHOLE),
        (PARTIAL, Form("PartialObjectMetadata", "v1")),
        (f"{PARTIAL}beta1, application/json", Form("PartialObjectMetadata", "v1beta1")),
        ("application/json;as=Table;g=meta.k8s.io;v=v2,application/json", WHOLE),
        ("text/html, application/json", WHOLE),
    ],
)
def test_the_first_form_that_is_served_is_taken(accept: str, form: Form):
    assert form_of(accept) == form


@pytest.mark.parametrize(
    ("accept", "problem"),
    [
        ("text/html", "406: Not Acceptable"),
        ("application/json;as=Foo;g=meta.k8s.io;v=v1", "only the following media types"),
        ("application/json;as=PartialObjectMetadata;v=v1", "only the following media types"),
    ],
)
def test_a_form_that_is_not_served_is_refused(accept: str, problem: str):
    with pytest.raises(StatusError) as caught:
        form_of(accept)
    assert caught.value.status == 406
    assert caught.value.message.startswith(problem)


async def test_an_object_and_a_list_are_shown_by_their_metadata(api: Api):
    await api("POST", SECRETS, {"metadata": {"name": "a"}, "data": {"k": "YQ=="}})
    status, one = await api("GET", f"{SECRETS}/a", accept=PARTIAL)
    assert status == 200
    assert set(one) == {"kind", "apiVersion", "metadata"}
    status, listed = await api("GET", SECRETS, accept=LIST)
    assert status == 200
    assert listed["kind"] == "PartialObjectMetadataList"
    assert [item["kind"] for item in listed["items"]] == ["PartialObjectMetadata"]
    assert "data" not in listed["items"][0]


async def test_a_list_is_no_object_and_an_object_no_list(api: Api):
    await api.secret("a")
    path = await api.define({"type": "object"})
    await api.thing({})
    wrong = "you requested PartialObjectMetadata, but the requested object is a list "
    assert (await api("GET", SECRETS, accept=PARTIAL))[1]["message"] == f"{wrong}(*core.SecretList)"
    status, answer = await api("GET", f"{SECRETS}/a", accept=LIST)
    assert (status, answer["reason"]) == (406, "NotAcceptable")
    status, answer = await api("GET", f"{path}/a", accept=LIST)
    assert (status, answer["message"]) == (500, "content is not a list")


async def test_a_refused_form_writes_nothing(api: Api):
    status, _ = await api("POST", SECRETS, {"metadata": {"name": "a"}}, accept="text/html")
    assert status == 406
    assert (await api("GET", f"{SECRETS}/a"))[0] == 404


async def test_a_write_is_answered_with_metadata_alone(api: Api):
    status, made = await api("POST", SECRETS, {"metadata": {"name": "a"}}, accept=PARTIAL)
    assert (status, made["kind"]) == (201, "PartialObjectMetadata")
