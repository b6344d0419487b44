"""One declaration gives the schema, the command, the help and the reading; names are those of the catalogue's document."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from contracts.catalogue.arguments import Args
from contracts.catalogue.entry import AnyEntry
from contracts.catalogue.index import CATALOGUE, find
from contracts.errors import InvalidInput
from tests.contracts.catalogue.world import ALICE, REGISTRY

DOCUMENT: dict[str, Any] = json.loads((Path(__file__).parents[2] / "vectors" / "catalogue.json").read_text())["actions"]
ORDER = [name for name in DOCUMENT if name in CATALOGUE]
TYPES = {"object": "object", "list[string]": "array", "int": "integer"}
ENTRIES = pytest.mark.parametrize("entry", list(CATALOGUE.values()), ids=list(CATALOGUE))


def test_the_actions_stand_in_the_documents_order() -> None:
    assert list(CATALOGUE) == ORDER


@ENTRIES
def test_names_kinds_and_required_flags_are_the_documents(entry: AnyEntry) -> None:
    document = DOCUMENT[entry.name]
    assert entry.kind == document["kind"]
    assert entry.about == document["about"]
    assert [(item.name, item.kind, item.required) for item in entry.parameters] == [
        (name, argument["type"], argument["required"]) for name, argument in document["args"].items()
    ]


@ENTRIES
def test_the_tool_schema_is_an_openai_function_of_texts(entry: AnyEntry) -> None:
    schema: Any = entry.tool_schema()
    assert schema["type"] == "function"
    function = schema["function"]
    assert re.fullmatch(r"[a-z_]{1,64}", function["name"])
    assert function["description"] == entry.about
    parameters = function["parameters"]
    assert parameters["required"] == list(entry.required)
    assert parameters["additionalProperties"] is False
    for item in entry.parameters:
        shown = parameters["properties"][item.name]
        types = [one["type"] for one in shown.get("anyOf", [shown])]
        assert types == (["object", "array"] if item.kind == "object" else [TYPES.get(item.kind, "string")])
        assert 0 < len(parameters["properties"][item.name]["description"]) < 100


@ENTRIES
def test_examples_parse_and_read_back_from_their_command(entry: AnyEntry) -> None:
    assert entry.examples
    for example in entry.examples:
        args = entry.parse(example.args, ALICE, REGISTRY)
        assert isinstance(args, Args)
        assert f"Example: {entry.slash(example.args)}" in entry.help()


def test_usage_shows_positions_and_what_may_be_left_out() -> None:
    assert find("ft_transfer").usage() == "/ft_transfer token receiver_id amount [memo]"
    assert (
        find("contract_call").usage() == "/contract_call contract_id method_name [args] [args_base64] [deposit] [gas]"
    )


def test_a_command_quotes_what_the_shell_would_split() -> None:
    entry = find("contract_call")
    command = entry.slash({"contract_id": "guestbook.localnet", "args": {"text": "it's"}})
    assert command == """/contract_call contract_id=guestbook.localnet args='{"text":"it'"'"'s"}'"""


@pytest.mark.parametrize(
    ("written", "nearest"), [("ft_tranfer", "ft_transfer"), ("near_balanc", "near_balance"), ("qqq", None)]
)
def test_an_unknown_action_is_refused_with_the_nearest(written: str, nearest: str | None) -> None:
    with pytest.raises(InvalidInput) as refused:
        find(written)
    assert refused.value.code == "unknown_action"
    assert refused.value.details["nearest"] == nearest
    assert (f"did you mean {nearest}?" in refused.value.message) == (nearest is not None)


def test_an_unknown_argument_is_refused_with_the_nearest() -> None:
    with pytest.raises(InvalidInput) as refused:
        find("near_transfer").parse({"reciever_id": "bob.localnet", "amount": "1"}, ALICE, REGISTRY)
    assert refused.value.code == "unknown_argument"
    assert "did you mean receiver_id?" in refused.value.message


@pytest.mark.parametrize("raw", [{}, {"receiver_id": "", "amount": None}, {"receiver_id": None}])
def test_missing_arguments_are_all_named(raw: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as refused:
        find("near_transfer").parse(raw, ALICE, REGISTRY)
    assert refused.value.code == "missing_argument"
    assert refused.value.details["missing"] == ["receiver_id", "amount"]
    assert "/near_transfer receiver_id amount" in refused.value.message


def test_an_argument_left_empty_counts_as_not_given() -> None:
    args = find("ft_transfer").parse(
        {"token": "USDC", "receiver_id": "bob.localnet", "amount": "1", "memo": ""}, ALICE, REGISTRY
    )
    assert args.memo is None


def test_a_field_without_a_kind_is_found_when_the_catalogue_is_read() -> None:
    class Unmarked(Args):
        text: str

    entry = find("near_balance")
    with pytest.raises(TypeError, match="is declared with 0 kinds"):
        type(entry)("x", "view", "x", Unmarked, entry.build, ()).usage()
