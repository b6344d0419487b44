/* What a contract needs of NEAR's host, without libc: imports, memory, text, u128, storage, promises.
 *
 * A contract instance lives for one call, so memory is only ever taken, never given back. Every length that comes from
 * outside is checked against what was allocated for it; a broken rule ends in panic(), which does not return and rolls
 * the call back. Host functions: nearcore's `runtime/near-vm-runner/src/logic/logic.rs`.
 */
#pragma once

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;
typedef unsigned __int128 u128;
typedef __SIZE_TYPE__ size;
#define bool _Bool
#define true 1
#define false 0
#define NULL ((void *)0)

/* Kept out of line where inlining would multiply a call's instructions: code is paid for per byte. */
#define ONCE __attribute__((noinline))
#define HOST(name) __attribute__((import_module("env"), import_name(#name)))
#define EXPORT(name) __attribute__((export_name(#name)))

HOST(input) void host_input(u64 reg);
HOST(register_len) u64 host_register_len(u64 reg);
HOST(read_register) void host_read_register(u64 reg, u64 ptr);
HOST(current_account_id) void host_current_account_id(u64 reg);
HOST(predecessor_account_id) void host_predecessor_account_id(u64 reg);
HOST(attached_deposit) void host_attached_deposit(u64 ptr);
HOST(prepaid_gas) u64 host_prepaid_gas(void);
HOST(storage_usage) u64 host_storage_usage(void);
HOST(value_return) void host_value_return(u64 len, u64 ptr);
HOST(log_utf8) void host_log(u64 len, u64 ptr);
HOST(panic_utf8) _Noreturn void host_panic(u64 len, u64 ptr);
HOST(storage_write) u64 host_storage_write(u64 key_len, u64 key, u64 value_len, u64 value, u64 reg);
HOST(storage_read) u64 host_storage_read(u64 key_len, u64 key, u64 reg);
HOST(storage_remove) u64 host_storage_remove(u64 key_len, u64 key, u64 reg);
HOST(storage_has_key) u64 host_storage_has_key(u64 key_len, u64 key);
HOST(promise_batch_create) u64 host_promise_create(u64 account_len, u64 account);
HOST(promise_batch_then) u64 host_promise_then(u64 promise, u64 account_len, u64 account);
HOST(promise_batch_action_transfer) void host_promise_transfer(u64 promise, u64 amount);
HOST(promise_batch_action_function_call_weight)
void host_promise_call(u64 promise, u64 method_len, u64 method, u64 args_len, u64 args, u64 amount, u64 gas, u64 weight);
HOST(promise_return) void host_promise_return(u64 promise);
HOST(promise_results_count) u64 host_promise_results_count(void);
HOST(promise_result) u64 host_promise_result(u64 index, u64 reg);

#define REGISTER 0
#define EVICTED 1
#define NO_REGISTER (~0ull)
#define PTR(p) ((u64)(size)(p))
#define TGAS 1000000000000ull
#define U128_MAX (~(u128)0)

/* Bytes with their length; text is UTF-8 and never ends in a zero byte. */
typedef struct {
  const u8 *ptr;
  size len;
} Slice;
#define TEXT(literal) ((Slice){(const u8 *)(literal), sizeof(literal) - 1})

/* A slice travels through memory, a pointer to a literal does not: that halves the code. */
static Slice literal(const char *text) {
  size len = 0;
  while (text[len]) len++;
  return (Slice){(const u8 *)text, len};
}

ONCE _Noreturn static void panic(const char *message) {
  Slice text = literal(message);
  host_panic(text.len, PTR(text.ptr));
}

/* ---- memory ---- */

extern u8 __heap_base;
static size heap_next;

void *memcpy(void *restrict to, const void *restrict from, size count) {
  for (size i = 0; i < count; i++) ((u8 *)to)[i] = ((const u8 *)from)[i];
  return to;
}

void *memset(void *to, int byte, size count) {
  for (size i = 0; i < count; i++) ((u8 *)to)[i] = (u8)byte;
  return to;
}

static u8 *take(size count) {
  if (heap_next == 0) heap_next = (size)&__heap_base;
  u64 end = (u64)heap_next + count;
  u64 have = (u64)__builtin_wasm_memory_size(0) << 16;
  if (end > have) {
    u64 pages = (end - have + 65535) >> 16;
    if (pages > 2048 || __builtin_wasm_memory_grow(0, (size)pages) == (size)-1) panic("Out of memory");
  }
  u8 *start = (u8 *)heap_next;
  heap_next = (size)end;
  return start;
}

/* Room for `count` values of `each` bytes that start at a multiple of 8. */
static void *take_array(size count, size each) {
  if (count > 65536) panic("Out of memory");
  return (void *)(((size)take(count * each + 8) + 7) & ~(size)7);
}

static bool same(Slice a, Slice b) {
  if (a.len != b.len) return false;
  for (size i = 0; i < a.len; i++)
    if (a.ptr[i] != b.ptr[i]) return false;
  return true;
}

/* ---- text under construction: doubles its buffer when full ---- */

typedef struct {
  u8 *ptr;
  size len, room;
} Text;

static void put_byte(Text *out, u8 byte) {
  if (out->len == out->room) {
    size room = out->room ? out->room * 2 : 128;
    u8 *bigger = take(room);
    memcpy(bigger, out->ptr, out->len);
    out->ptr = bigger;
    out->room = room;
  }
  out->ptr[out->len++] = byte;
}

static void put(Text *out, Slice text) {
  for (size i = 0; i < text.len; i++) put_byte(out, text.ptr[i]);
}

ONCE static void put_literal(Text *out, const char *text) { put(out, literal(text)); }

static Slice done(const Text *out) { return (Slice){out->ptr, out->len}; }

/* Division and multiplication by ten go over 32-bit limbs: there is no compiler-rt for __int128. */
static void put_u128(Text *out, u128 value) {
  u32 limb[4] = {(u32)value, (u32)(value >> 32), (u32)(value >> 64), (u32)(value >> 96)};
  u8 digits[39];
  int count = 0;
  do {
    u64 rest = 0;
    for (int i = 3; i >= 0; i--) {
      u64 part = (rest << 32) | limb[i];
      limb[i] = (u32)(part / 10);
      rest = part % 10;
    }
    digits[count++] = (u8)('0' + rest);
  } while (limb[0] | limb[1] | limb[2] | limb[3]);
  while (count) put_byte(out, digits[--count]);
}

/* A JSON string, escaped as serde_json does: short forms where they exist, else \u00xx; other UTF-8 as it is. */
static void put_json_string(Text *out, Slice text) {
  static const u8 hex[] = "0123456789abcdef";
  put_byte(out, '"');
  for (size i = 0; i < text.len; i++) {
    u8 c = text.ptr[i];
    u8 brief = c == '"' ? '"' : c == '\\' ? '\\' : c == '\n' ? 'n' : c == '\r' ? 'r' : c == '\t' ? 't'
             : c == '\b' ? 'b' : c == '\f' ? 'f' : 0;
    if (brief) {
      put_byte(out, '\\');
      put_byte(out, brief);
    } else if (c < 0x20) {
      put_literal(out, "\\u00");
      put_byte(out, hex[c >> 4]);
      put_byte(out, hex[c & 15]);
    } else {
      put_byte(out, c);
    }
  }
  put_byte(out, '"');
}

static void put_json_u128(Text *out, u128 value) {
  put_byte(out, '"');
  put_u128(out, value);
  put_byte(out, '"');
}

/* Decimal digits only, no sign, at most u128; leading zeros are fine. */
static bool parse_u128(Slice text, u128 *value) {
  if (text.len == 0) return false;
  u32 limb[4] = {0};
  for (size i = 0; i < text.len; i++) {
    u64 carry = (u8)(text.ptr[i] - '0');
    if (carry > 9) return false;
    for (int j = 0; j < 4; j++) {
      carry += (u64)limb[j] * 10;
      limb[j] = (u32)carry;
      carry >>= 32;
    }
    if (carry) return false;
  }
  memcpy(value, limb, 16);
  return true;
}

static void log_text(const Text *out) { host_log(out->len, PTR(out->ptr)); }
static void log_literal(const char *text) {
  Slice line = literal(text);
  host_log(line.len, PTR(line.ptr));
}
static void return_text(const Text *out) { host_value_return(out->len, PTR(out->ptr)); }
_Noreturn static void panic_text(const Text *out) { host_panic(out->len, PTR(out->ptr)); }

static void return_u128(u128 value) {
  Text out = {0};
  put_json_u128(&out, value);
  return_text(&out);
}

/* ---- the call's surroundings ---- */

/* A register's bytes; `limit` is the longest that makes sense for the caller, more is a panic. */
static Slice register_bytes(u64 reg, u64 limit) {
  u64 len = host_register_len(reg);
  if (len > limit) panic("A value is longer than this contract accepts");
  u8 *bytes = take((size)len);
  host_read_register(reg, PTR(bytes));
  return (Slice){bytes, (size)len};
}

#define INPUT_LIMIT (4u << 20)
#define ACCOUNT_LIMIT 64

static Slice input(void) {
  host_input(REGISTER);
  return register_bytes(REGISTER, INPUT_LIMIT);
}

static Slice predecessor(void) {
  host_predecessor_account_id(REGISTER);
  return register_bytes(REGISTER, ACCOUNT_LIMIT);
}

static Slice current_account(void) {
  host_current_account_id(REGISTER);
  return register_bytes(REGISTER, ACCOUNT_LIMIT);
}

static u128 attached_deposit(void) {
  u128 amount = 0;
  host_attached_deposit(PTR(&amount));
  return amount;
}

static void assert_one_yocto(void) {
  if (attached_deposit() != 1) panic("Requires attached deposit of exactly 1 yoctoNEAR");
}

static void assert_no_deposit(const char *method) {
  if (attached_deposit() == 0) return;
  Text out = {0};
  put_literal(&out, "Method ");
  put_literal(&out, method);
  put_literal(&out, " doesn't accept deposit");
  panic_text(&out);
}

static void assert_private(const char *method) {
  if (same(predecessor(), current_account())) return;
  Text out = {0};
  put_literal(&out, "Method ");
  put_literal(&out, method);
  put_literal(&out, " is private");
  panic_text(&out);
}

/* ---- storage ---- */

static bool load(Slice key, Slice *value, u64 limit) {
  if (!host_storage_read(key.len, PTR(key.ptr), REGISTER)) return false;
  *value = register_bytes(REGISTER, limit);
  return true;
}

static void store(Slice key, Slice value) {
  host_storage_write(key.len, PTR(key.ptr), value.len, PTR(value.ptr), EVICTED);
}

/* 16 bytes little endian, as Borsh writes a u128. A record of another length is not ours. */
static bool load_u128(Slice key, u128 *value) {
  Slice bytes;
  if (!load(key, &bytes, 16)) return false;
  if (bytes.len != 16) panic("Cannot deserialize the contract state.");
  memcpy(value, bytes.ptr, 16);
  return true;
}

static void store_u128(Slice key, u128 value) { store(key, (Slice){(const u8 *)&value, 16}); }

/* ---- promises ---- */

static u64 transfer_to(Slice account, u128 amount) {
  u64 promise = host_promise_create(account.len, PTR(account.ptr));
  host_promise_transfer(promise, PTR(&amount));
  return promise;
}

static void call_method(u64 promise, const char *name, Slice args, u128 deposit, u64 gas, u64 weight) {
  Slice method = literal(name);
  host_promise_call(promise, method.len, PTR(method.ptr), args.len, PTR(args.ptr), PTR(&deposit), gas, weight);
}
