/* Makes accounts under its own name for whoever pays, as `near` and `testnet` do (near/near-linkdrop).
 *
 * `create_account` answers true or false. Where the account cannot be made (it exists, its name is not below this one),
 * the deposit goes back to the caller and the transaction still succeeds, with the answer false.
 */
#include "keys.h"

HOST(promise_batch_action_create_account) void host_promise_create_account(u64 promise);
HOST(promise_batch_action_add_key_with_full_access)
void host_promise_add_full_key(u64 promise, u64 key_len, u64 key, u64 nonce);

#define GAS_FOR_CALLBACK (40 * TGAS)

static Slice callback_args(Slice payer, u128 amount) {
  Text out = {0};
  put_literal(&out, "{\"predecessor_account_id\":");
  put_json_string(&out, payer);
  put_literal(&out, ",\"amount\":");
  put_json_u128(&out, amount);
  put_literal(&out, "}");
  return done(&out);
}

EXPORT(create_account) void create_account(void) {
  Field args[] = {REQUIRED("new_account_id", IS_TEXT), REQUIRED("new_public_key", IS_TEXT)};
  READ(input(), args);
  Slice account = args[0].text, self = current_account();
  Key key = read_key(args[1].text);
  if (!is_account_id(account)) panic("Invalid account id");
  u128 amount = attached_deposit();
  u64 creation = host_promise_create(account.len, PTR(account.ptr));
  host_promise_create_account(creation);
  host_promise_add_full_key(creation, key.len, PTR(key.bytes), 0);
  host_promise_transfer(creation, PTR(&amount));
  u64 callback = host_promise_then(creation, self.len, PTR(self.ptr));
  call_method(callback, "on_account_created", callback_args(predecessor(), amount), 0, GAS_FOR_CALLBACK, 0);
  host_promise_return(callback);
}

EXPORT(on_account_created) void on_account_created(void) {
  assert_no_deposit("on_account_created");
  Field args[] = {REQUIRED("predecessor_account_id", IS_ACCOUNT), REQUIRED("amount", IS_U128)};
  READ(input(), args);
  if (!same(predecessor(), current_account())) panic("Callback can only be called from the contract");
  if (host_promise_results_count() != 1) panic("Contract expected a result on the callback");
  bool made = host_promise_result(0, REGISTER) == 1;
  if (!made) transfer_to(args[0].text, args[1].number);
  Slice answer = made ? TEXT("true") : TEXT("false");
  host_value_return(answer.len, PTR(answer.ptr));
}
