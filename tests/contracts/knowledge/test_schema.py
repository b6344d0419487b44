"""The bounded check of arguments agrees with the jsonschema package, and hostile schemas cost little."""

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator
from pydantic import JsonValue
from referencing import Registry

from contracts.knowledge.schema import MAX_STEPS, check
from contracts.types import JsonObject

LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 300), st.sampled_from(["", "a", "abc", "x", "7"]), st.just(2**64)
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=3)
    ),
    max_leaves=8,
)
REFERENCES = st.sampled_from(["#/definitions/One", "#/definitions/Two"])
KINDS = ["null", "boolean", "string", "array", "object", "integer", "number"]


def schemas(*, references: bool) -> st.SearchStrategy[JsonValue]:
    return st.recursive(
        st.one_of(
            st.booleans(),
            st.fixed_dictionaries(
                {},
                optional={
                    "type": st.one_of(
                        st.sampled_from(KINDS), st.lists(st.sampled_from(KINDS), min_size=1, max_size=3, unique=True)
                    )
                },
            ),
            st.fixed_dictionaries({"$ref": REFERENCES}) if references else st.just(value=True),
            st.fixed_dictionaries({"enum": st.lists(VALUES, min_size=1, max_size=3)}),
            st.fixed_dictionaries({"const": VALUES}),
            st.fixed_dictionaries(
                {},
                optional={
                    "minimum": st.integers(-2, 200),
                    "maximum": st.integers(-2, 200),
                    "exclusiveMinimum": st.integers(-2, 5),
                    "minLength": st.integers(0, 3),
                    "maxLength": st.integers(0, 3),
                    "minItems": st.integers(0, 2),
                    "maxItems": st.integers(0, 2),
                    "minProperties": st.integers(0, 2),
                },
            ),
        ),
        lambda inner: st.one_of(
            st.fixed_dictionaries(
                {"type": st.just("object")},
                optional={
                    "properties": st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=3),
                    "required": st.lists(st.sampled_from(["a", "b"]), unique=True, max_size=2),
                    "additionalProperties": inner,
                },
            ),
            st.fixed_dictionaries({"items": inner}),
            st.fixed_dictionaries({"items": st.lists(inner, max_size=2)}, optional={"additionalItems": inner}),
            st.fixed_dictionaries({"anyOf": st.lists(inner, min_size=1, max_size=3)}),
            st.fixed_dictionaries({"oneOf": st.lists(inner, min_size=1, max_size=3)}),
            st.fixed_dictionaries({"allOf": st.lists(inner, min_size=1, max_size=3)}),
            st.fixed_dictionaries({"not": inner}),
        ),
        max_leaves=6,
    )  # type: ignore[return-value]


@settings(max_examples=150)
@given(VALUES, schemas(references=True), schemas(references=False), schemas(references=False))
def test_it_says_what_jsonschema_says(value: JsonValue, schema: JsonValue, one: JsonValue, two: JsonValue) -> None:
    definitions: JsonObject = {"One": one, "Two": two}
    whole: JsonObject = {"allOf": [schema], "definitions": definitions}
    errors = Draft7Validator(whole, registry=Registry()).iter_errors(value)  # pyright: ignore[reportUnknownMemberType]
    expected = next(errors, None) is None
    found = check(value, whole, definitions)
    assert found.complete
    assert (found.problem is None) == expected, found


@pytest.mark.parametrize(
    ("value", "schema", "problem"),
    [
        ({"text": 5}, {"properties": {"text": {"type": "string"}}}, "arguments.text is 5, it must be string"),
        ({}, {"required": ["text"]}, "arguments lacks text"),
        ({"txt": "a"}, {"properties": {"text": {}}, "additionalProperties": False}, "has no txt; did you mean text?"),
        ([1, "a"], {"items": {"type": "integer"}}, "arguments[1] is the text a, it must be a whole number"),
        (300, {"format": "uint8", "type": "integer"}, "arguments is 300, it must be 0 to 255"),
        (-1, {"format": "uint64"}, "it must be 0 to 18446744073709551615"),
        (2**63, {"format": "int64"}, "it must be -9223372036854775808 to"),
        ("Bob.near", {"$ref": "#/definitions/AccountId"}, "contains the capital 'B'"),
        ("x", {"enum": ["approve", "reject"]}, "it must be one of approve, reject"),
        (True, {"const": 1}, "arguments is true, it must be 1"),
        (5, {"anyOf": [{"type": "string"}, {"type": "null"}]}, "none of the 2 allowed forms"),
        ("`evil` [x](http://y)", {"type": "null"}, "'evil' (x)(http:/ /y)"),
    ],
)
def test_problems_name_their_place(value: JsonValue, schema: JsonObject, problem: str) -> None:
    found = check(value, schema, {"AccountId": {"type": "string"}})
    assert problem in (found.problem or "")


@pytest.mark.parametrize(
    "schema",
    [
        {"pattern": "^(a+)+$"},
        {"if": {"type": "string"}},
        {"$ref": "https://evil.example/schema.json"},
        {"$ref": "#/definitions/Missing"},
        {"$ref": "#"},
    ],
)
def test_what_is_not_understood_is_said(schema: JsonObject) -> None:
    found = check("a" * 40 + "!", schema, {})
    assert (found.problem, found.complete) == (None, False)


def test_schemas_made_to_take_forever_are_cut_off() -> None:
    wide = [{"enum": list(range(400))}] * 400
    names = [{"properties": {f"n{i}": {"title": ""} for i in range(300)}, "additionalProperties": False}] * 300
    doubling = {f"L{n}": {"anyOf": [{"$ref": f"#/definitions/L{n + 1}"}] * 2} for n in range(60)}
    endless = {"L0": {"$ref": "#/definitions/L0"}}
    for bomb in (doubling, endless, {"L0": {"anyOf": wide}}, {"L0": {"anyOf": names}}):
        definitions: JsonObject = json.loads(json.dumps({**bomb, "L60": {"type": "null"}}))
        began = time.process_time()
        found = check({"x": 1}, {"$ref": "#/definitions/L0"}, definitions)
        assert not found.complete
        assert time.process_time() - began < 5
    assert MAX_STEPS < 100_000
