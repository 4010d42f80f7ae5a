"""schemathesis makes up requests from the description, sound and unsound ones, and holds the answers against it."""

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.apps import PREFIX, App
from tests.fuzz.inputs import INPUTS

CHECKS = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
ANSWERED = {"poll": {200}, "events": {503}, "ws": {503}}
"""What sound requests get here: no socket can be taken from a test's client, so no line can be held."""


@pytest.mark.slow
@pytest.mark.parametrize("path", ANSWERED)
@pytest.mark.parametrize("mode", list(GenerationMode))
def test_answers_are_as_described_whatever_is_asked(path: str, mode: GenerationMode, app: App) -> None:
    app.live.channel("<path:name>")
    app.live.publish("orders", {"id": 7})
    operation = schemathesis.openapi.from_wsgi(f"{PREFIX}/openapi.json", app.flask)[f"{PREFIX}/{path}"]["GET"]
    seen: set[int] = set()

    @settings(max_examples=max(INPUTS // 120, 100), suppress_health_check=list(HealthCheck), database=None)
    @given(case=operation.as_strategy(generation_mode=mode))
    def holds(case: schemathesis.Case) -> None:
        response = case.call()
        seen.add(response.status_code)
        case.validate_response(response, checks=CHECKS)

    holds()
    wanted = {400} if mode is GenerationMode.NEGATIVE else ANSWERED[path]
    assert wanted <= seen, "what was made up reached too little"
