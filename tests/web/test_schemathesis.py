"""Requests made up from the OpenAPI document, right ones and wrong ones, answered as the document says."""

from collections import Counter

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from secondread.testing.phantoms import chest_phantom, encode
from secondread.web import create_app
from tests.web.conftest import post

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> BaseSchema:
    """The document of an application with one reading, without login."""
    app = create_app({"DATA_FOLDER": str(tmp_path_factory.mktemp("made-up")), "GATE": "off", "LOGIN": "off"})
    film = encode(chest_phantom(64, random_state=1), "PNG")
    assert post(app.test_client(), ("a.png", film), task="tuberculosis").status_code == 200
    serve = app.wsgi_app

    def from_here(environ: dict[str, object], start_response: object) -> object:
        environ["REMOTE_ADDR"] = "127.0.0.1"
        environ.pop("HTTP_AUTHORIZATION", None)  # a token that is made up would end every request at once
        return serve(environ, start_response)

    app.wsgi_app = from_here
    return schemathesis.openapi.from_wsgi("/api/v1/openapi.json", app)


OPTIONS = settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_every_answer_is_one_that_the_document_names(document: BaseSchema, mode: GenerationMode) -> None:
    n_operations, wrong = 0, []
    statuses: Counter[tuple[str, int]] = Counter()
    for found in document.get_all_operations():
        operation = found.ok()
        n_operations += 1

        @OPTIONS
        @given(operation.as_strategy(generation_mode=mode))
        def try_out(case: schemathesis.Case) -> None:
            answer = case.call_and_validate(checks=CHECKS)
            statuses[case.operation.label, answer.status_code] += 1

        try:
            try_out()
        except Unsatisfiable:  # an operation without anything to get wrong
            continue
        except BaseException as error:
            wrong.append(f"{operation.label}: {error} {getattr(error, 'exceptions', '')}")
    assert n_operations > 40
    assert wrong == []
    assert {label for label, status in statuses if status == 401} <= {"POST /api/v1/session"}
