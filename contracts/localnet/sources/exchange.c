/* An exchange with the interface of ref-exchange 1.9.17 (ref-finance/ref-contracts): constant-product pools of two
 * tokens, inner accounts, swaps on what was deposited, and swaps inside ft_transfer_call whose output is sent at once.
 *
 * Panic texts, logs, answers and arithmetic are that contract's, without its other kinds of pools, its fees for the house
 * and for referrals (both 0 here), its frozen tokens and its unwrapping of wNEAR (`skip_unwrap_near` changes nothing, as
 * there, while no wNEAR contract is configured).
 */
#include "exchange_views.h"

#define STATE TEXT("STATE")
#define GAS_FOR_SEND (20 * TGAS)
#define GAS_FOR_AFTER_SEND (10 * TGAS)

static Slice owner(void) {
  Slice id;
  if (!load(STATE, &id, ACCOUNT_LIMIT)) panic("E103: contract is not initialized");
  return id;
}

/* The deposit pays for what the storage grew by since `before`; the rest goes back. */
static void pay_for_storage(u64 before) {
  u64 now = host_storage_usage();
  u128 cost = product(PER_BYTE, now > before ? now - before : 0), deposit = attached_deposit();
  if (cost > deposit) {
    Text out = {0};
    put_literal(&out, "ERR_STORAGE_DEPOSIT need ");
    put_u128(&out, cost);
    put_literal(&out, ", attatched ");
    put_u128(&out, deposit);
    panic_text(&out);
  }
  if (deposit > cost) transfer_to(predecessor(), deposit - cost);
}

/* ---- sending tokens out ---- */

static u64 send_tokens(Slice receiver, Slice token, u128 amount) {
  Text args = {0};
  put_literal(&args, "{\"receiver_id\":");
  put_json_string(&args, receiver);
  put_literal(&args, ",\"amount\":");
  put_json_u128(&args, amount);
  put_literal(&args, ",\"memo\":null}");
  Text after = {0};
  put_literal(&after, "{\"token_id\":");
  put_json_string(&after, token);
  put_literal(&after, ",\"sender_id\":");
  put_json_string(&after, receiver);
  put_literal(&after, ",\"amount\":");
  put_json_u128(&after, amount);
  put_byte(&after, '}');
  Slice self = current_account();
  u64 transfer = host_promise_create(token.len, PTR(token.ptr));
  call_method(transfer, "ft_transfer", done(&args), 1, GAS_FOR_SEND, 0);
  u64 callback = host_promise_then(transfer, self.len, PTR(self.ptr));
  call_method(callback, "exchange_callback_post_withdraw", done(&after), 0, GAS_FOR_AFTER_SEND, 0);
  return callback;
}

/* What could not be sent goes to the receiver's inner account, or to the lost and found where there is none. */
EXPORT(exchange_callback_post_withdraw) void exchange_callback_post_withdraw(void) {
  assert_private("exchange_callback_post_withdraw");
  Field args[] = {REQUIRED("token_id", IS_ACCOUNT), REQUIRED("sender_id", IS_ACCOUNT), REQUIRED("amount", IS_U128)};
  READ(input(), args);
  if (host_promise_results_count() != 1) panic("E25: expected 1 promise result from withdraw");
  if (host_promise_result(0, REGISTER) == 1) {
    return_u128(args[2].number);
    return;
  }
  Slice id = args[1].text, key = account_key('a', id);
  Account account;
  if (!find_record(key, &account)) {
    Text out = {0};
    put_literal(&out, "Account ");
    put(&out, id);
    put_literal(&out, " is not registered. Depositing to owner or user lostfound account.");
    log_text(&out);
    log_literal("Depositing to user lostfound account.");
    key = account_key('l', id);
    find_record(key, &account);
  }
  add_held(&account, args[0].text, args[2].number);
  store_record(key, &account); /* never refused for want of storage: the tokens would be nobody's */
  return_u128(0);
}

EXPORT(withdraw) void withdraw(void) {
  Field args[] = {REQUIRED("token_id", IS_ACCOUNT), REQUIRED("amount", IS_U128), OPTIONAL("unregister", IS_BOOL),
                  OPTIONAL("skip_unwrap_near", IS_BOOL)};
  READ(input(), args);
  assert_one_yocto();
  Slice sender = predecessor(), token = args[0].text;
  Account account;
  account_or_panic(sender, &account);
  Held *held = held_of(&account, token);
  u128 amount = args[1].number ? args[1].number : held ? held->amount : 0;
  if (held && amount == 0) panic("E29: Illegal withdraw amount");
  take_held(&account, token, amount);
  if (args[2].number) {
    if (held->amount) panic("E24: non-zero token balance");
    drop_held(&account, held);
  }
  save_account(sender, &account);
  host_promise_return(send_tokens(sender, token, amount));
}

EXPORT(claim_lostfound) void claim_lostfound(void) {
  Field args[] = {REQUIRED("token_id", IS_ACCOUNT)};
  READ(input(), args);
  assert_one_yocto();
  Slice sender = predecessor(), key = account_key('l', sender);
  Account lost;
  find_record(key, &lost);
  Held *held = held_of(&lost, args[0].text);
  if (held == NULL || held->amount == 0) panic("E29: Illegal withdraw amount");
  u128 amount = held->amount;
  drop_held(&lost, held);
  store_record(key, &lost);
  host_promise_return(send_tokens(sender, args[0].text, amount));
}

/* ---- swaps ---- */

/* Runs the list of actions on an account: `amount` is what a first action without amount_in takes, where there is one. */
static u128 run_actions(Account *account, Slice actions, bool given, u128 amount) {
  Reader in = list_reader(actions);
  Field item = REQUIRED("actions", IS_OBJECT);
  bool any = false;
  for (; next_item(&in, &item); any = true, given = true) {
    Field a[] = {REQUIRED("pool_id", IS_COUNT), REQUIRED("token_in", IS_ACCOUNT), OPTIONAL("amount_in", IS_U128),
                 REQUIRED("token_out", IS_ACCOUNT), REQUIRED("min_amount_out", IS_U128)};
    READ(item.text, a);
    if (!a[2].present && !given) panic("E41: wrong action result type");
    u128 amount_in = take_held(account, a[1].text, a[2].present ? a[2].number : amount);
    Pool pool;
    load_pool(a[0].number, &pool);
    amount = trade(&pool, a[1].text, amount_in, a[3].text, a[4].number);
    store_pool(&pool);
    add_held(account, a[3].text, amount);
    Text out = {0};
    put_literal(&out, "Swapped ");
    put_u128(&out, amount_in);
    put_byte(&out, ' ');
    put(&out, a[1].text);
    put_literal(&out, " for ");
    put_u128(&out, amount);
    put_byte(&out, ' ');
    put(&out, a[3].text);
    log_text(&out);
  }
  if (!any) panic("E72: at least one swap");
  return amount;
}

/* Without a deposit (a function-call key) only tokens that the account or the owner knows are traded. */
static void check_known(const Account *account, Slice actions) {
  Reader in = list_reader(actions);
  Field item = REQUIRED("actions", IS_OBJECT);
  while (next_item(&in, &item)) {
    Field a[] = {REQUIRED("token_in", IS_ACCOUNT), REQUIRED("token_out", IS_ACCOUNT)};
    READ(item.text, a);
    for (int i = 0; i < 2; i++)
      if (!held_of(account, a[i].text) && !is_whitelisted(a[i].text))
        panic("E27: attach 1yN to swap tokens not in whitelist");
  }
}

EXPORT(swap) void swap(void) {
  Field args[] = {REQUIRED("actions", IS_LIST), OPTIONAL("referral_id", IS_ACCOUNT)};
  READ(input(), args);
  Slice sender = predecessor();
  Account account;
  account_or_panic(sender, &account);
  if (attached_deposit() == 0) check_known(&account, args[0].text);
  u128 amount = run_actions(&account, args[0].text, false, 0);
  save_account(sender, &account);
  return_u128(amount);
}

static void deposit_tokens(Slice sender, Slice token, u128 amount) {
  Account account;
  account_or_panic(sender, &account);
  if (!held_of(&account, token) && !is_whitelisted(token)) panic("E12: token not whitelisted");
  add_held(&account, token, amount);
  save_account(sender, &account);
}

/* msg "" deposits; {"actions": [...]} swaps on an account of its own and sends all of it on. What is sent is used, even
 * where it does not arrive: the token then gives nothing back. */
EXPORT(ft_on_transfer) void ft_on_transfer(void) {
  Field args[] = {REQUIRED("sender_id", IS_ACCOUNT), REQUIRED("amount", IS_U128), REQUIRED("msg", IS_TEXT)};
  READ(input(), args);
  Slice sender = args[0].text, token = predecessor();
  u128 amount = args[1].number;
  if (args[2].text.len == 0) {
    deposit_tokens(sender, token, amount);
    return_u128(0);
    return;
  }
  Field msg[] = {REQUIRED("actions", IS_LIST), OPTIONAL("referral_id", IS_ACCOUNT),
                 OPTIONAL("skip_unwrap_near", IS_BOOL), OPTIONAL("swap_out_recipient", IS_ACCOUNT)};
  bad_input_start = "E28: Illegal msg in ft_transfer_call: ";
  READ(args[2].text, msg);
  Account account = {0};
  add_held(&account, token, amount);
  run_actions(&account, msg[0].text, true, amount);
  Slice receiver = msg[3].present ? msg[3].text : sender;
  for (u32 i = 0; i < account.count; i++)
    if (account.held[i].amount) send_tokens(receiver, account.held[i].token, account.held[i].amount);
  return_u128(0);
}

/* ---- tokens of an inner account ---- */

EXPORT(register_tokens) void register_tokens(void) {
  Field args[] = {REQUIRED("token_ids", IS_LIST)};
  READ(input(), args);
  assert_one_yocto();
  Slice sender = predecessor();
  Account account;
  account_or_panic(sender, &account);
  Reader in = list_reader(args[0].text);
  Field item = REQUIRED("token_ids", IS_ACCOUNT);
  while (next_item(&in, &item)) add_held(&account, item.text, 0);
  save_account(sender, &account);
}

EXPORT(unregister_tokens) void unregister_tokens(void) {
  Field args[] = {REQUIRED("token_ids", IS_LIST)};
  READ(input(), args);
  assert_one_yocto();
  Slice sender = predecessor();
  Account account;
  account_or_panic(sender, &account);
  Reader in = list_reader(args[0].text);
  Field item = REQUIRED("token_ids", IS_ACCOUNT);
  while (next_item(&in, &item)) {
    Held *held = held_of(&account, item.text);
    if (held && held->amount) panic("E24: non-zero token balance");
    if (held) drop_held(&account, held);
  }
  save_account(sender, &account);
}

EXPORT(extend_whitelisted_tokens) void extend_whitelisted_tokens(void) {
  Field args[] = {REQUIRED("tokens", IS_LIST)};
  READ(input(), args);
  assert_one_yocto();
  if (!same(predecessor(), owner())) panic("E100: no permission to invoke this");
  Account list;
  find_record(WHITELIST, &list);
  Reader in = list_reader(args[0].text);
  Field item = REQUIRED("tokens", IS_ACCOUNT);
  while (next_item(&in, &item)) add_held(&list, item.text, 0);
  store_record(WHITELIST, &list);
}

/* ---- pools ---- */

EXPORT(add_simple_pool) void add_simple_pool(void) {
  Field args[] = {REQUIRED("tokens", IS_LIST), REQUIRED("fee", IS_COUNT)};
  READ(input(), args);
  owner();
  u64 before = host_storage_usage();
  u128 id = pool_count();
  Pool pool = {.id = (u64)id, .fee = args[1].number};
  Reader in = list_reader(args[0].text);
  Field item = REQUIRED("tokens", IS_ACCOUNT);
  int count = 0;
  for (; next_item(&in, &item); count++) {
    if (count && same(pool.token[0], item.text)) panic("E92: token duplicated");
    if (count < 2) pool.token[count] = item.text;
  }
  if (count != 2) panic("E89: wrong token count");
  if (pool.fee >= FEE_DIVISOR) panic("E90: fee too large");
  store_pool(&pool);
  store_u128(COUNT, id + 1);
  pay_for_storage(before);
  Text out = {0};
  put_u128(&out, id);
  return_text(&out);
}

EXPORT(add_liquidity) void add_liquidity(void) {
  Field args[] = {REQUIRED("pool_id", IS_COUNT), REQUIRED("amounts", IS_LIST), OPTIONAL("min_amounts", IS_LIST)};
  READ(input(), args);
  if (attached_deposit() == 0) panic("E35: requires attached deposit of at least 1 yoctoNEAR");
  u64 before = host_storage_usage();
  Slice sender = predecessor();
  u128 amounts[2], least[2] = {0, 0};
  Pool pool;
  load_pool(args[0].number, &pool);
  read_pair(args[1].text, amounts);
  if (args[2].present) read_pair(args[2].text, least);
  u128 shares = provide(&pool, sender, amounts);
  for (int i = 0; i < 2; i++)
    if (amounts[i] < least[i]) panic("E86: amount need above min amount");
  Account account;
  account_or_panic(sender, &account);
  for (int i = 0; i < 2; i++) take_held(&account, pool.token[i], amounts[i]);
  save_account(sender, &account);
  store_pool(&pool);
  pay_for_storage(before);
  return_u128(shares);
}

EXPORT(remove_liquidity) void remove_liquidity(void) {
  Field args[] = {REQUIRED("pool_id", IS_COUNT), REQUIRED("shares", IS_U128), REQUIRED("min_amounts", IS_LIST)};
  READ(input(), args);
  assert_one_yocto();
  Slice sender = predecessor();
  Account account;
  account_or_panic(sender, &account);
  u128 least[2], taken[2];
  Pool pool;
  load_pool(args[0].number, &pool);
  read_pair(args[2].text, least);
  take_out(&pool, sender, args[1].number, least, taken);
  store_pool(&pool);
  for (int i = 0; i < 2; i++) add_held(&account, pool.token[i], taken[i]);
  save_account(sender, &account);
  Text out = {0};
  put_byte(&out, '[');
  put_json_u128(&out, taken[0]);
  put_byte(&out, ',');
  put_json_u128(&out, taken[1]);
  put_byte(&out, ']');
  return_text(&out);
}

EXPORT(new) void contract_new(void) {
  assert_no_deposit("new");
  Field args[] = {REQUIRED("owner_id", IS_ACCOUNT)};
  READ(input(), args);
  if (host_storage_has_key(STATE.len, PTR(STATE.ptr))) panic("The contract has already been initialized");
  store(STATE, args[0].text);
}
