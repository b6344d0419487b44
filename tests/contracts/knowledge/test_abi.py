"""Method names from a contract's code."""

from pathlib import Path

import pytest
import wasmtime
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.errors import InvalidInput
from contracts.knowledge.abi import exported_methods

MODULE = """
(module
  (memory (export "memory") 1)
  (global (export "__heap") i32 (i32.const 0))
  (func (export "new"))
  (func $inner)
  (func (export "get_num")))
"""


def test_exported_functions_are_the_methods() -> None:
    assert exported_methods(bytes(wasmtime.wat2wasm(MODULE))) == ("new", "get_num")


def test_a_module_without_exports_has_none() -> None:
    assert exported_methods(bytes(wasmtime.wat2wasm("(module)"))) == ()


@pytest.mark.parametrize("cut", range(8, 60, 3))
def test_bytes_that_end_too_early_are_refused_or_have_no_exports(cut: int) -> None:
    whole = bytes(wasmtime.wat2wasm(MODULE))
    try:
        assert exported_methods(whole[:cut]) == ()
    except InvalidInput as error:
        found = error.code
    else:
        found = "bad_wasm"
    assert found == "bad_wasm"


@pytest.mark.parametrize("code", [b"", b"\0asm", b"\x7fELF", b"\0asm\x01\0\0\0\x07\xff\xff\xff\xff\xff\xff"])
def test_what_is_no_module_is_refused(code: bytes) -> None:
    with pytest.raises(InvalidInput, match="code"):
        exported_methods(code)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_give_names_or_a_refusal(body: bytes) -> None:
    try:
        names = exported_methods(b"\0asm\x01\0\0\0" + body)
    except InvalidInput as error:
        names = (error.code,)
    assert all(isinstance(name, str) for name in names)


def test_the_shipped_contracts_have_the_methods_of_their_standards() -> None:
    folder = Path(__file__).parents[3] / "contracts" / "localnet" / "wasm"
    names = exported_methods((folder / "ft.wasm").read_bytes())
    assert {"ft_transfer", "ft_balance_of", "ft_metadata", "storage_deposit", "storage_balance_of"} <= set(names)
