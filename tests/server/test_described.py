"""The service does what its description says: every operation, asked as described and otherwise."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis.errors import Unsatisfiable

from tests.server.serving import Running

schemathesis = pytest.importorskip("schemathesis")
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

EXAMPLES = 8  # of each operation, as described and otherwise


@pytest.mark.long
def test_every_operation_answers_as_it_is_described(service: Running) -> None:
    schema = schemathesis.openapi.from_url(f"{service.url}/api/openapi.json")
    operations = [result.ok() for result in schema.get_all_operations()]
    assert len(operations) > 15
    wrong: dict[str, str] = {}
    for operation in operations:
        for mode in schemathesis.GenerationMode:
            try:
                checked(operation, mode)
            except Unsatisfiable:  # it takes nothing that could be wrong
                continue
            except (Exception, BaseExceptionGroup) as error:
                parts = getattr(error, "exceptions", [error])
                wrong[f"{operation.label} ({mode.name})"] = "; ".join(map(str, parts))
    assert not wrong, "\n\n".join(f"{name}\n{what}" for name, what in wrong.items())


def checked(operation: Any, mode: Any) -> None:
    @seed(0)
    @settings(max_examples=EXAMPLES, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        excluded = [positive_data_acceptance]  # what fits each field may still ask for nothing
        if case.media_type == "multipart/form-data":  # in a form, whatever is wrong with a text is a text
            excluded.append(negative_data_rejection)
        answer = case.call(timeout=30)
        if answer.status_code == 413:  # what is too long for its field may be too long for a request
            excluded.append(negative_data_rejection)
        case.validate_response(answer, excluded_checks=excluded)

    ask()
