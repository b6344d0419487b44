/* The fungible token that wnear.c and ft.c share: NEP-141, NEP-145, NEP-148's view, NEP-297 events, NEP-330.
 *
 * Behaviour, panic texts and storage layout follow near-contract-standards 5 (near/near-sdk-rs): balances under
 * "a" + Borsh(account id) as a 16-byte u128, so that the storage minimum of 125 bytes (1 + 4 + 64 + 16 + 40) holds for
 * the longest account id. The total supply stands under "STATE".
 */
#pragma once
#include "json.h"

#define GAS_FOR_RESOLVE (5 * TGAS)
#define GAS_FOR_TRANSFER_CALL (30 * TGAS)
#define BYTES_PER_ACCOUNT 125
/* 125 bytes at 1e19 yoctoNEAR */
#define STORAGE_MINIMUM ((u128)1250000000000000000ull * 1000)
#define STATE TEXT("STATE")

/* Each contract brings these two. */
static Slice token_metadata(void);
static Slice token_link(void);

static Slice balance_key(Slice account) {
  u8 *key = take(5 + ACCOUNT_LIMIT);
  if (account.len > ACCOUNT_LIMIT) panic("The account ID is invalid");
  u32 len = (u32)account.len;
  key[0] = 'a';
  memcpy(key + 1, &len, 4);
  memcpy(key + 5, account.ptr, len);
  return (Slice){key, 5 + len};
}

static bool balance_of(Slice account, u128 *balance) {
  *balance = 0;
  return load_u128(balance_key(account), balance);
}

static void set_balance(Slice account, u128 balance) { store_u128(balance_key(account), balance); }

static u128 total_supply(void) {
  u128 supply;
  if (!load_u128(STATE, &supply)) panic("The contract is not initialized");
  return supply;
}

static void assert_not_initialized(void) {
  if (host_storage_has_key(STATE.len, PTR(STATE.ptr))) panic("The contract has already been initialized");
}

_Noreturn static void panic_not_registered(Slice account) {
  Text out = {0};
  put_literal(&out, "The account ");
  put(&out, account);
  put_literal(&out, " is not registered");
  panic_text(&out);
}

/* ---- events ---- */

static Text event_start(const char *name) {
  Text out = {0};
  put_literal(&out, "EVENT_JSON:{\"standard\":\"nep141\",\"version\":\"1.0.0\",\"event\":\"");
  put_literal(&out, name);
  put_literal(&out, "\",\"data\":[{");
  return out;
}

static void event_end(Text *out, u128 amount, const Slice *memo) {
  put_literal(out, ",\"amount\":");
  put_json_u128(out, amount);
  if (memo) {
    put_literal(out, ",\"memo\":");
    put_json_string(out, *memo);
  }
  put_literal(out, "}]}");
  log_text(out);
}

static void log_transfer(Slice from, Slice to, u128 amount, const Slice *memo) {
  Text out = event_start("ft_transfer");
  put_literal(&out, "\"old_owner_id\":");
  put_json_string(&out, from);
  put_literal(&out, ",\"new_owner_id\":");
  put_json_string(&out, to);
  event_end(&out, amount, memo);
}

/* ft_mint or ft_burn */
static void log_supply(const char *name, Slice owner, u128 amount, const Slice *memo) {
  Text out = event_start(name);
  put_literal(&out, "\"owner_id\":");
  put_json_string(&out, owner);
  event_end(&out, amount, memo);
}

/* ---- balances ---- */

static void register_account(Slice account) {
  u128 balance;
  if (balance_of(account, &balance)) panic("The account is already registered");
  set_balance(account, 0);
}

static void add_to(Slice account, u128 amount) {
  u128 balance;
  if (!balance_of(account, &balance)) panic_not_registered(account);
  if (balance > U128_MAX - amount) panic("Balance overflow");
  set_balance(account, balance + amount);
}

static void take_from(Slice account, u128 amount) {
  u128 balance;
  if (!balance_of(account, &balance)) panic_not_registered(account);
  if (balance < amount) panic("The account doesn't have enough balance");
  set_balance(account, balance - amount);
}

static void mint(Slice account, u128 amount) {
  u128 supply = total_supply();
  if (supply > U128_MAX - amount) panic("Total supply overflow");
  add_to(account, amount);
  store_u128(STATE, supply + amount);
}

/* Takes tokens that are already out of every balance out of the supply. */
static void shrink_supply(u128 amount) {
  u128 supply = total_supply();
  if (supply < amount) panic("Total supply overflow");
  store_u128(STATE, supply - amount);
}

static void move_tokens(Slice from, Slice to, u128 amount, const Slice *memo) {
  if (same(from, to)) panic("Sender and receiver should be different");
  if (amount == 0) panic("The amount should be a positive number");
  take_from(from, amount);
  add_to(to, amount);
  log_transfer(from, to, amount, memo);
}

static const Slice *memo_of(const Field *field) { return field->present ? &field->text : NULL; }

/* ---- NEP-141 ---- */

EXPORT(ft_transfer) void ft_transfer(void) {
  Field args[] = {REQUIRED("receiver_id", IS_ACCOUNT), REQUIRED("amount", IS_U128), OPTIONAL("memo", IS_TEXT)};
  READ(input(), args);
  total_supply();
  assert_one_yocto();
  move_tokens(predecessor(), args[0].text, args[1].number, memo_of(&args[2]));
}

static Slice on_transfer_args(Slice sender, u128 amount, Slice msg) {
  Text out = {0};
  put_literal(&out, "{\"sender_id\":");
  put_json_string(&out, sender);
  put_literal(&out, ",\"amount\":");
  put_json_u128(&out, amount);
  put_literal(&out, ",\"msg\":");
  put_json_string(&out, msg);
  put_literal(&out, "}");
  return done(&out);
}

static Slice resolve_args(Slice sender, Slice receiver, u128 amount) {
  Text out = {0};
  put_literal(&out, "{\"sender_id\":");
  put_json_string(&out, sender);
  put_literal(&out, ",\"receiver_id\":");
  put_json_string(&out, receiver);
  put_literal(&out, ",\"amount\":");
  put_json_u128(&out, amount);
  put_literal(&out, "}");
  return done(&out);
}

EXPORT(ft_transfer_call) void ft_transfer_call(void) {
  Field args[] = {REQUIRED("receiver_id", IS_ACCOUNT), REQUIRED("amount", IS_U128), OPTIONAL("memo", IS_TEXT),
                  REQUIRED("msg", IS_TEXT)};
  READ(input(), args);
  total_supply();
  assert_one_yocto();
  u64 gas = host_prepaid_gas();
  if (gas <= GAS_FOR_TRANSFER_CALL) panic("More gas is required");
  Slice sender = predecessor(), receiver = args[0].text, self = current_account();
  u128 amount = args[1].number;
  move_tokens(sender, receiver, amount, memo_of(&args[2]));
  u64 call = host_promise_create(receiver.len, PTR(receiver.ptr));
  Slice on_transfer = on_transfer_args(sender, amount, args[3].text);
  call_method(call, "ft_on_transfer", on_transfer, 0, gas - GAS_FOR_TRANSFER_CALL, 1);
  u64 resolve = host_promise_then(call, self.len, PTR(self.ptr));
  call_method(resolve, "ft_resolve_transfer", resolve_args(sender, receiver, amount), 0, GAS_FOR_RESOLVE, 0);
  host_promise_return(resolve);
}

/* What the receiver says it did not use, at most `amount`; all of it when it failed or said something else. */
static u128 unused_amount(u128 amount) {
  if (host_promise_results_count() != 1) panic("Contract expected a result on the callback");
  if (host_promise_result(0, REGISTER) != 1) return amount;
  if (host_register_len(REGISTER) > 128) return amount;
  Slice answer = register_bytes(REGISTER, 128);
  const u8 *from = answer.ptr, *to = answer.ptr + answer.len;
  while (from < to && (*from == ' ' || *from == '\n' || *from == '\r' || *from == '\t')) from++;
  while (from < to && (to[-1] == ' ' || to[-1] == '\n' || to[-1] == '\r' || to[-1] == '\t')) to--;
  u128 unused;
  if (to - from < 3 || *from != '"' || to[-1] != '"') return amount;
  if (!parse_u128((Slice){from + 1, (size)(to - from - 2)}, &unused)) return amount;
  return unused < amount ? unused : amount;
}

/* Gives back what is unused and still there; returns what counts as used. A receiver that spent it or left keeps it. */
static u128 refund(Slice sender, Slice receiver, u128 amount, u128 unused) {
  u128 here, theirs;
  balance_of(receiver, &here);
  u128 back = here < unused ? here : unused;
  if (back == 0) return amount;
  Slice memo = TEXT("refund");
  set_balance(receiver, here - back);
  if (!balance_of(sender, &theirs)) {
    log_literal("The account of the sender was deleted");
    shrink_supply(back);
    log_supply("ft_burn", receiver, back, &memo);
    return amount;
  }
  add_to(sender, back);
  log_transfer(receiver, sender, back, &memo);
  return amount - back;
}

EXPORT(ft_resolve_transfer) void ft_resolve_transfer(void) {
  assert_no_deposit("ft_resolve_transfer");
  assert_private("ft_resolve_transfer");
  Field args[] = {REQUIRED("sender_id", IS_ACCOUNT), REQUIRED("receiver_id", IS_ACCOUNT), REQUIRED("amount", IS_U128)};
  READ(input(), args);
  u128 amount = args[2].number;
  return_u128(refund(args[0].text, args[1].text, amount, unused_amount(amount)));
}

EXPORT(ft_total_supply) void ft_total_supply(void) { return_u128(total_supply()); }

EXPORT(ft_balance_of) void ft_balance_of(void) {
  Field args[] = {REQUIRED("account_id", IS_ACCOUNT)};
  READ(input(), args);
  total_supply();
  u128 balance;
  balance_of(args[0].text, &balance);
  return_u128(balance);
}

/* ---- NEP-145: minimum equals maximum, nothing is ever available ---- */

static void return_storage_balance(void) {
  Text out = {0};
  put_literal(&out, "{\"total\":");
  put_json_u128(&out, STORAGE_MINIMUM);
  put_literal(&out, ",\"available\":\"0\"}");
  return_text(&out);
}

EXPORT(storage_balance_bounds) void storage_balance_bounds(void) {
  Text out = {0};
  put_literal(&out, "{\"min\":");
  put_json_u128(&out, STORAGE_MINIMUM);
  put_literal(&out, ",\"max\":");
  put_json_u128(&out, STORAGE_MINIMUM);
  put_literal(&out, "}");
  return_text(&out);
}

EXPORT(storage_balance_of) void storage_balance_of(void) {
  Field args[] = {REQUIRED("account_id", IS_ACCOUNT)};
  READ(input(), args);
  u128 balance;
  if (balance_of(args[0].text, &balance)) return_storage_balance();
  else host_value_return(4, PTR("null"));
}

/* registration_only changes nothing where minimum and maximum are the same. */
EXPORT(storage_deposit) void storage_deposit(void) {
  Field args[] = {OPTIONAL("account_id", IS_ACCOUNT), OPTIONAL("registration_only", IS_BOOL)};
  READ(input(), args);
  total_supply();
  u128 deposit = attached_deposit(), balance, excess = deposit;
  Slice payer = predecessor();
  Slice account = args[0].present ? args[0].text : payer;
  if (balance_of(account, &balance)) {
    log_literal("The account is already registered, refunding the deposit");
  } else {
    if (deposit < STORAGE_MINIMUM) panic("The attached deposit is less than the minimum storage balance");
    register_account(account);
    excess = deposit - STORAGE_MINIMUM;
  }
  if (excess > 0) transfer_to(payer, excess);
  return_storage_balance();
}

EXPORT(storage_withdraw) void storage_withdraw(void) {
  Field args[] = {OPTIONAL("amount", IS_U128)};
  READ(input(), args);
  assert_one_yocto();
  Slice account = predecessor();
  u128 balance;
  if (!balance_of(account, &balance)) panic_not_registered(account);
  if (args[0].number > 0) panic("The amount is greater than the available storage balance");
  return_storage_balance();
}

EXPORT(storage_unregister) void storage_unregister(void) {
  Field args[] = {OPTIONAL("force", IS_BOOL)};
  READ(input(), args);
  assert_one_yocto();
  Slice account = predecessor();
  u128 balance;
  if (!balance_of(account, &balance)) {
    Text out = {0};
    put_literal(&out, "The account ");
    put(&out, account);
    put_literal(&out, " is not registered");
    log_text(&out);
    host_value_return(5, PTR("false"));
    return;
  }
  if (balance > 0 && !args[0].number) {
    panic("Can't unregister the account with the positive balance without force");
  }
  Slice key = balance_key(account);
  host_storage_remove(key.len, PTR(key.ptr), EVICTED);
  if (balance > 0) {
    shrink_supply(balance);
    log_supply("ft_burn", account, balance, NULL);
  }
  transfer_to(account, STORAGE_MINIMUM + 1);
  host_value_return(4, PTR("true"));
}

/* ---- NEP-148 and NEP-330 ---- */

EXPORT(ft_metadata) void ft_metadata(void) {
  Slice metadata = token_metadata();
  host_value_return(metadata.len, PTR(metadata.ptr));
}

EXPORT(contract_source_metadata) void contract_source_metadata(void) {
  Text out = {0};
  put_literal(&out, "{\"version\":\"1.0.0\",\"link\":");
  put_json_string(&out, token_link());
  put_literal(&out, ",\"standards\":[{\"standard\":\"nep141\",\"version\":\"1.0.0\"},{\"standard\":\"nep145\",\"version\":\"1.0.0\"},"
            "{\"standard\":\"nep148\",\"version\":\"1.0.0\"},{\"standard\":\"nep297\",\"version\":\"1.0.0\"},"
            "{\"standard\":\"nep330\",\"version\":\"1.1.0\"}]}");
  return_text(&out);
}
