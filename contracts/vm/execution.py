"""One running function call: its memory, registers, gas, logs, promises and result. Host functions act on it."""

import ctypes
from dataclasses import dataclass, field

from contracts.calls import Action
from contracts.errors import VmError
from contracts.types import U64_MAX, AccountId, CryptoHash
from contracts.vm.config import RuntimeConfig
from contracts.vm.failures import host_error, link_error
from contracts.vm.host_work import CHARGE_US, HostWork
from contracts.vm.native import GuestMemory, Instance
from contracts.vm.receipts import DataReceiver, ReceivedData, derived_id
from contracts.vm.state import Account, Overlay


@dataclass(frozen=True, slots=True)
class BlockContext:
    """The block in which something executes."""

    height: int
    timestamp_ns: int
    epoch_height: int
    gas_price: int
    """yoctoNEAR per gas."""
    block_hash: CryptoHash
    random_seed: bytes
    """32 bytes."""
    foretold: bool = False
    """The block is not made yet: nobody knows its random seed, and nothing is known of validators."""


@dataclass(frozen=True, slots=True)
class CallContext:
    """What a contract is told about its call."""

    config: RuntimeConfig
    block: BlockContext
    current_account_id: AccountId
    signer_account_id: AccountId
    signer_public_key: bytes
    """Borsh: curve byte and key."""
    predecessor_account_id: AccountId
    method_name: str
    input: bytes
    prepaid_gas: int
    attached_deposit: int
    random_seed: bytes
    action_hash: bytes
    """32 bytes that no other action has: the root of data ids."""
    promise_results: tuple[ReceivedData, ...] = ()
    output_data_receivers: tuple[AccountId, ...] = ()
    """Who waits for the returned value; each is sent the bytes at the caller's cost."""
    is_view: bool = False


@dataclass(slots=True)
class PendingReceipt:
    """A receipt that the running contract creates."""

    receiver_id: AccountId
    actions: list[Action] = field(default_factory=list[Action])
    input_data_ids: list[CryptoHash] = field(default_factory=list[CryptoHash])
    output_data_receivers: list[DataReceiver] = field(default_factory=list[DataReceiver])


@dataclass(frozen=True, slots=True)
class Promise:
    """The receipts that a promise index stands for: one, or those of a joint promise."""

    receipts: tuple[int, ...]
    joint: bool


@dataclass(frozen=True, slots=True)
class GasWeight:
    """A share of the gas left over, for the function call at this place."""

    receipt_index: int
    action_index: int
    weight: int


class Execution:
    """State of one function call. Made for one call, used by one thread, and thrown away with the instance."""

    __slots__ = (
        "account",
        "balance",
        "burnt",
        "context",
        "costs",
        "data_ids",
        "gas_limit",
        "gas_weights",
        "instance",
        "limits",
        "log_bytes",
        "logs",
        "memory",
        "memory_base",
        "memory_size",
        "overlay",
        "promised",
        "promises",
        "receipts",
        "registers",
        "registers_size",
        "returned",
        "returned_receipt",
        "storage_usage",
        "work",
    )

    def __init__(self, context: CallContext, account: Account, overlay: Overlay, work: HostWork) -> None:
        self.context = context
        self.account = account
        self.overlay = overlay
        self.work = work
        self.costs = context.config.ext_costs
        self.limits = context.config.limits
        self.balance = account.amount + context.attached_deposit
        self.storage_usage = account.storage_usage
        self.gas_limit = min(context.prepaid_gas, self.limits.max_gas_burnt)
        self.burnt = 0
        """Gas of host functions; the engine adds what instructions cost."""
        self.promised = 0
        """Gas set aside for receipts that this call creates."""
        self.instance: Instance | None = None
        self.memory: GuestMemory | None = None
        self.memory_base = 0
        self.memory_size = 0
        self.registers: dict[int, bytes] = {}
        self.registers_size = 0
        self.logs: list[str] = []
        self.log_bytes = 0
        self.receipts: list[PendingReceipt] = []
        self.promises: list[Promise] = []
        self.gas_weights: list[GasWeight] = []
        self.data_ids = 0
        self.returned = b""
        self.returned_receipt: int | None = None

    # gas

    def burn(self, gas: int) -> None:
        """Charge host work. GasExceeded or GasLimitExceeded where it is too much gas, TooExpensiveHere where it is too long."""
        self.burnt += gas
        self.work.take(CHARGE_US)
        if self.burnt + self.promised > self.gas_limit:
            raise self.out_of_gas()

    def promise_gas(self, gas: int) -> None:
        self.promised += gas
        if self.burnt + self.promised > self.gas_limit:
            raise self.out_of_gas()

    def instruction_gas(self) -> int:
        """Gas of the instructions executed so far."""
        return self.instance.used_fuel * self.context.config.regular_op_cost if self.instance is not None else 0

    def settle_gas(self) -> None:
        """After the instance stopped: what instructions cost is burnt too, up to what was prepaid."""
        self.burnt += self.instruction_gas()
        self.instance = None
        self.memory = None
        self.memory_base = self.memory_size = 0

    def out_of_gas(self) -> VmError:
        if self.context.prepaid_gas > self.limits.max_gas_burnt or self.context.is_view:
            return host_error("GasLimitExceeded")
        return host_error("GasExceeded")

    # guest memory

    def attach(self, instance: Instance, memory: GuestMemory | None) -> None:
        """Act on this instance's memory from now on."""
        self.instance = instance
        self.memory = memory
        self.memory_base = memory.base if memory is not None else 0

    def read(self, pointer: int, length: int) -> bytes:
        """Bytes of the contract's memory; MemoryAccessViolation outside it."""
        self.burn(self.costs.read_memory_base + self.costs.read_memory_byte * length)
        return self._peek(pointer, length)

    def write(self, pointer: int, data: bytes) -> None:
        """Put bytes into the contract's memory; MemoryAccessViolation outside it."""
        length = len(data)
        self.burn(self.costs.write_memory_base + self.costs.write_memory_byte * length)
        self._check(pointer, length)
        ctypes.memmove(self.memory_base + pointer, data, length)

    def _peek(self, pointer: int, length: int) -> bytes:
        self._check(pointer, length)
        return ctypes.string_at(self.memory_base + pointer, length)

    def _check(self, pointer: int, length: int) -> None:
        if pointer + length > self.memory_size:
            # The memory may have grown since it was last measured; it never moves (Config.memory_may_move).
            self.memory_size = self.memory.size() if self.memory is not None else 0
            if pointer + length > self.memory_size:
                raise host_error("MemoryAccessViolation")

    def read_u128(self, pointer: int) -> int:
        return int.from_bytes(self.read(pointer, 16), "little")

    def write_u128(self, pointer: int, value: int) -> None:
        self.write(pointer, value.to_bytes(16, "little"))

    # registers

    def register(self, register_id: int) -> bytes:
        """A register's bytes; InvalidRegisterId where it is empty."""
        data = self.registers.get(register_id)
        if data is None:
            raise host_error("InvalidRegisterId", register_id=register_id)
        self.burn(self.costs.read_register_base + self.costs.read_register_byte * len(data))
        return data

    def set_register(self, register_id: int, data: bytes) -> None:
        """Store bytes; refused (MemoryAccessViolation, as nearcore does) above the size and number limits."""
        length = len(data)
        self.burn(self.costs.write_register_base + self.costs.write_register_byte * length)
        old = self.registers.get(register_id)
        size = self.registers_size + length + 8 - (len(old) + 8 if old is not None else 0)
        too_many = old is None and len(self.registers) >= self.limits.max_number_registers
        if too_many or length > self.limits.max_register_size or size > self.limits.registers_memory_limit:
            raise host_error("MemoryAccessViolation")
        self.registers[register_id] = data
        self.registers_size = size

    def input_bytes(self, length: int, pointer: int) -> bytes:
        """An argument: `length` bytes of memory, or the register `pointer` where the length is u64::MAX."""
        return self.register(pointer) if length == U64_MAX else self.read(pointer, length)

    # text

    def utf8(self, length: int, pointer: int, limit: int) -> str:
        """UTF-8 text of at most `limit` bytes, NUL-terminated where the length is u64::MAX."""
        data = self._terminated(pointer, limit, 1) if length == U64_MAX else self._limited(pointer, length, limit)
        self.burn(self.costs.utf8_decoding_base + self.costs.utf8_decoding_byte * len(data))
        try:
            return data.decode()
        except UnicodeDecodeError:
            raise host_error("BadUTF8") from None

    def utf16(self, length: int, pointer: int, limit: int) -> str:
        """UTF-16LE text of at most `limit` bytes, ended by a zero unit where the length is u64::MAX."""
        data = self._terminated(pointer, limit, 2) if length == U64_MAX else self._limited(pointer, length, limit)
        self.burn(self.costs.utf16_decoding_base + self.costs.utf16_decoding_byte * len(data))
        try:
            return data.decode("utf-16-le")
        except UnicodeDecodeError:
            raise host_error("BadUTF16") from None

    def _limited(self, pointer: int, length: int, limit: int) -> bytes:
        if length > limit:
            raise host_error(
                "TotalLogLengthExceeded",
                length=self.log_bytes + length,
                limit=self.limits.max_total_log_length,
            )
        return self.read(pointer, length)

    def _terminated(self, pointer: int, limit: int, unit: int) -> bytes:
        data = bytearray()
        end = bytes(unit)
        while True:
            piece = self.read(pointer + len(data), unit)
            if piece == end:
                return bytes(data)
            data += piece
            if len(data) > limit:
                raise host_error(
                    "TotalLogLengthExceeded",
                    length=self.log_bytes + len(data),
                    limit=self.limits.max_total_log_length,
                )

    def account_id(self, length: int, pointer: int) -> AccountId:
        data = self.input_bytes(length, pointer)
        self.burn(self.costs.utf8_decoding_base + self.costs.utf8_decoding_byte * len(data))
        try:
            return AccountId(data.decode())
        except UnicodeDecodeError:
            raise host_error("BadUTF8") from None
        except ValueError:
            raise host_error("InvalidAccountId") from None

    # view restriction

    def refuse_in_view(self, method_name: str) -> None:
        if self.context.is_view:
            raise host_error("ProhibitedInView", method_name=method_name)

    def refuse_to_guess(self, method_name: str) -> None:
        """LinkError for what depends on a block that is not made yet: a contract could tell by it that it is only tried."""
        if self.context.block.foretold:
            raise link_error(f"host function {method_name} asks for what is not known before the block is made")

    # promises

    def new_data_id(self) -> CryptoHash:
        """A data id that depends on the action, the block and how many were made before."""
        data_id = derived_id(self.context.action_hash, self.context.block.height, self.data_ids)
        self.data_ids += 1
        return data_id
