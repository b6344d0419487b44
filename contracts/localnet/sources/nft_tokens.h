/* How nft.c keeps its tokens.
 *
 * "STATE" = the id of the account that mints, "m" = the contract's metadata (JSON), "n" = number of tokens (u128),
 * "i" + u64 = the id of the n-th token, "t" + token id = a token, "c" + account = how many it owns (u128),
 * "o" + u32 length + account + u64 = its n-th one.
 */
#pragma once
#include "json.h"
#include "u256.h"

#define STATE TEXT("STATE")
#define COUNT TEXT("n")
#define TOKEN_ID_LIMIT 512
#define RECORD_LIMIT (1u << 20)
#define PER_BYTE ((u128)10000000000000000000ull)

typedef struct {
  Slice account;
  u64 id;
} Approval;

typedef struct {
  Slice id, owner, metadata;
  u64 next_approval, place; /* place: where it stands in its owner's list */
  u32 approved;
  Approval *approvals;
} Token;

static Slice owner_of_contract(void) {
  Slice owner;
  if (!load(STATE, &owner, ACCOUNT_LIMIT)) panic("The contract is not initialized");
  return owner;
}

/* ---- keys ---- */

static void put_u64(Text *out, u64 value) {
  for (int i = 0; i < 8; i++) put_byte(out, (u8)(value >> (8 * i)));
}

static void put_slice(Text *out, Slice bytes) {
  for (int i = 0; i < 4; i++) put_byte(out, (u8)((u32)bytes.len >> (8 * i)));
  put(out, bytes);
}

static Slice token_key(Slice id) {
  if (id.len > TOKEN_ID_LIMIT) panic("The token ID is longer than 512 bytes");
  Text key = {0};
  put_byte(&key, 't');
  put(&key, id);
  return done(&key);
}

static Slice index_key(u64 index) {
  Text key = {0};
  put_byte(&key, 'i');
  put_u64(&key, index);
  return done(&key);
}

static Slice owned_count_key(Slice owner) {
  Text key = {0};
  put_byte(&key, 'c');
  put(&key, owner);
  return done(&key);
}

static Slice owned_key(Slice owner, u64 place) {
  Text key = {0};
  put_byte(&key, 'o');
  put_slice(&key, owner);
  put_u64(&key, place);
  return done(&key);
}

static u64 number_at(Slice key) {
  u128 number = 0;
  load_u128(key, &number);
  return (u64)number;
}

static Slice id_at(Slice key) {
  Slice id;
  if (!load(key, &id, TOKEN_ID_LIMIT)) panic("Cannot deserialize the contract state.");
  return id;
}

/* ---- records ---- */

static u64 read_u64(const u8 **at) {
  u64 value;
  memcpy(&value, *at, 8);
  *at += 8;
  return value;
}

static Slice read_slice(const u8 **at) {
  u32 len;
  memcpy(&len, *at, 4);
  Slice bytes = {*at + 4, len};
  *at += 4 + len;
  return bytes;
}

static bool find_token(Slice id, Token *token) {
  Slice record;
  if (!load(token_key(id), &record, RECORD_LIMIT)) return false;
  const u8 *at = record.ptr;
  token->id = id;
  token->owner = read_slice(&at);
  token->metadata = read_slice(&at);
  token->next_approval = read_u64(&at);
  token->place = read_u64(&at);
  token->approved = (u32)read_u64(&at);
  token->approvals = take_array(token->approved, sizeof(Approval));
  for (u32 i = 0; i < token->approved; i++) {
    token->approvals[i].account = read_slice(&at);
    token->approvals[i].id = read_u64(&at);
  }
  return true;
}

static void token_or_panic(Slice id, Token *token) {
  if (!find_token(id, token)) panic("Token not found");
}

static void store_token(const Token *token) {
  Text record = {0};
  put_slice(&record, token->owner);
  put_slice(&record, token->metadata);
  put_u64(&record, token->next_approval);
  put_u64(&record, token->place);
  put_u64(&record, token->approved);
  for (u32 i = 0; i < token->approved; i++) {
    put_slice(&record, token->approvals[i].account);
    put_u64(&record, token->approvals[i].id);
  }
  store(token_key(token->id), done(&record));
}

/* ---- owners ---- */

static void append_to_owner(Token *token) {
  Slice key = owned_count_key(token->owner);
  token->place = number_at(key);
  store(owned_key(token->owner, token->place), token->id);
  store_u128(key, token->place + 1);
}

/* The last one of the list takes the place that becomes free. */
static void take_from_owner(const Token *token) {
  Slice key = owned_count_key(token->owner), last_key;
  u64 last = number_at(key) - 1;
  last_key = owned_key(token->owner, last);
  if (last != token->place) {
    Token moved;
    token_or_panic(id_at(last_key), &moved);
    moved.place = token->place;
    store_token(&moved);
    store(owned_key(token->owner, token->place), moved.id);
  }
  host_storage_remove(last_key.len, PTR(last_key.ptr), EVICTED);
  if (last == 0) host_storage_remove(key.len, PTR(key.ptr), EVICTED);
  else store_u128(key, last);
}

static void give_to(Token *token, Slice owner) {
  take_from_owner(token);
  token->owner = owner;
  append_to_owner(token);
  store_token(token);
}

/* ---- approvals ---- */

static Approval *approval_of(const Token *token, Slice account) {
  for (u32 i = 0; i < token->approved; i++)
    if (same(token->approvals[i].account, account)) return &token->approvals[i];
  return NULL;
}

/* What near-contract-standards counts for one: the id with its length, and a u64. */
static u128 approval_cost(Slice account) { return product(PER_BYTE, account.len + 12); }

static u128 approvals_cost(const Token *token) {
  u128 cost = 0;
  for (u32 i = 0; i < token->approved; i++) cost += approval_cost(token->approvals[i].account);
  return cost;
}
