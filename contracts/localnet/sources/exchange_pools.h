/* The pools of exchange.c: two tokens whose product stays constant, the fee left in the pool for its shares.
 *
 * "n" = u128 number of pools; "p" + u64 = u32 length and id of each token, u128 amount of each, u128 fee of 10000, u128
 * shares; "s" + u64 + account = u128 shares. The arithmetic is ref-exchange's simple_pool.rs with an admin fee of 0.
 */
#pragma once
#include "exchange_accounts.h"

#define COUNT TEXT("n")
#define FEE_DIVISOR 10000
#define FIRST_SHARES ((u128)1000000000000ull * 1000000000000ull)

typedef struct {
  u64 id;
  Slice token[2];
  u128 amount[2], fee, shares;
} Pool;

static u128 pool_count(void) {
  u128 count = 0;
  load_u128(COUNT, &count);
  return count;
}

static Slice pool_key(u64 id) {
  Text key = {0};
  put_byte(&key, 'p');
  put(&key, (Slice){(const u8 *)&id, 8});
  return done(&key);
}

static Slice shares_key(u64 id, Slice account) {
  Text key = {0};
  put_byte(&key, 's');
  put(&key, (Slice){(const u8 *)&id, 8});
  put(&key, account);
  return done(&key);
}

static void load_pool(u128 id, Pool *pool) {
  Slice record;
  if (id >= pool_count() || !load(pool_key((u64)id), &record, RECORD_LIMIT)) panic("E85: invalid pool id");
  const u8 *at = record.ptr;
  pool->id = (u64)id;
  for (int i = 0; i < 2; i++) pool->token[i] = read_slice(&at);
  for (int i = 0; i < 2; i++) pool->amount[i] = read_u128(&at);
  pool->fee = read_u128(&at);
  pool->shares = read_u128(&at);
}

static void store_pool(const Pool *pool) {
  Text record = {0};
  for (int i = 0; i < 2; i++) put_slice(&record, pool->token[i]);
  for (int i = 0; i < 2; i++) put_raw_u128(&record, pool->amount[i]);
  put_raw_u128(&record, pool->fee);
  put_raw_u128(&record, pool->shares);
  store(pool_key(pool->id), done(&record));
}

static int token_index(const Pool *pool, Slice token) {
  for (int i = 0; i < 2; i++)
    if (same(pool->token[i], token)) return i;
  panic("E102: invalid token id");
}

static u128 sum(u128 a, u128 b) {
  if (a > U128_MAX - b) panic("attempt to add with overflow");
  return a + b;
}

/* Moves the pool to where it stands after the swap and tells what comes out. */
static u128 trade(Pool *pool, Slice token_in, u128 amount_in, Slice token_out, u128 least_out) {
  if (same(token_in, token_out)) panic("E73: same token swap");
  int in = token_index(pool, token_in), out = token_index(pool, token_out);
  if (pool->amount[in] == 0 || pool->amount[out] == 0 || amount_in == 0) panic("E76: invalid params");
  U256 after_fee = multiply(u256(amount_in), u256(FEE_DIVISOR - pool->fee));
  U256 divisor = add(multiply(u256(FEE_DIVISOR), u256(pool->amount[in])), after_fee);
  u128 amount_out = as_u128(divide(multiply(after_fee, u256(pool->amount[out])), divisor));
  if (amount_out < least_out) panic("E68: slippage error");
  pool->amount[in] = sum(pool->amount[in], amount_in);
  pool->amount[out] -= amount_out;
  return amount_out;
}

static void put_pool(Text *out, const Pool *pool) {
  put_literal(out, "{\"pool_kind\":\"SIMPLE_POOL\",\"token_account_ids\":[");
  put_json_string(out, pool->token[0]);
  put_byte(out, ',');
  put_json_string(out, pool->token[1]);
  put_literal(out, "],\"amounts\":[");
  put_json_u128(out, pool->amount[0]);
  put_byte(out, ',');
  put_json_u128(out, pool->amount[1]);
  put_literal(out, "],\"total_fee\":");
  put_u128(out, pool->fee);
  put_literal(out, ",\"shares_total_supply\":");
  put_json_u128(out, pool->shares);
  put_literal(out, ",\"amp\":0}");
}

static u128 shares_of(u64 id, Slice account) {
  u128 shares = 0;
  load_u128(shares_key(id, account), &shares);
  return shares;
}

/* ---- liquidity ---- */

/* Both amounts of a list of exactly two. */
static void read_pair(Slice list, u128 *pair) {
  Reader in = list_reader(list);
  Field item = REQUIRED("amounts", IS_U128);
  int count = 0;
  for (; next_item(&in, &item); count++)
    if (count < 2) pair[count] = item.number;
  if (count != 2) panic("E89: wrong token count");
}

static void put_pair(Text *out, const Pool *pool, const u128 *pair) {
  put_literal(out, "[\"");
  for (int i = 0; i < 2; i++) {
    if (i) put_literal(out, "\", \"");
    put_u128(out, pair[i]);
    put_byte(out, ' ');
    put(out, pool->token[i]);
  }
  put_literal(out, "\"]");
}

/* Takes as much as keeps the pool's ratio; `given` then holds what was taken. The first one sets the ratio. */
static u128 provide(Pool *pool, Slice sender, u128 *given) {
  u128 shares = FIRST_SHARES;
  if (pool->shares > 0) {
    if (given[0] == 0 || given[1] == 0) panic("E31: adding zero amount");
    /* One unit less counts and one unit more is taken: rounding is in the pool's favour. */
    u128 first = multiply_divide(given[0] - 1, pool->shares, pool->amount[0]);
    u128 second = multiply_divide(given[1] - 1, pool->shares, pool->amount[1]);
    shares = first < second ? first : second;
    for (int i = 0; i < 2; i++) given[i] = multiply_divide(pool->amount[i], shares, pool->shares) + 1;
  }
  if (shares == 0) panic("E32: minting zero shares");
  for (int i = 0; i < 2; i++) pool->amount[i] = sum(pool->amount[i], given[i]);
  pool->shares = sum(pool->shares, shares);
  store_u128(shares_key(pool->id, sender), shares_of(pool->id, sender) + shares);
  Text out = {0};
  put_literal(&out, "Liquidity added ");
  put_pair(&out, pool, given);
  put_literal(&out, ", minted ");
  put_u128(&out, shares);
  put_literal(&out, " shares");
  log_text(&out);
  return shares;
}

static void take_out(Pool *pool, Slice sender, u128 shares, const u128 *least, u128 *taken) {
  u128 before = shares_of(pool->id, sender);
  if (before < shares) panic("E91: not enough shares");
  for (int i = 0; i < 2; i++) {
    taken[i] = multiply_divide(pool->amount[i], shares, pool->shares);
    if (taken[i] < least[i]) panic("E68: slippage error");
    pool->amount[i] -= taken[i];
  }
  store_u128(shares_key(pool->id, sender), before - shares);
  pool->shares -= shares;
  Text out = {0};
  put_u128(&out, shares);
  put_literal(&out, " shares of liquidity removed: receive back ");
  put_pair(&out, pool, taken);
  log_text(&out);
}
