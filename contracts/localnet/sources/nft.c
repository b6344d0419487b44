/* Non-fungible tokens that the contract's owner mints: NEP-171 with transfer-and-call, NEP-177 metadata, NEP-178
 * approvals, NEP-181 enumeration, NEP-297 events, NEP-330.
 *
 * Behaviour and panic texts follow near-contract-standards 5 (near/near-sdk-rs), with one difference: a transfer gives
 * the former owner back what the cleared approvals had paid for storage.
 */
#include "nft_tokens.h"

#define METADATA TEXT("m")
#define GAS_FOR_RESOLVE (5 * TGAS)
#define GAS_FOR_TRANSFER_CALL (30 * TGAS)
#define GAS_FOR_APPROVE (10 * TGAS)
#define TOKEN_FIELDS 12
#define COPIES 4

/* ---- JSON of what is told ---- */

static void put_fields(Text *out, const Field *fields, size count) {
  put_byte(out, '{');
  for (size i = 0; i < count; i++) {
    if (i) put_byte(out, ',');
    put_json_string(out, literal(fields[i].name));
    put_byte(out, ':');
    if (!fields[i].present) put_literal(out, "null");
    else if (fields[i].kind == IS_COUNT) put_u128(out, fields[i].number);
    else put_json_string(out, fields[i].text);
  }
  put_byte(out, '}');
}

/* NEP-177's metadata of a token, checked and written anew, so that nothing unknown is told on. */
static Slice token_metadata_json(Slice object) {
  Field m[TOKEN_FIELDS] = {
      OPTIONAL("title", IS_TEXT),     OPTIONAL("description", IS_TEXT), OPTIONAL("media", IS_TEXT),
      OPTIONAL("media_hash", IS_TEXT), OPTIONAL("copies", IS_COUNT),    OPTIONAL("issued_at", IS_TEXT),
      OPTIONAL("expires_at", IS_TEXT), OPTIONAL("starts_at", IS_TEXT),  OPTIONAL("updated_at", IS_TEXT),
      OPTIONAL("extra", IS_TEXT),      OPTIONAL("reference", IS_TEXT),  OPTIONAL("reference_hash", IS_TEXT)};
  READ(object, m);
  if (m[COPIES].number > ~0ull) panic("The metadata's copies must fit a u64");
  Text out = {0};
  put_fields(&out, m, TOKEN_FIELDS);
  return done(&out);
}

static Slice contract_metadata_json(Slice object) {
  Field m[] = {REQUIRED("spec", IS_TEXT),     REQUIRED("name", IS_TEXT),      REQUIRED("symbol", IS_TEXT),
               OPTIONAL("icon", IS_TEXT),     OPTIONAL("base_uri", IS_TEXT),  OPTIONAL("reference", IS_TEXT),
               OPTIONAL("reference_hash", IS_TEXT)};
  READ(object, m);
  if (!same(m[0].text, TEXT("nft-1.0.0"))) panic("Spec is not NFT metadata");
  if (m[5].present != m[6].present) panic("Reference and reference hash must be present");
  Text out = {0};
  put_fields(&out, m, sizeof(m) / sizeof(m[0]));
  return done(&out);
}

static void put_token(Text *out, const Token *token) {
  put_literal(out, "{\"token_id\":");
  put_json_string(out, token->id);
  put_literal(out, ",\"owner_id\":");
  put_json_string(out, token->owner);
  put_literal(out, ",\"metadata\":");
  put(out, token->metadata);
  put_literal(out, ",\"approved_account_ids\":{");
  for (u32 i = 0; i < token->approved; i++) {
    if (i) put_byte(out, ',');
    put_json_string(out, token->approvals[i].account);
    put_byte(out, ':');
    put_u128(out, token->approvals[i].id);
  }
  put_literal(out, "}}");
}

static void put_member(Text *out, const char *start, Slice text) {
  put_literal(out, start);
  put_json_string(out, text);
}

static void log_event(const char *name, Slice old_owner, Slice owner, Slice token_id, Slice authorized, const Field *memo) {
  Text out = {0};
  put_literal(&out, "EVENT_JSON:{\"standard\":\"nep171\",\"version\":\"1.0.0\",\"event\":\"");
  put_literal(&out, name);
  put_literal(&out, "\",\"data\":[{");
  if (old_owner.len) {
    put_member(&out, "\"old_owner_id\":", old_owner);
    put_member(&out, ",\"new_owner_id\":", owner);
  } else {
    put_member(&out, "\"owner_id\":", owner);
  }
  put_member(&out, ",\"token_ids\":[", token_id);
  put_byte(&out, ']');
  if (authorized.len) put_member(&out, ",\"authorized_id\":", authorized);
  if (memo && memo->present) put_member(&out, ",\"memo\":", memo->text);
  put_literal(&out, "}]}");
  log_text(&out);
}

/* ---- money ---- */

/* As the standard's refund_deposit: what the storage costs stays, the rest goes back. */
static void keep_cost(u128 cost) {
  u128 deposit = attached_deposit();
  if (cost > deposit) {
    Text out = {0};
    put_literal(&out, "Must attach ");
    put_u128(&out, cost);
    put_literal(&out, " yoctoNEAR to cover storage");
    panic_text(&out);
  }
  if (deposit - cost > 1) transfer_to(predecessor(), deposit - cost);
}

static void give_back(Slice account, u128 amount) {
  if (amount > 0) transfer_to(account, amount);
}

/* ---- NEP-171 ---- */

/* Moves the token; `token` then holds the approvals it had, and `from` its former owner. */
static void move_token(Token *token, Slice *from, Slice receiver, Slice token_id, const Field *approval, const Field *memo) {
  token_or_panic(token_id, token);
  Slice sender = predecessor();
  bool owns = same(sender, token->owner);
  if (!owns) {
    Approval *approved = approval_of(token, sender);
    if (approved == NULL) panic("Sender not approved");
    if (approval->present && approval->number != approved->id) {
      Text out = {0};
      put_literal(&out, "The actual approval_id Some(");
      put_u128(&out, approved->id);
      put_literal(&out, ") is different from the given approval_id Some(");
      put_u128(&out, approval->number);
      put_literal(&out, ")");
      panic_text(&out);
    }
  }
  *from = token->owner;
  if (same(token->owner, receiver)) panic("Current and next owner must differ");
  u32 approved = token->approved;
  token->approved = 0;
  give_to(token, receiver);
  token->approved = approved;
  log_event("nft_transfer", *from, receiver, token_id, owns ? TEXT("") : sender, memo);
}

#define TRANSFER_ARGS                                                                                          \
  REQUIRED("receiver_id", IS_ACCOUNT), REQUIRED("token_id", IS_TEXT), OPTIONAL("approval_id", IS_COUNT), \
      OPTIONAL("memo", IS_TEXT)

EXPORT(nft_transfer) void nft_transfer(void) {
  Field args[] = {TRANSFER_ARGS};
  READ(input(), args);
  assert_one_yocto();
  Token token;
  Slice from;
  move_token(&token, &from, args[0].text, args[1].text, &args[2], &args[3]);
  give_back(from, approvals_cost(&token));
}

static Slice resolve_args(Slice from, Slice receiver, const Token *token) {
  Text out = {0};
  put_member(&out, "{\"previous_owner_id\":", from);
  put_member(&out, ",\"receiver_id\":", receiver);
  put_member(&out, ",\"token_id\":", token->id);
  put_literal(&out, ",\"approvals\":[");
  for (u32 i = 0; i < token->approved; i++) {
    put_member(&out, i ? ",{\"account_id\":" : "{\"account_id\":", token->approvals[i].account);
    put_literal(&out, ",\"approval_id\":");
    put_u128(&out, token->approvals[i].id);
    put_byte(&out, '}');
  }
  put_literal(&out, "]}");
  return done(&out);
}

EXPORT(nft_transfer_call) void nft_transfer_call(void) {
  Field args[] = {TRANSFER_ARGS, REQUIRED("msg", IS_TEXT)};
  READ(input(), args);
  assert_one_yocto();
  u64 gas = host_prepaid_gas();
  if (gas <= GAS_FOR_TRANSFER_CALL) panic("More gas is required");
  Token token;
  Slice from, receiver = args[0].text, self = current_account();
  move_token(&token, &from, receiver, args[1].text, &args[2], &args[3]);
  Text out = {0};
  put_member(&out, "{\"sender_id\":", predecessor());
  put_member(&out, ",\"previous_owner_id\":", from);
  put_member(&out, ",\"token_id\":", token.id);
  put_member(&out, ",\"msg\":", args[4].text);
  put_byte(&out, '}');
  u64 call = host_promise_create(receiver.len, PTR(receiver.ptr));
  call_method(call, "nft_on_transfer", done(&out), 0, gas - GAS_FOR_TRANSFER_CALL, 1);
  u64 resolve = host_promise_then(call, self.len, PTR(self.ptr));
  call_method(resolve, "nft_resolve_transfer", resolve_args(from, receiver, &token), 0, GAS_FOR_RESOLVE, 0);
  host_promise_return(resolve);
}

/* Only a plain `false` lets the receiver keep it. */
static bool must_go_back(void) {
  if (host_promise_results_count() != 1) panic("Contract expected a result on the callback");
  if (host_promise_result(0, REGISTER) != 1 || host_register_len(REGISTER) > 16) return true;
  return !same(register_bytes(REGISTER, 16), TEXT("false"));
}

static void read_approvals(Slice list, Token *token) {
  Reader in = list_reader(list);
  Field item = REQUIRED("approvals", IS_OBJECT);
  token->approvals = take_array(list.len / 16 + 1, sizeof(Approval));
  token->approved = 0;
  while (next_item(&in, &item)) {
    Field approval[] = {REQUIRED("account_id", IS_ACCOUNT), REQUIRED("approval_id", IS_COUNT)};
    READ(item.text, approval);
    token->approvals[token->approved++] = (Approval){approval[0].text, (u64)approval[1].number};
  }
}

EXPORT(nft_resolve_transfer) void nft_resolve_transfer(void) {
  assert_no_deposit("nft_resolve_transfer");
  assert_private("nft_resolve_transfer");
  Field args[] = {REQUIRED("previous_owner_id", IS_ACCOUNT), REQUIRED("receiver_id", IS_ACCOUNT),
                  REQUIRED("token_id", IS_TEXT), REQUIRED("approvals", IS_LIST)};
  READ(input(), args);
  Slice from = args[0].text, receiver = args[1].text;
  Token token, before;
  token_or_panic(args[2].text, &token);
  read_approvals(args[3].text, &before);
  if (!must_go_back() || !same(token.owner, receiver)) {
    give_back(from, approvals_cost(&before));
    host_value_return(4, PTR("true"));
    return;
  }
  give_back(receiver, approvals_cost(&token));
  token.approvals = before.approvals;
  token.approved = before.approved;
  give_to(&token, from);
  log_event("nft_transfer", receiver, from, token.id, TEXT(""), NULL);
  host_value_return(5, PTR("false"));
}

/* Payable; what the storage does not cost goes back. `receiver_id` is another name for `token_owner_id`. */
EXPORT(nft_mint) void nft_mint(void) {
  Field args[] = {REQUIRED("token_id", IS_TEXT), OPTIONAL("token_owner_id", IS_ACCOUNT),
                  OPTIONAL("receiver_id", IS_ACCOUNT), OPTIONAL("token_metadata", IS_OBJECT)};
  READ(input(), args);
  u64 before = host_storage_usage();
  Slice sender = predecessor();
  if (!same(sender, owner_of_contract())) panic("Unauthorized");
  if (!args[3].present) panic("Must provide metadata");
  Token token = {.id = args[0].text, .next_approval = 1, .metadata = token_metadata_json(args[3].text)};
  Slice key = token_key(token.id);
  if (host_storage_has_key(key.len, PTR(key.ptr))) panic("token_id must be unique");
  token.owner = args[1].present ? args[1].text : args[2].present ? args[2].text : sender;
  u64 count = number_at(COUNT);
  store(index_key(count), token.id);
  store_u128(COUNT, count + 1);
  append_to_owner(&token);
  store_token(&token);
  keep_cost(product(PER_BYTE, host_storage_usage() - before));
  log_event("nft_mint", TEXT(""), token.owner, token.id, TEXT(""), NULL);
  Text out = {0};
  put_token(&out, &token);
  return_text(&out);
}

/* ---- NEP-178 ---- */

static void own_token(Token *token, Slice id) {
  token_or_panic(id, token);
  if (!same(predecessor(), token->owner)) panic("Predecessor must be token owner.");
}

EXPORT(nft_approve) void nft_approve(void) {
  Field args[] = {REQUIRED("token_id", IS_TEXT), REQUIRED("account_id", IS_ACCOUNT), OPTIONAL("msg", IS_TEXT)};
  READ(input(), args);
  if (attached_deposit() == 0) panic("Requires attached deposit of at least 1 yoctoNEAR");
  Token token;
  own_token(&token, args[0].text);
  Slice account = args[1].text;
  u64 id = token.next_approval++;
  Approval *approved = approval_of(&token, account);
  u128 cost = approved ? 0 : approval_cost(account);
  if (approved) {
    approved->id = id;
  } else {
    Approval *more = take_array(token.approved + 1, sizeof(Approval));
    memcpy(more, token.approvals, token.approved * sizeof(Approval));
    more[token.approved++] = (Approval){account, id};
    token.approvals = more;
  }
  store_token(&token);
  keep_cost(cost);
  if (!args[2].present) return;
  u64 gas = host_prepaid_gas();
  if (gas <= GAS_FOR_APPROVE) panic("More gas is required");
  Text out = {0};
  put_member(&out, "{\"token_id\":", token.id);
  put_member(&out, ",\"owner_id\":", token.owner);
  put_literal(&out, ",\"approval_id\":");
  put_u128(&out, id);
  put_member(&out, ",\"msg\":", args[2].text);
  put_byte(&out, '}');
  u64 call = host_promise_create(account.len, PTR(account.ptr));
  call_method(call, "nft_on_approve", done(&out), 0, gas - GAS_FOR_APPROVE, 0);
  host_promise_return(call);
}

EXPORT(nft_revoke) void nft_revoke(void) {
  Field args[] = {REQUIRED("token_id", IS_TEXT), REQUIRED("account_id", IS_ACCOUNT)};
  READ(input(), args);
  assert_one_yocto();
  Token token;
  own_token(&token, args[0].text);
  Approval *approved = approval_of(&token, args[1].text);
  if (approved == NULL) return;
  *approved = token.approvals[--token.approved];
  store_token(&token);
  give_back(token.owner, approval_cost(args[1].text));
}

EXPORT(nft_revoke_all) void nft_revoke_all(void) {
  Field args[] = {REQUIRED("token_id", IS_TEXT)};
  READ(input(), args);
  assert_one_yocto();
  Token token;
  own_token(&token, args[0].text);
  u128 cost = approvals_cost(&token);
  token.approved = 0;
  store_token(&token);
  give_back(token.owner, cost);
}

EXPORT(nft_is_approved) void nft_is_approved(void) {
  Field args[] = {REQUIRED("token_id", IS_TEXT), REQUIRED("approved_account_id", IS_ACCOUNT),
                  OPTIONAL("approval_id", IS_COUNT)};
  READ(input(), args);
  Token token;
  token_or_panic(args[0].text, &token);
  Approval *approved = approval_of(&token, args[1].text);
  if (approved && (!args[2].present || args[2].number == approved->id)) host_value_return(4, PTR("true"));
  else host_value_return(5, PTR("false"));
}

/* ---- NEP-171's view, NEP-181 ---- */

EXPORT(nft_token) void nft_token(void) {
  Field args[] = {REQUIRED("token_id", IS_TEXT)};
  READ(input(), args);
  Token token;
  Text out = {0};
  owner_of_contract();
  if (find_token(args[0].text, &token)) put_token(&out, &token);
  else put_literal(&out, "null");
  return_text(&out);
}

EXPORT(nft_total_supply) void nft_total_supply(void) { return_u128(number_at(COUNT)); }

/* Tokens from `first` of `count`; `owner` empty: of all of them, in the order they were minted. */
static void return_tokens(Slice owner, u64 count, const Field *first, const Field *limit) {
  if (first->number > count) panic("Out of bounds, please use a smaller from_index.");
  if (limit->present && limit->number == 0) panic("Cannot provide limit of 0.");
  u64 left = count - (u64)first->number, index = (u64)first->number;
  if (limit->present && limit->number < left) left = (u64)limit->number;
  Text out = {0};
  put_byte(&out, '[');
  for (u64 end = index + left; index < end; index++) {
    if (index > first->number) put_byte(&out, ',');
    Token token;
    token_or_panic(id_at(owner.len ? owned_key(owner, index) : index_key(index)), &token);
    put_token(&out, &token);
  }
  put_byte(&out, ']');
  return_text(&out);
}

EXPORT(nft_tokens) void nft_tokens(void) {
  Field args[] = {OPTIONAL("from_index", IS_U128), OPTIONAL("limit", IS_COUNT)};
  READ(input(), args);
  return_tokens(TEXT(""), number_at(COUNT), &args[0], &args[1]);
}

EXPORT(nft_supply_for_owner) void nft_supply_for_owner(void) {
  Field args[] = {REQUIRED("account_id", IS_ACCOUNT)};
  READ(input(), args);
  return_u128(number_at(owned_count_key(args[0].text)));
}

EXPORT(nft_tokens_for_owner) void nft_tokens_for_owner(void) {
  Field args[] = {REQUIRED("account_id", IS_ACCOUNT), OPTIONAL("from_index", IS_U128), OPTIONAL("limit", IS_COUNT)};
  READ(input(), args);
  return_tokens(args[0].text, number_at(owned_count_key(args[0].text)), &args[1], &args[2]);
}

/* ---- NEP-177, NEP-330 and the beginning ---- */

EXPORT(nft_metadata) void nft_metadata(void) {
  Slice metadata;
  if (!load(METADATA, &metadata, INPUT_LIMIT)) panic("The contract is not initialized");
  host_value_return(metadata.len, PTR(metadata.ptr));
}

EXPORT(contract_source_metadata) void contract_source_metadata(void) {
  Text out = {0};
  put_literal(&out, "{\"version\":\"1.0.0\",\"link\":\"contracts/localnet/sources/nft.c\",\"standards\":["
            "{\"standard\":\"nep171\",\"version\":\"1.0.0\"},{\"standard\":\"nep177\",\"version\":\"2.0.0\"},"
            "{\"standard\":\"nep178\",\"version\":\"1.0.0\"},{\"standard\":\"nep181\",\"version\":\"1.0.0\"},"
            "{\"standard\":\"nep297\",\"version\":\"1.0.0\"},{\"standard\":\"nep330\",\"version\":\"1.1.0\"}]}");
  return_text(&out);
}

EXPORT(new) void contract_new(void) {
  assert_no_deposit("new");
  Field args[] = {REQUIRED("owner_id", IS_ACCOUNT), REQUIRED("metadata", IS_OBJECT)};
  READ(input(), args);
  if (host_storage_has_key(STATE.len, PTR(STATE.ptr))) panic("The contract has already been initialized");
  store(METADATA, contract_metadata_json(args[1].text));
  store(STATE, args[0].text);
}
