/* Wrapped NEAR: one token for one NEAR. Deposits and withdrawals as w-near of near/core-contracts does them, with
 * NEP-297 events of what was minted and burnt next to its log lines. */
#include "ft.h"

static Slice token_metadata(void) {
  total_supply();
  return TEXT("{\"spec\":\"ft-1.0.0\",\"name\":\"Wrapped NEAR fungible token\",\"symbol\":\"wNEAR\",\"icon\":null,"
              "\"reference\":null,\"reference_hash\":null,\"decimals\":24}");
}

static Slice token_link(void) { return TEXT("contracts/localnet/sources/wnear.c"); }

EXPORT(new) void contract_new(void) {
  assert_no_deposit("new");
  assert_not_initialized();
  store_u128(STATE, 0);
}

static void log_line(const char *verb, u128 amount, const char *preposition, Slice account) {
  Text out = {0};
  put_literal(&out, verb);
  put_u128(&out, amount);
  put_literal(&out, preposition);
  put(&out, account);
  log_text(&out);
}

/* An account that is not registered pays the storage minimum out of the amount. */
EXPORT(near_deposit) void near_deposit(void) {
  total_supply();
  u128 amount = attached_deposit(), balance;
  if (amount == 0) panic("Requires positive attached deposit");
  Slice account = predecessor();
  if (!balance_of(account, &balance)) {
    if (amount < STORAGE_MINIMUM) panic("ERR_DEPOSIT_TOO_SMALL");
    register_account(account);
    amount -= STORAGE_MINIMUM;
  }
  mint(account, amount);
  log_line("Deposit ", amount, " NEAR to ", account);
  if (amount > 0) log_supply("ft_mint", account, amount, NULL);
}

/* The attached yocto goes back with the withdrawn NEAR. */
EXPORT(near_withdraw) void near_withdraw(void) {
  Field args[] = {REQUIRED("amount", IS_U128)};
  READ(input(), args);
  total_supply();
  assert_one_yocto();
  Slice account = predecessor();
  u128 amount = args[0].number;
  take_from(account, amount);
  shrink_supply(amount);
  log_line("Withdraw ", amount, " yoctoNEAR from ", account);
  if (amount > 0) log_supply("ft_burn", account, amount, NULL);
  host_promise_return(transfer_to(account, amount + 1));
}

EXPORT(storage_minimum_balance) void storage_minimum_balance(void) { return_u128(STORAGE_MINIMUM); }
