/* The inner accounts of exchange.c: NEAR for storage, and tokens that were deposited and not yet withdrawn.
 *
 * "a" + account = u128 NEAR, then for each token u32 length, id, u128 amount; "l" + account = the same for tokens that
 * could be given to nobody; "w" = the owner's list of tokens that anyone may deposit.
 */
#pragma once
#include "json.h"
#include "u256.h"

#define RECORD_LIMIT (1u << 20)
#define PER_BYTE ((u128)10000000000000000000ull)
/* What ref-exchange 1.9.17 counts for an account and for each token of it. */
#define BYTES_PER_ACCOUNT 102
#define BYTES_PER_TOKEN 148
#define WHITELIST TEXT("w")

typedef struct {
  Slice token;
  u128 amount;
} Held;

typedef struct {
  u128 near;
  u32 count;
  u32 room;
  Held *held;
} Account;

static void put_raw_u128(Text *out, u128 value) { put(out, (Slice){(const u8 *)&value, 16}); }

static void put_slice(Text *out, Slice bytes) {
  u32 len = (u32)bytes.len;
  put(out, (Slice){(const u8 *)&len, 4});
  put(out, bytes);
}

static u128 read_u128(const u8 **at) {
  u128 value;
  memcpy(&value, *at, 16);
  *at += 16;
  return value;
}

static Slice read_slice(const u8 **at) {
  u32 len;
  memcpy(&len, *at, 4);
  Slice bytes = {*at + 4, len};
  *at += 4 + len;
  return bytes;
}

static Slice account_key(u8 kind, Slice account) {
  Text key = {0};
  put_byte(&key, kind);
  put(&key, account);
  return done(&key);
}

static Held *held_of(const Account *account, Slice token) {
  for (u32 i = 0; i < account->count; i++)
    if (same(account->held[i].token, token)) return &account->held[i];
  return NULL;
}

static void add_held(Account *account, Slice token, u128 amount) {
  Held *held = held_of(account, token);
  if (held) {
    if (held->amount > U128_MAX - amount) panic("attempt to add with overflow");
    held->amount += amount;
    return;
  }
  if (account->count == account->room) {
    u32 room = account->room ? account->room * 2 : 8;
    Held *bigger = take_array(room, sizeof(Held));
    memcpy(bigger, account->held, account->count * sizeof(Held));
    account->held = bigger;
    account->room = room;
  }
  account->held[account->count++] = (Held){token, amount};
}

static void drop_held(Account *account, Held *held) { *held = account->held[--account->count]; }

static bool find_record(Slice key, Account *account) {
  Slice record;
  *account = (Account){0};
  if (!load(key, &record, RECORD_LIMIT)) return false;
  const u8 *at = record.ptr, *end = record.ptr + record.len;
  account->near = read_u128(&at);
  while (at < end) {
    Slice token = read_slice(&at);
    add_held(account, token, read_u128(&at));
  }
  return true;
}

static void store_record(Slice key, const Account *account) {
  Text record = {0};
  put_raw_u128(&record, account->near);
  for (u32 i = 0; i < account->count; i++) {
    put_slice(&record, account->held[i].token);
    put_raw_u128(&record, account->held[i].amount);
  }
  store(key, done(&record));
}

static bool find_account(Slice id, Account *account) { return find_record(account_key('a', id), account); }

static void account_or_panic(Slice id, Account *account) {
  if (!find_account(id, account)) panic("E10: account not registered");
}

static u128 storage_cost(const Account *account) {
  return product(PER_BYTE, BYTES_PER_ACCOUNT + (u64)account->count * BYTES_PER_TOKEN);
}

/* Every way by which an account can grow ends here. */
static void save_account(Slice id, const Account *account) {
  if (storage_cost(account) > account->near) panic("E11: insufficient $NEAR storage deposit");
  store_record(account_key('a', id), account);
}

static u128 take_held(Account *account, Slice token, u128 amount) {
  Held *held = held_of(account, token);
  if (held == NULL) panic("E21: token not registered");
  if (held->amount < amount) panic("E22: not enough tokens in deposit");
  held->amount -= amount;
  return amount;
}

/* ---- the owner's list of tokens ---- */

static bool is_whitelisted(Slice token) {
  Account list;
  find_record(WHITELIST, &list);
  return held_of(&list, token) != NULL;
}

static void put_ids(Text *out, const Account *list) {
  put_byte(out, '[');
  for (u32 i = 0; i < list->count; i++) {
    if (i) put_byte(out, ',');
    put_json_string(out, list->held[i].token);
  }
  put_byte(out, ']');
}

static void put_amounts(Text *out, const Account *account) {
  put_byte(out, '{');
  for (u32 i = 0; i < account->count; i++) {
    if (i) put_byte(out, ',');
    put_json_string(out, account->held[i].token);
    put_byte(out, ':');
    put_json_u128(out, account->held[i].amount);
  }
  put_byte(out, '}');
}

/* ---- NEP-145 ---- */

static void put_storage(Text *out, const Account *account) {
  put_literal(out, "{\"total\":");
  put_json_u128(out, account->near);
  put_literal(out, ",\"available\":");
  put_json_u128(out, account->near - storage_cost(account));
  put_byte(out, '}');
}

static void return_storage(const Account *account) {
  Text out = {0};
  put_storage(&out, account);
  return_text(&out);
}

EXPORT(storage_balance_bounds) void storage_balance_bounds(void) {
  Account empty = {0};
  Text out = {0};
  put_literal(&out, "{\"min\":");
  put_json_u128(&out, storage_cost(&empty));
  put_literal(&out, ",\"max\":null}");
  return_text(&out);
}

EXPORT(storage_balance_of) void storage_balance_of(void) {
  Field args[] = {REQUIRED("account_id", IS_ACCOUNT)};
  READ(input(), args);
  Account account;
  if (find_account(args[0].text, &account)) return_storage(&account);
  else host_value_return(4, PTR("null"));
}

/* Without `registration_only` all of it stays, as room for tokens. */
EXPORT(storage_deposit) void storage_deposit(void) {
  Field args[] = {OPTIONAL("account_id", IS_ACCOUNT), OPTIONAL("registration_only", IS_BOOL)};
  READ(input(), args);
  u128 deposit = attached_deposit(), kept = deposit;
  Slice payer = predecessor(), id = args[0].present ? args[0].text : payer;
  Account account;
  bool registered = find_account(id, &account);
  u128 least = storage_cost(&(Account){0});
  if (!registered && deposit < least) panic("E17: deposit less than min storage");
  if (args[1].number) kept = registered ? 0 : least;
  account.near += kept;
  save_account(id, &account);
  if (deposit > kept) transfer_to(payer, deposit - kept);
  return_storage(&account);
}

EXPORT(storage_withdraw) void storage_withdraw(void) {
  Field args[] = {OPTIONAL("amount", IS_U128)};
  READ(input(), args);
  assert_one_yocto();
  Slice id = predecessor();
  Account account;
  account_or_panic(id, &account);
  u128 available = account.near - storage_cost(&account);
  u128 amount = args[0].number ? args[0].number : available;
  if (available == 0) panic("E15: no storage can withdraw");
  if (amount > available) panic("E16: storage withdraw too much");
  account.near -= amount;
  save_account(id, &account);
  transfer_to(id, amount);
  return_storage(&account);
}

EXPORT(storage_unregister) void storage_unregister(void) {
  Field args[] = {OPTIONAL("force", IS_BOOL)};
  READ(input(), args);
  assert_one_yocto();
  Slice id = predecessor(), key = account_key('a', id);
  Account account;
  if (!find_account(id, &account)) {
    host_value_return(5, PTR("false"));
    return;
  }
  if (account.count) panic("E18: storage unregister tokens not empty");
  host_storage_remove(key.len, PTR(key.ptr), EVICTED);
  transfer_to(id, account.near);
  host_value_return(4, PTR("true"));
}
