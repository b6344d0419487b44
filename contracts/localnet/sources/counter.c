/* A counter that anyone may turn, and what is worth having to try a client on: a method that takes money, one that
 * panics, one whose inner call fails while it succeeds, and a receiver for ft_transfer_call. */
#include "json.h"

#define VALUE TEXT("STATE")
#define TIPS TEXT("t")

static i64 load_value(void) {
  Slice bytes;
  i64 value = 0;
  if (!load(VALUE, &bytes, 8)) return 0;
  if (bytes.len != 8) panic("Cannot deserialize the contract state.");
  memcpy(&value, bytes.ptr, 8);
  return value;
}

static void put_i64(Text *out, i64 value) {
  if (value < 0) put_byte(out, '-');
  put_u128(out, value < 0 ? (u64)0 - (u64)value : (u64)value);
}

static void return_value(i64 value) {
  Text out = {0};
  put_i64(&out, value);
  return_text(&out);
}

static void change_by(i64 step, const char *verb) {
  i64 value;
  /* JSON numbers are exact up to 2^53 only */
  if (__builtin_add_overflow(load_value(), step, &value) || value > (1ll << 53) || value < -(1ll << 53)) {
    panic("Counter overflow");
  }
  store(VALUE, (Slice){(const u8 *)&value, 8});
  Text out = {0};
  put_literal(&out, verb);
  put_i64(&out, value);
  log_text(&out);
  return_value(value);
}

/* `{"number": n}`, 1 when left out; the whole input may be empty too. */
static i64 step_of_input(void) {
  Field args[] = {OPTIONAL("number", IS_COUNT)};
  Slice given = input();
  if (given.len > 0) READ(given, args);
  if (!args[0].present) return 1;
  if (args[0].number > (1ull << 53)) panic("Counter overflow");
  return (i64)args[0].number;
}

EXPORT(get_num) void get_num(void) { return_value(load_value()); }

EXPORT(increment) void increment(void) {
  assert_no_deposit("increment");
  change_by(step_of_input(), "Increased number to ");
}

EXPORT(decrement) void decrement(void) {
  assert_no_deposit("decrement");
  change_by(-step_of_input(), "Decreased number to ");
}

EXPORT(reset) void reset(void) {
  assert_no_deposit("reset");
  change_by(-load_value(), "Reset number to ");
}

/* Payable: keeps the deposit and returns the sum of all of them. */
EXPORT(tip) void tip(void) {
  u128 tips = 0, deposit = attached_deposit();
  if (deposit == 0) panic("Requires positive attached deposit");
  load_u128(TIPS, &tips);
  if (tips > U128_MAX - deposit) panic("Counter overflow");
  store_u128(TIPS, tips + deposit);
  return_u128(tips + deposit);
}

EXPORT(get_tips) void get_tips(void) {
  u128 tips = 0;
  load_u128(TIPS, &tips);
  return_u128(tips);
}

/* Writes, then panics with the given message: nothing of it may stay. */
EXPORT(fail) void fail(void) {
  Field args[] = {OPTIONAL("message", IS_TEXT)};
  Slice given = input();
  if (given.len > 0) READ(given, args);
  change_by(1, "Increased number to ");
  Slice message = args[0].present ? args[0].text : TEXT("The counter was asked to fail");
  host_panic(message.len, PTR(message.ptr));
}

/* Succeeds, while the receipt that it leaves behind fails. */
EXPORT(fail_inside) void fail_inside(void) {
  assert_no_deposit("fail_inside");
  Slice self = current_account();
  u64 promise = host_promise_create(self.len, PTR(self.ptr));
  call_method(promise, "fail", TEXT("{}"), 0, 5 * TGAS, 0);
  change_by(1, "Increased number to ");
}

/* ---- NEP-141's receiver ---- */

static bool starts_with(Slice text, Slice start) {
  return text.len >= start.len && same((Slice){text.ptr, start.len}, start);
}

static Slice transfer_args(Slice receiver, u128 amount) {
  Text out = {0};
  put_literal(&out, "{\"receiver_id\":");
  put_json_string(&out, receiver);
  put_literal(&out, ",\"amount\":");
  put_json_u128(&out, amount);
  put_literal(&out, "}");
  return done(&out);
}

/* Answers with `amount` unused once `first` is done, so that the token resolves after it. */
static void claim_after(u64 first, u128 amount) {
  Slice self = current_account();
  Text args = {0};
  put_literal(&args, "{\"amount\":");
  put_json_u128(&args, amount);
  put_literal(&args, "}");
  u64 claim = host_promise_then(first, self.len, PTR(self.ptr));
  call_method(claim, "claim_unused", done(&args), 0, 3 * TGAS, 0);
  host_promise_return(claim);
}

/* msg: "" keeps all, digits are the unused amount to return, "panic" panics, "garbage" answers nonsense,
 * "spend ACCOUNT" sends all on and still claims it unused, "leave" unregisters first and then claims it. */
EXPORT(ft_on_transfer) void ft_on_transfer(void) {
  Field args[] = {REQUIRED("sender_id", IS_ACCOUNT), REQUIRED("amount", IS_U128), REQUIRED("msg", IS_TEXT)};
  READ(input(), args);
  Slice msg = args[2].text, token = predecessor();
  u128 amount = args[1].number, unused = 0;
  if (same(msg, TEXT("panic"))) panic("The counter does not take this token");
  if (same(msg, TEXT("garbage"))) {
    host_value_return(7, PTR("garbage"));
  } else if (starts_with(msg, TEXT("spend "))) {
    u64 promise = host_promise_create(token.len, PTR(token.ptr));
    Slice to = {msg.ptr + 6, msg.len - 6};
    call_method(promise, "ft_transfer", transfer_args(to, amount), 1, 5 * TGAS, 0);
    claim_after(promise, amount);
  } else if (same(msg, TEXT("leave"))) {
    u64 promise = host_promise_create(token.len, PTR(token.ptr));
    call_method(promise, "storage_unregister", TEXT("{\"force\":true}"), 1, 5 * TGAS, 0);
    claim_after(promise, amount);
  } else if (msg.len == 0 || parse_u128(msg, &unused)) {
    return_u128(unused);
  } else {
    panic("The msg should be empty, an amount, panic, garbage, leave or spend ACCOUNT");
  }
}

EXPORT(claim_unused) void claim_unused(void) {
  assert_private("claim_unused");
  Field args[] = {REQUIRED("amount", IS_U128)};
  READ(input(), args);
  return_u128(args[0].number);
}

EXPORT(contract_source_metadata) void contract_source_metadata(void) {
  Text out = {0};
  put_literal(&out, "{\"version\":\"1.0.0\",\"link\":\"contracts/localnet/sources/counter.c\","
            "\"standards\":[{\"standard\":\"nep330\",\"version\":\"1.1.0\"}]}");
  return_text(&out);
}
