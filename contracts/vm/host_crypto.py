"""Host functions that hash, verify, recover keys and compute on alt_bn128; those of other curves stop the contract."""

import hashlib
from collections.abc import Callable
from typing import Final, TypeVar

from Crypto.Hash import RIPEMD160, keccak
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from contracts.signing.signatures import recover_secp256k1
from contracts.vm import alt_bn128
from contracts.vm.execution import Execution
from contracts.vm.failures import host_error, link_error
from contracts.vm.host_work import ECRECOVER_US, ED25519_VERIFY_US, g1_multiexp_us, g1_sum_us, pairing_check_us

InputT = TypeVar("InputT")
ResultT = TypeVar("ResultT")

_SECP256K1_ORDER: Final = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141
_ED25519_ORDER: Final = 2**252 + 27742317777372353535851937790883648493


def sha256(call: Execution, length: int, pointer: int, register_id: int) -> None:
    call.burn(call.costs.base + call.costs.sha256_base)
    data = call.input_bytes(length, pointer)
    call.burn(call.costs.sha256_byte * len(data))
    call.set_register(register_id, hashlib.sha256(data).digest())


def keccak256(call: Execution, length: int, pointer: int, register_id: int) -> None:
    call.burn(call.costs.base + call.costs.keccak256_base)
    data = call.input_bytes(length, pointer)
    call.burn(call.costs.keccak256_byte * len(data))
    call.set_register(register_id, keccak.new(digest_bits=256, data=data).digest())


def keccak512(call: Execution, length: int, pointer: int, register_id: int) -> None:
    call.burn(call.costs.base + call.costs.keccak512_base)
    data = call.input_bytes(length, pointer)
    call.burn(call.costs.keccak512_byte * len(data))
    call.set_register(register_id, keccak.new(digest_bits=512, data=data).digest())


def ripemd160(call: Execution, length: int, pointer: int, register_id: int) -> None:
    call.burn(call.costs.base + call.costs.ripemd160_base)
    data = call.input_bytes(length, pointer)
    call.burn(call.costs.ripemd160_block * ((len(data) + 8) // 64 + 1))
    call.set_register(register_id, RIPEMD160.new(data).digest())


def ed25519_verify(
    call: Execution,
    signature_length: int,
    signature_pointer: int,
    message_length: int,
    message_pointer: int,
    key_length: int,
    key_pointer: int,
) -> int:
    """1 for a valid signature, 0 for one that does not verify; malformed inputs stop the contract."""
    call.burn(call.costs.base + call.costs.ed25519_verify_base)
    signature = call.input_bytes(signature_length, signature_pointer)
    if len(signature) != 64:
        raise host_error("Ed25519VerifyInvalidInput", msg="invalid signature length")
    message = call.input_bytes(message_length, message_pointer)
    call.burn(call.costs.ed25519_verify_byte * len(message))
    key = call.input_bytes(key_length, key_pointer)
    if len(key) != 32:
        raise host_error("Ed25519VerifyInvalidInput", msg="invalid public key length")
    call.work.take(ED25519_VERIFY_US)
    if int.from_bytes(signature[32:], "little") >= _ED25519_ORDER:
        return 0
    try:
        VerifyKey(key).verify(message, signature)
    except BadSignatureError:
        return 0
    return 1


def ecrecover(
    call: Execution,
    hash_length: int,
    hash_pointer: int,
    signature_length: int,
    signature_pointer: int,
    recovery_id: int,
    malleability_flag: int,
    register_id: int,
) -> int:
    """1 and the 64-byte secp256k1 key in the register, or 0 where there is none; malformed inputs stop the contract.

    With the flag the higher one of the two possible s is refused.
    """
    call.burn(call.costs.base + call.costs.ecrecover_base)
    signature = call.input_bytes(signature_length, signature_pointer)
    if len(signature) != 64:
        raise host_error(
            "ECRecoverError", msg=f"The length of the signature: {len(signature)}, exceeds the limit of 64 bytes"
        )
    if recovery_id > 3:
        raise host_error("ECRecoverError", msg=f"V recovery byte 0 through 3 are valid but was provided {recovery_id}")
    digest = call.input_bytes(hash_length, hash_pointer)
    if len(digest) != 32:
        raise host_error("ECRecoverError", msg=f"The length of the hash: {len(digest)}, exceeds the limit of 32 bytes")
    if malleability_flag > 1:
        raise host_error(
            "ECRecoverError", msg=f"Malleability flag needs to be 0 or 1, but is instead {malleability_flag}"
        )
    r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:])
    bound = _SECP256K1_ORDER // 2 + 1 if malleability_flag else _SECP256K1_ORDER
    if r >= _SECP256K1_ORDER or s >= bound:
        return 0
    call.work.take(ECRECOVER_US)
    key = recover_secp256k1(digest, signature + bytes((recovery_id,)))
    if key is None:
        return 0
    call.set_register(register_id, key)
    return 1


def alt_bn128_g1_sum(call: Execution, length: int, pointer: int, register_id: int) -> None:
    costs = call.costs
    elements = _elements(call, length, pointer, 65, costs.alt_bn128_g1_sum_base, costs.alt_bn128_g1_sum_element)
    call.work.take(g1_sum_us(len(elements)))
    call.set_register(register_id, _on_curve(alt_bn128.g1_sum, elements))


def alt_bn128_g1_multiexp(call: Execution, length: int, pointer: int, register_id: int) -> None:
    costs = call.costs
    elements = _elements(
        call, length, pointer, 96, costs.alt_bn128_g1_multiexp_base, costs.alt_bn128_g1_multiexp_element
    )
    call.work.take(g1_multiexp_us(len(elements)))
    call.set_register(register_id, _on_curve(alt_bn128.g1_multiexp, elements))


def alt_bn128_pairing_check(call: Execution, length: int, pointer: int) -> int:
    """1 where the product of the pairings is one, else 0."""
    costs = call.costs
    elements = _elements(
        call, length, pointer, 192, costs.alt_bn128_pairing_check_base, costs.alt_bn128_pairing_check_element
    )
    call.work.take(pairing_check_us(len(elements)))
    return int(_on_curve(alt_bn128.pairing_check, elements))


def _elements(call: Execution, length: int, pointer: int, size: int, base: int, each: int) -> list[bytes]:
    """The elements of an input, paid for; an input that is cut short stops the contract."""
    call.burn(call.costs.base + base)
    data = call.input_bytes(length, pointer)
    elements = _on_curve(lambda whole: alt_bn128.split(whole, size), data)
    call.burn(each * len(elements))
    return elements


def _on_curve(compute: Callable[[InputT], ResultT], data: InputT) -> ResultT:
    try:
        return compute(data)
    except alt_bn128.AltBn128InvalidInput as error:
        raise host_error("AltBn128InvalidInput", msg=str(error)) from None


def not_offered(name: str) -> Callable[..., int | None]:
    """A host function that contracts may import and that stops them when they call it."""

    def stop(call: Execution, *_arguments: int) -> int | None:
        call.burn(call.costs.base)
        raise link_error(f"host function {name} is not offered by this chain")

    return stop
