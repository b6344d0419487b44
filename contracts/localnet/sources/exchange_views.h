/* The views of exchange.c. */
#pragma once
#include "exchange_pools.h"

static Slice owner(void);

EXPORT(get_number_of_pools) void get_number_of_pools(void) {
  Text out = {0};
  put_u128(&out, pool_count());
  return_text(&out);
}

EXPORT(get_pool) void get_pool(void) {
  Field args[] = {REQUIRED("pool_id", IS_COUNT)};
  READ(input(), args);
  Pool pool;
  Text out = {0};
  load_pool(args[0].number, &pool);
  put_pool(&out, &pool);
  return_text(&out);
}

EXPORT(get_pools) void get_pools(void) {
  Field args[] = {REQUIRED("from_index", IS_COUNT), REQUIRED("limit", IS_COUNT)};
  READ(input(), args);
  u128 count = pool_count(), id = args[0].number, end = sum(id, args[1].number);
  Text out = {0};
  put_byte(&out, '[');
  for (; id < count && id < end; id++) {
    Pool pool;
    if (id > args[0].number) put_byte(&out, ',');
    load_pool(id, &pool);
    put_pool(&out, &pool);
  }
  put_byte(&out, ']');
  return_text(&out);
}

EXPORT(get_pool_by_ids) void get_pool_by_ids(void) {
  Field args[] = {REQUIRED("pool_ids", IS_LIST)};
  READ(input(), args);
  Reader in = list_reader(args[0].text);
  Field item = REQUIRED("pool_ids", IS_COUNT);
  Text out = {0};
  put_byte(&out, '[');
  while (next_item(&in, &item)) {
    Pool pool;
    if (out.len > 1) put_byte(&out, ',');
    load_pool(item.number, &pool);
    put_pool(&out, &pool);
  }
  put_byte(&out, ']');
  return_text(&out);
}

EXPORT(get_pool_fee) void get_pool_fee(void) {
  Field args[] = {REQUIRED("pool_id", IS_COUNT)};
  READ(input(), args);
  Pool pool;
  Text out = {0};
  load_pool(args[0].number, &pool);
  put_u128(&out, pool.fee);
  return_text(&out);
}

EXPORT(get_pool_shares) void get_pool_shares(void) {
  Field args[] = {REQUIRED("pool_id", IS_COUNT), REQUIRED("account_id", IS_ACCOUNT)};
  READ(input(), args);
  Pool pool;
  load_pool(args[0].number, &pool);
  return_u128(shares_of(pool.id, args[1].text));
}

EXPORT(get_pool_total_shares) void get_pool_total_shares(void) {
  Field args[] = {REQUIRED("pool_id", IS_COUNT)};
  READ(input(), args);
  Pool pool;
  load_pool(args[0].number, &pool);
  return_u128(pool.shares);
}

/* What a swap would give now, computed by making it on a copy. */
EXPORT(get_return) void get_return(void) {
  Field args[] = {REQUIRED("pool_id", IS_COUNT), REQUIRED("token_in", IS_ACCOUNT), REQUIRED("amount_in", IS_U128),
                  REQUIRED("token_out", IS_ACCOUNT)};
  READ(input(), args);
  Pool pool;
  load_pool(args[0].number, &pool);
  return_u128(trade(&pool, args[1].text, args[2].number, args[3].text, 0));
}

EXPORT(get_deposits) void get_deposits(void) {
  Field args[] = {REQUIRED("account_id", IS_ACCOUNT)};
  READ(input(), args);
  Account account;
  Text out = {0};
  find_account(args[0].text, &account);
  put_amounts(&out, &account);
  return_text(&out);
}

static void return_held(u8 kind) {
  Field args[] = {REQUIRED("account_id", IS_ACCOUNT), REQUIRED("token_id", IS_ACCOUNT)};
  READ(input(), args);
  Account account;
  find_record(account_key(kind, args[0].text), &account);
  Held *held = held_of(&account, args[1].text);
  return_u128(held ? held->amount : 0);
}

EXPORT(get_deposit) void get_deposit(void) { return_held('a'); }

EXPORT(get_lostfound_token) void get_lostfound_token(void) { return_held('l'); }

EXPORT(get_user_whitelisted_tokens) void get_user_whitelisted_tokens(void) {
  Field args[] = {REQUIRED("account_id", IS_ACCOUNT)};
  READ(input(), args);
  Account account;
  Text out = {0};
  find_account(args[0].text, &account);
  put_ids(&out, &account);
  return_text(&out);
}

EXPORT(get_whitelisted_tokens) void get_whitelisted_tokens(void) {
  Account list;
  Text out = {0};
  find_record(WHITELIST, &list);
  put_ids(&out, &list);
  return_text(&out);
}

EXPORT(get_user_storage_state) void get_user_storage_state(void) {
  Field args[] = {REQUIRED("account_id", IS_ACCOUNT)};
  READ(input(), args);
  Account account;
  Text out = {0};
  if (find_account(args[0].text, &account)) {
    put_literal(&out, "{\"deposit\":");
    put_json_u128(&out, account.near);
    put_literal(&out, ",\"usage\":");
    put_json_u128(&out, storage_cost(&account));
    put_byte(&out, '}');
  } else {
    put_literal(&out, "null");
  }
  return_text(&out);
}

EXPORT(metadata) void metadata(void) {
  Text out = {0};
  put_literal(&out, "{\"version\":\"1.9.17\",\"owner\":");
  put_json_string(&out, owner());
  put_literal(&out, ",\"guardians\":[],\"pool_count\":");
  put_u128(&out, pool_count());
  put_literal(&out, ",\"state\":\"Running\",\"admin_fee_bps\":0,\"wnear_id\":null}");
  return_text(&out);
}

EXPORT(version) void version(void) { host_value_return(8, PTR("\"1.9.17\"")); }

EXPORT(contract_source_metadata) void contract_source_metadata(void) {
  Text out = {0};
  put_literal(&out, "{\"version\":\"1.0.0\",\"link\":\"contracts/localnet/sources/exchange.c\",\"standards\":["
            "{\"standard\":\"nep145\",\"version\":\"1.0.0\"},{\"standard\":\"nep330\",\"version\":\"1.1.0\"}]}");
  return_text(&out);
}
