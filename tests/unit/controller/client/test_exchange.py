"""What a request is: lists are read in another way than single objects."""

from __future__ import annotations

import pytest

from hybridpg.controller.client.exchange import Exchange

JSON = ("accept", "application/json")
PARTIAL = ("accept", "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1")


@pytest.mark.parametrize(
    ("query", "accept", "listed"),
    [
        pytest.param((("limit", "500"),), JSON, True, id="a page"),
        pytest.param((("limit", "500"), ("resourceVersion", "0")), JSON, True, id="of any age"),
        pytest.param((("labelSelector", "a=b"),), PARTIAL, True, id="metadata"),
        pytest.param((), JSON, False, id="an object"),
        pytest.param((("resourceVersion", "0"),), PARTIAL, False, id="an object of any age"),
        pytest.param((("limit", "500"),), ("accept", "text/plain"), False, id="not JSON"),
    ],
)
def test_what_is_asked_for_tells_a_list_from_an_object(query, accept, listed):
    assert Exchange("GET", "/p", query, (accept,), None).is_list is listed


def test_a_deletion_of_many_is_no_list():
    assert not Exchange("DELETE", "/p", (("labelSelector", "a=b"),), (JSON,), None).is_list
