/* A staking pool: method names, panic texts, log lines, shares and their rounding follow the staking-pool of
 * near/core-contracts. Left out are the owner's methods: pausing, voting, another key or fee.
 *
 * Shares are bought and sold at total_staked_balance / total_stake_shares, which never falls: an account is charged
 * rounded down and paid rounded up, and what the rounding costs comes out of a fund set aside at the start.
 */
#include "keys.h"
#include "u256.h"

HOST(epoch_height) u64 host_epoch_height(void);
HOST(account_balance) void host_account_balance(u64 ptr);
HOST(account_locked_balance) void host_account_locked_balance(u64 ptr);
HOST(promise_batch_action_stake) void host_promise_stake(u64 promise, u64 amount, u64 key_len, u64 key);

#define ROUNDING_FUND ((u128)1000000000000ull)
#define EPOCHS_TO_UNLOCK 4
#define GAS_FOR_CALLBACK (20 * TGAS)
#define STATE TEXT("STATE")
#define KEY_TEXT TEXT("k")

typedef struct {
  u128 total_balance; /* of the account, locked and liquid, when it was last looked at */
  u128 shares;
  u128 staked;
  u64 epoch; /* in which that was */
  u64 accounts;
  u32 fee, fee_of; /* the owner's part of rewards, as a fraction */
  Key key;
  u8 owner_len, owner[ACCOUNT_LIMIT];
} Pool;

typedef struct {
  u128 unstaked;
  u128 shares;
  u64 available; /* the first epoch in which `unstaked` may leave */
  u64 place;     /* in the list of accounts, plus 1; 0: not in it */
} Account;

static Pool pool;

static void load_pool(void) {
  Slice bytes;
  if (!load(STATE, &bytes, sizeof(Pool)) || bytes.len != sizeof(Pool))
    panic("Staking contract should be initialized before usage");
  memcpy(&pool, bytes.ptr, sizeof(Pool));
}

static u128 total_balance(void) {
  u128 liquid = 0, locked = 0;
  host_account_balance(PTR(&liquid));
  host_account_locked_balance(PTR(&locked));
  return liquid + locked;
}

/* ---- accounts, and a list of their names for get_accounts ---- */

static Slice key_of(u8 kind, Slice name) {
  u8 *key = take(1 + name.len);
  key[0] = kind;
  memcpy(key + 1, name.ptr, name.len);
  return (Slice){key, 1 + name.len};
}

static Slice account_key(Slice id) { return key_of('a', id); }
static Slice place_key(u64 place) { return key_of('i', (Slice){(const u8 *)&place, 8}); }

static Account account_of(Slice id) {
  Account account = {0};
  Slice bytes;
  if (load(account_key(id), &bytes, sizeof(Account))) memcpy(&account, bytes.ptr, sizeof(Account));
  return account;
}

static void write_account(Slice id, const Account *account) {
  store(account_key(id), (Slice){(const u8 *)account, sizeof(Account)});
}

/* The last one of the list takes the place of the one that leaves. */
static void forget_account(Slice id, u64 place) {
  Slice last, key = account_key(id), end = place_key(pool.accounts);
  load(end, &last, ACCOUNT_LIMIT);
  if (place != pool.accounts) {
    Account moved = account_of(last);
    moved.place = place;
    write_account(last, &moved);
    store(place_key(place), last);
  }
  host_storage_remove(end.len, PTR(end.ptr), EVICTED);
  host_storage_remove(key.len, PTR(key.ptr), EVICTED);
  pool.accounts--;
}

/* An account without any balance is not kept. */
static void save_account(Slice id, Account account) {
  if (account.unstaked == 0 && account.shares == 0) {
    if (account.place) forget_account(id, account.place);
    return;
  }
  if (account.place == 0) {
    account.place = ++pool.accounts;
    store(place_key(account.place), id);
  }
  write_account(id, &account);
}

/* ---- shares ---- */

ONCE static u128 ratio(u128 a, u128 b, u128 c, bool up) {
  U256 product = multiply(u256(a), u256(b));
  if (up) product = add(product, u256(c - 1));
  return as_u128(divide(product, u256(c)));
}

static u128 shares_of(u128 amount, bool up) {
  if (pool.staked == 0) panic("The total staked balance can't be 0");
  return ratio(pool.shares, amount, pool.staked, up);
}

static u128 amount_of(u128 shares, bool up) {
  if (pool.shares == 0) panic("The total number of stake shares can't be 0");
  return ratio(pool.staked, shares, pool.shares, up);
}

/* ---- log lines: texts and numbers in turn ---- */

static void put_number(Text *out, const char *before, u128 number) { put_literal(out, before), put_u128(out, number); }

static Text line_of(Slice id, const char *verb, u128 amount) {
  Text out = {0};
  put_byte(&out, '@');
  put(&out, id);
  put_number(&out, verb, amount);
  return out;
}

static void log_totals(void) {
  Text out = {0};
  put_number(&out, "Contract total staked balance is ", pool.staked);
  put_number(&out, ". Total number of shares ", pool.shares);
  log_text(&out);
}

/* ---- what every call does ---- */

/* A new epoch's rewards: whatever the account has more than it should. True where the epoch is a new one. */
static bool ping(void) {
  u64 epoch = host_epoch_height();
  if (pool.epoch == epoch) return false;
  pool.epoch = epoch;
  u128 balance = total_balance() - attached_deposit();
  if (balance < pool.total_balance) panic("The new total balance should not be less than the old total balance");
  u128 reward = balance - pool.total_balance;
  if (reward > 0) {
    u128 fee = ratio(pool.fee, reward, pool.fee_of, false);
    pool.staked += reward - fee;
    u128 shares = shares_of(fee, false);
    if (shares > 0) {
      Slice owner = {pool.owner, pool.owner_len};
      Account account = account_of(owner);
      account.shares += shares;
      save_account(owner, account);
      pool.shares += shares;
    }
    pool.staked += fee;
    Text out = {0};
    put_number(&out, "Epoch ", epoch);
    put_number(&out, ": Contract received total rewards of ", reward);
    put_number(&out, " tokens. New total staked balance is ", pool.staked);
    put_number(&out, ". Total number of shares ", pool.shares);
    log_text(&out);
    if (shares > 0) {
      Text line = {0};
      put_number(&line, "Total rewards fee is ", shares);
      put_literal(&line, " stake shares.");
      log_text(&line);
    }
  }
  pool.total_balance = balance;
  return true;
}

static void restake(void) {
  Slice self = current_account();
  u64 promise = host_promise_create(self.len, PTR(self.ptr));
  host_promise_stake(promise, PTR(&pool.staked), pool.key.len, PTR(pool.key.bytes));
  u64 callback = host_promise_then(promise, self.len, PTR(self.ptr));
  call_method(callback, "on_stake_action", TEXT("{}"), 0, GAS_FOR_CALLBACK, 0);
}

static u128 add_deposit(void) {
  Slice id = predecessor();
  Account account = account_of(id);
  u128 amount = attached_deposit();
  account.unstaked += amount;
  save_account(id, account);
  pool.total_balance += amount;
  Text line = line_of(id, " deposited ", amount);
  put_number(&line, ". New unstaked balance is ", account.unstaked);
  log_text(&line);
  return amount;
}

static void log_shares(Slice id, const char *verb, u128 amount, const char *middle, u128 shares, const char *noun,
                       const Account *account) {
  Text line = line_of(id, verb, amount);
  put_number(&line, middle, shares);
  put_number(&line, noun, account->unstaked);
  put_number(&line, " unstaked balance and ", account->shares);
  put_literal(&line, " staking shares");
  log_text(&line);
  log_totals();
}

static void stake_amount(u128 amount) {
  if (amount == 0) panic("Staking amount should be positive");
  Slice id = predecessor();
  Account account = account_of(id);
  u128 shares = shares_of(amount, false);
  if (shares == 0) panic("The calculated number of \"stake\" shares received for staking should be positive");
  u128 charge = amount_of(shares, false);
  if (account.unstaked < charge) panic("Not enough unstaked balance to stake");
  account.unstaked -= charge;
  account.shares += shares;
  save_account(id, account);
  pool.staked += amount_of(shares, true);
  pool.shares += shares;
  log_shares(id, " staking ", charge, ". Received ", shares, " new staking shares. Total ", &account);
}

static void unstake_amount(u128 amount) {
  if (amount == 0) panic("Unstaking amount should be positive");
  Slice id = predecessor();
  Account account = account_of(id);
  if (pool.staked == 0) panic("The contract doesn't have staked balance");
  u128 shares = shares_of(amount, true);
  if (account.shares < shares) panic("Not enough staked balance to unstake");
  u128 receive = amount_of(shares, true);
  account.shares -= shares;
  account.unstaked += receive;
  account.available = host_epoch_height() + EPOCHS_TO_UNLOCK;
  save_account(id, account);
  pool.staked -= amount_of(shares, false);
  pool.shares -= shares;
  log_shares(id, " unstaking ", receive, ". Spent ", shares, " staking shares. Total ", &account);
}

static void withdraw_amount(u128 amount) {
  if (amount == 0) panic("Withdrawal amount should be positive");
  Slice id = predecessor();
  Account account = account_of(id);
  if (account.unstaked < amount) panic("Not enough unstaked balance to withdraw");
  if (account.available > host_epoch_height()) {
    panic("The unstaked balance is not yet available due to unstaking delay");
  }
  account.unstaked -= amount;
  save_account(id, account);
  Text line = line_of(id, " withdrawing ", amount);
  put_number(&line, ". New unstaked balance is ", account.unstaked);
  log_text(&line);
  transfer_to(id, amount);
  pool.total_balance -= amount;
}

static void finish(bool stakes) {
  store(STATE, (Slice){(const u8 *)&pool, sizeof(Pool)});
  if (stakes) restake();
}

static void refuse_deposit(void) {
  if (attached_deposit() != 0) panic("Method doesn't accept deposit");
}

static u128 amount_argument(void) {
  Field args[] = {REQUIRED("amount", IS_U128)};
  READ(input(), args);
  return args[0].number;
}

/* ---- change methods ---- */

EXPORT(new) void contract_new(void) {
  refuse_deposit();
  Field args[] = {REQUIRED("owner_id", IS_TEXT), REQUIRED("stake_public_key", IS_TEXT),
                  REQUIRED("reward_fee_fraction", IS_OBJECT)};
  READ(input(), args);
  Field fraction[] = {REQUIRED("numerator", IS_COUNT), REQUIRED("denominator", IS_COUNT)};
  READ(args[2].text, fraction);
  if (host_storage_has_key(STATE.len, PTR(STATE.ptr))) panic("Already initialized");
  if (fraction[1].number == 0) panic("Denominator must be a positive number");
  if (fraction[0].number > fraction[1].number) panic("The reward fee must be less or equal to 1");
  if (fraction[1].number > 0xFFFFFFFF) panic("Denominator must fit 32 bits");
  if (!is_account_id(args[0].text)) panic("The owner account ID is invalid");
  pool.total_balance = total_balance();
  if (pool.total_balance <= ROUNDING_FUND) panic("Account balance too low");
  pool.staked = pool.shares = pool.total_balance - ROUNDING_FUND;
  pool.epoch = host_epoch_height();
  pool.fee = (u32)fraction[0].number;
  pool.fee_of = (u32)fraction[1].number;
  pool.key = read_key(args[1].text);
  store(KEY_TEXT, args[1].text);
  pool.owner_len = (u8)args[0].text.len;
  memcpy(pool.owner, args[0].text.ptr, args[0].text.len);
  finish(true);
}

EXPORT(ping) void contract_ping(void) {
  refuse_deposit();
  load_pool();
  if (ping()) finish(true);
}

EXPORT(deposit) void deposit(void) {
  load_pool();
  bool fresh = ping();
  add_deposit();
  finish(fresh);
}

EXPORT(deposit_and_stake) void deposit_and_stake(void) {
  load_pool();
  ping();
  stake_amount(add_deposit());
  finish(true);
}

EXPORT(withdraw) void withdraw(void) {
  refuse_deposit();
  u128 amount = amount_argument();
  load_pool();
  bool fresh = ping();
  withdraw_amount(amount);
  finish(fresh);
}

EXPORT(withdraw_all) void withdraw_all(void) {
  refuse_deposit();
  load_pool();
  bool fresh = ping();
  withdraw_amount(account_of(predecessor()).unstaked);
  finish(fresh);
}

EXPORT(stake) void stake(void) {
  refuse_deposit();
  u128 amount = amount_argument();
  load_pool();
  ping();
  stake_amount(amount);
  finish(true);
}

EXPORT(stake_all) void stake_all(void) {
  refuse_deposit();
  load_pool();
  ping();
  stake_amount(account_of(predecessor()).unstaked);
  finish(true);
}

EXPORT(unstake) void unstake(void) {
  refuse_deposit();
  u128 amount = amount_argument();
  load_pool();
  ping();
  unstake_amount(amount);
  finish(true);
}

EXPORT(unstake_all) void unstake_all(void) {
  refuse_deposit();
  load_pool();
  ping();
  unstake_amount(amount_of(account_of(predecessor()).shares, false));
  finish(true);
}

/* The chain may refuse a stake: then the account must not stay locked while people withdraw from it. */
EXPORT(on_stake_action) void on_stake_action(void) {
  refuse_deposit();
  Slice self = current_account();
  u128 locked = 0;
  if (!same(predecessor(), self)) panic("Can be called only as a callback");
  if (host_promise_results_count() != 1) panic("Contract expected a result on the callback");
  host_account_locked_balance(PTR(&locked));
  if (host_promise_result(0, REGISTER) == 1 || locked == 0) return;
  load_pool();
  u128 nothing = 0;
  u64 promise = host_promise_create(self.len, PTR(self.ptr));
  host_promise_stake(promise, PTR(&nothing), pool.key.len, PTR(pool.key.bytes));
}

/* ---- views ---- */

static Slice account_argument(void) {
  Field args[] = {REQUIRED("account_id", IS_TEXT)};
  READ(input(), args);
  load_pool();
  return args[0].text;
}

static bool can_withdraw(const Account *account) { return account->available <= host_epoch_height(); }

static void put_account(Text *out, Slice id) {
  Account account = account_of(id);
  put_literal(out, "{\"account_id\":");
  put_json_string(out, id);
  put_literal(out, ",\"unstaked_balance\":");
  put_json_u128(out, account.unstaked);
  put_literal(out, ",\"staked_balance\":");
  put_json_u128(out, amount_of(account.shares, false));
  put_literal(out, can_withdraw(&account) ? ",\"can_withdraw\":true}" : ",\"can_withdraw\":false}");
}

EXPORT(get_account) void get_account(void) {
  Slice id = account_argument();
  Text out = {0};
  put_account(&out, id);
  return_text(&out);
}

EXPORT(get_account_staked_balance) void get_account_staked_balance(void) {
  return_u128(amount_of(account_of(account_argument()).shares, false));
}

EXPORT(get_account_unstaked_balance) void get_account_unstaked_balance(void) {
  return_u128(account_of(account_argument()).unstaked);
}

EXPORT(get_account_total_balance) void get_account_total_balance(void) {
  Account account = account_of(account_argument());
  return_u128(account.unstaked + amount_of(account.shares, false));
}

static void return_bool(bool answer) { host_value_return(answer ? 4 : 5, PTR(answer ? "true" : "false")); }

EXPORT(is_account_unstaked_balance_available) void is_available(void) {
  Account account = account_of(account_argument());
  return_bool(can_withdraw(&account));
}

EXPORT(get_total_staked_balance) void get_total_staked_balance(void) {
  load_pool();
  return_u128(pool.staked);
}

EXPORT(get_owner_id) void get_owner_id(void) {
  load_pool();
  Text out = {0};
  put_json_string(&out, (Slice){pool.owner, pool.owner_len});
  return_text(&out);
}

EXPORT(get_reward_fee_fraction) void get_reward_fee_fraction(void) {
  load_pool();
  Text out = {0};
  put_number(&out, "{\"numerator\":", pool.fee);
  put_number(&out, ",\"denominator\":", pool.fee_of);
  put_literal(&out, "}");
  return_text(&out);
}

EXPORT(get_staking_key) void get_staking_key(void) {
  load_pool();
  Text out = {0};
  Slice text = TEXT("");
  load(KEY_TEXT, &text, INPUT_LIMIT);
  put_json_string(&out, text);
  return_text(&out);
}

EXPORT(is_staking_paused) void is_staking_paused(void) {
  load_pool();
  return_bool(false);
}

EXPORT(get_number_of_accounts) void get_number_of_accounts(void) {
  load_pool();
  Text out = {0};
  put_u128(&out, pool.accounts);
  return_text(&out);
}

EXPORT(get_accounts) void get_accounts(void) {
  Field args[] = {REQUIRED("from_index", IS_COUNT), REQUIRED("limit", IS_COUNT)};
  READ(input(), args);
  load_pool();
  Text out = {0};
  put_byte(&out, '[');
  u128 end = args[0].number + args[1].number;
  if (end > pool.accounts) end = pool.accounts;
  for (u128 index = args[0].number; index < end; index++) {
    Slice id;
    load(place_key((u64)index + 1), &id, ACCOUNT_LIMIT);
    if (index > args[0].number) put_byte(&out, ',');
    put_account(&out, id);
  }
  put_byte(&out, ']');
  return_text(&out);
}
