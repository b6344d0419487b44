/* A DAO with the interface of sputnik-dao v2 (near-daos/sputnik-dao-contract): a council that decides by majority, a bond
 * of 1 NEAR, a voting period of 7 days, and a vote that must repeat the proposal's kind (ERR_WRONG_KIND).
 *
 * Transfer, FunctionCall, Vote, ChangeConfig, AddMemberToRole and RemoveMemberFromRole are carried out. Proposals of the
 * other kinds can be made, read and voted on; approved, they end as Failed. There are no delegations and no bounties.
 * Records: "STATE" = u64 number of proposals + u128 locked bonds, "c" = the config's JSON, "m" = the council's JSON array,
 * "p" + u64 id = a proposal.
 */
#include "json.h"

HOST(block_timestamp) u64 host_block_timestamp(void);
HOST(account_balance) void host_account_balance(u64 ptr);
HOST(storage_usage) u64 host_storage_usage(void);

#define STATE TEXT("STATE")
#define CONFIG TEXT("c")
#define COUNCIL TEXT("m")
#define ONE_NEAR ((u128)1000000000000000000ull * 1000000)
#define PER_BYTE 10000000000000000000ull
#define BOND ONE_NEAR
#define PERIOD (7 * 24 * 3600 * 1000000000ull)
#define GAS_FOR_PAYOUT (30 * TGAS)
#define GAS_FOR_CALLBACK (15 * TGAS)
#define MAX_MEMBERS 64
#define MAX_FIELDS 64

static const char *const KINDS[] = {
    "ChangeConfig", "ChangePolicy", "AddMemberToRole", "RemoveMemberFromRole", "FunctionCall", "UpgradeSelf",
    "UpgradeRemote", "Transfer", "SetStakingContract", "AddBounty", "BountyDone", "Vote", "FactoryInfoUpdate",
    "ChangePolicyAddOrUpdateRole", "ChangePolicyRemoveRole", "ChangePolicyUpdateDefaultVotePolicy",
    "ChangePolicyUpdateParameters",
};
static const char *const ACTIONS[] = {"VoteApprove", "VoteReject", "VoteRemove", "Finalize",
                                      "AddProposal", "RemoveProposal", "MoveToHub"};
enum { VOTE_APPROVE, VOTE_REJECT, VOTE_REMOVE, FINALIZE, ADD_PROPOSAL };
static const char *const VOTES[] = {"Approve", "Reject", "Remove"};
static const char *const STATUSES[] = {"InProgress", "Approved", "Rejected", "Removed", "Expired", "Moved", "Failed"};
enum { IN_PROGRESS, APPROVED, REJECTED, REMOVED, EXPIRED, MOVED, FAILED };

typedef struct {
  u64 count;
  u64 locked_low, locked_high;
} State;

typedef struct {
  u8 status;
  u64 time;
  Slice proposer, description, kind, votes; /* kind: normal JSON; votes: (length, account id, vote) one after another */
} Proposal;

typedef struct {
  Slice name, body; /* body: raw JSON, empty for a kind that is a bare text */
} KindOf;

static bool is(Slice text, const char *word_) { return same(text, literal(word_)); }

static int index_of(Slice text, const char *const *words, int count) {
  for (int i = 0; i < count; i++)
    if (is(text, words[i])) return i;
  return -1;
}

_Noreturn static void unknown_variant(Slice name) {
  Text out = {0};
  put_literal(&out, "Failed to deserialize input from JSON.: Error(\"unknown variant `");
  put(&out, name);
  put_literal(&out, "`\")");
  panic_text(&out);
}

/* ---- state ---- */

static State load_state(void) {
  Slice bytes;
  State state;
  if (!load(STATE, &bytes, sizeof state)) panic("ERR_CONTRACT_IS_NOT_INITIALIZED");
  if (bytes.len != sizeof state) panic("Cannot deserialize the contract state.");
  memcpy(&state, bytes.ptr, sizeof state);
  return state;
}

static void store_state(const State *state) { store(STATE, (Slice){(const u8 *)state, sizeof *state}); }

static u128 locked_of(const State *state) { return (u128)state->locked_high << 64 | state->locked_low; }

static void set_locked(State *state, u128 locked) {
  state->locked_low = (u64)locked;
  state->locked_high = (u64)(locked >> 64);
}

static Slice load_json(Slice key) {
  Slice json;
  load_state();
  if (!load(key, &json, INPUT_LIMIT)) panic("Cannot deserialize the contract state.");
  return json;
}

/* ---- JSON beyond the flat fields of json.h ---- */

/* The raw text of an object's member; an empty slice where it has none. */
static Slice raw_member(Slice object, const char *name) {
  Reader in = {object.ptr, object.ptr, object.ptr + object.len};
  Slice found = {NULL, 0};
  skip_space(&in);
  expect(&in, '{');
  for (;;) {
    skip_space(&in);
    if (peek(&in) == '}') break;
    Slice key = read_string(&in);
    skip_space(&in);
    expect(&in, ':');
    skip_space(&in);
    const u8 *from = in.at;
    skip_value(&in, 1);
    if (is(key, name)) {
      if (found.ptr) bad_input(&in, "duplicate field `", key, "`");
      found = (Slice){from, (size)(in.at - from)};
    }
    skip_space(&in);
    if (peek(&in) == ',') in.at++;
  }
  return found;
}

static Slice required_member(Slice object, const char *name) {
  Slice raw = raw_member(object, name);
  Reader end = {object.ptr, object.ptr + object.len, object.ptr + object.len};
  if (raw.ptr == NULL) bad_input(&end, "missing field `", literal(name), "`");
  return raw;
}

typedef struct {
  Slice key, value;
} Member;

static void put_normal(Text *out, Reader *in);

static bool before(Slice a, Slice b) {
  for (size i = 0; i < a.len && i < b.len; i++)
    if (a.ptr[i] != b.ptr[i]) return a.ptr[i] < b.ptr[i];
  return a.len < b.len;
}

static void put_normal_object(Text *out, Reader *in) {
  Member *members = (Member *)take(sizeof(Member) * MAX_FIELDS);
  size count = 0;
  in->at++;
  for (skip_space(in); peek(in) != '}'; skip_space(in)) {
    if (count == MAX_FIELDS) panic("An object has more than 64 fields");
    Member one = {read_string(in), {NULL, 0}};
    Text value = {0};
    skip_space(in);
    expect(in, ':');
    put_normal(&value, in);
    one.value = done(&value);
    size place = count++;
    for (; place > 0 && before(one.key, members[place - 1].key); place--) members[place] = members[place - 1];
    if (place > 0 && same(one.key, members[place - 1].key)) bad_input(in, "duplicate field `", one.key, "`");
    members[place] = one;
    skip_space(in);
    if (peek(in) == ',') in->at++;
  }
  in->at++;
  put_byte(out, '{');
  for (size i = 0; i < count; i++) {
    if (i) put_byte(out, ',');
    put_json_string(out, members[i].key);
    put_byte(out, ':');
    put(out, members[i].value);
  }
  put_byte(out, '}');
}

/* A value that was checked before, written so that equal values give equal bytes: sorted keys, no white space. */
static void put_normal(Text *out, Reader *in) {
  skip_space(in);
  u8 c = peek(in);
  if (c == '{') {
    put_normal_object(out, in);
  } else if (c == '[') {
    in->at++;
    put_byte(out, '[');
    bool first = true;
    for (skip_space(in); peek(in) != ']'; skip_space(in)) {
      if (!first) put_byte(out, ',');
      first = false;
      put_normal(out, in);
      skip_space(in);
      if (peek(in) == ',') in->at++;
    }
    in->at++;
    put_byte(out, ']');
  } else if (c == '"') {
    put_json_string(out, read_string(in));
  } else {
    const u8 *from = in->at;
    skip_value(in, 1);
    put(out, (Slice){from, (size)(in->at - from)});
  }
}

static Slice normal(Slice raw) {
  Reader in = {raw.ptr, raw.ptr, raw.ptr + raw.len};
  Text out = {0};
  put_normal(&out, &in);
  return done(&out);
}

/* Account ids of a JSON array; the count, at most MAX_MEMBERS. */
static size read_accounts(Slice array, Slice *accounts) {
  Reader in = {array.ptr, array.ptr, array.ptr + array.len};
  size count = 0;
  skip_space(&in);
  if (peek(&in) != '[') bad(&in, "data did not match any variant of untagged enum VersionedPolicy");
  in.at++;
  for (skip_space(&in); peek(&in) != ']'; skip_space(&in)) {
    if (count == MAX_MEMBERS) panic("The council has at most 64 members");
    if (peek(&in) != '"') bad(&in, "invalid type: expected a string");
    accounts[count] = read_string(&in);
    if (!is_account_id(accounts[count])) bad(&in, "The account ID is invalid");
    bool known = false;
    for (size i = 0; i < count; i++) known |= same(accounts[i], accounts[count]);
    if (!known) count++;
    skip_space(&in);
    if (peek(&in) == ',') in.at++;
  }
  return count;
}

static void store_council(const Slice *accounts, size count) {
  Text out = {0};
  put_byte(&out, '[');
  for (size i = 0; i < count; i++) {
    if (i) put_byte(&out, ',');
    put_json_string(&out, accounts[i]);
  }
  put_byte(&out, ']');
  store(COUNCIL, done(&out));
}

static size council(Slice *accounts) { return read_accounts(load_json(COUNCIL), accounts); }

static bool in_council(Slice account, size *count) {
  Slice *members = (Slice *)take(sizeof(Slice) * MAX_MEMBERS);
  *count = council(members);
  for (size i = 0; i < *count; i++)
    if (same(members[i], account)) return true;
  return false;
}

/* ---- a proposal's record ---- */

static Slice proposal_key(u64 id) {
  u8 *key = take(9);
  key[0] = 'p';
  memcpy(key + 1, &id, 8);
  return (Slice){key, 9};
}

static void put_sized(Text *out, Slice part) {
  u32 len = (u32)part.len;
  put(out, (Slice){(const u8 *)&len, 4});
  put(out, part);
}

static Slice cut_sized(Slice *rest) {
  u32 len = 0;
  if (rest->len < 4) panic("Cannot deserialize the contract state.");
  memcpy(&len, rest->ptr, 4);
  if (rest->len - 4 < len) panic("Cannot deserialize the contract state.");
  Slice part = {rest->ptr + 4, len};
  *rest = (Slice){rest->ptr + 4 + len, rest->len - 4 - len};
  return part;
}

static void store_proposal(u64 id, const Proposal *proposal) {
  Text out = {0};
  put_byte(&out, proposal->status);
  put(&out, (Slice){(const u8 *)&proposal->time, 8});
  put_sized(&out, proposal->proposer);
  put_sized(&out, proposal->description);
  put_sized(&out, proposal->kind);
  put_sized(&out, proposal->votes);
  store(proposal_key(id), done(&out));
}

static bool find_proposal(u64 id, Proposal *proposal) {
  Slice bytes;
  if (!load(proposal_key(id), &bytes, INPUT_LIMIT * 2)) return false;
  if (bytes.len < 9) panic("Cannot deserialize the contract state.");
  proposal->status = bytes.ptr[0];
  memcpy(&proposal->time, bytes.ptr + 1, 8);
  Slice rest = {bytes.ptr + 9, bytes.len - 9};
  proposal->proposer = cut_sized(&rest);
  proposal->description = cut_sized(&rest);
  proposal->kind = cut_sized(&rest);
  proposal->votes = cut_sized(&rest);
  return true;
}

static Proposal load_proposal(u128 id) {
  Proposal proposal = {0};
  load_state();
  if (id > ~0ull || !find_proposal((u64)id, &proposal)) panic("ERR_NO_PROPOSAL");
  return proposal;
}

/* ---- kinds ---- */

static KindOf kind_of(Slice raw) {
  Reader in = {raw.ptr, raw.ptr, raw.ptr + raw.len};
  KindOf kind = {{NULL, 0}, {NULL, 0}};
  skip_space(&in);
  if (peek(&in) == '"') {
    kind.name = read_string(&in);
    if (index_of(kind.name, KINDS, sizeof KINDS / sizeof *KINDS) < 0) unknown_variant(kind.name);
    if (!is(kind.name, "Vote")) bad(&in, "invalid type: unit variant, expected struct variant");
    return kind;
  }
  expect(&in, '{');
  skip_space(&in);
  if (peek(&in) != '"') bad(&in, "expected value");
  kind.name = read_string(&in);
  if (index_of(kind.name, KINDS, sizeof KINDS / sizeof *KINDS) < 0) unknown_variant(kind.name);
  skip_space(&in);
  expect(&in, ':');
  skip_space(&in);
  const u8 *from = in.at;
  if (peek(&in) != '{') bad(&in, "invalid type: expected a map");
  skip_value(&in, 1);
  kind.body = (Slice){from, (size)(in.at - from)};
  skip_space(&in);
  if (peek(&in) != '}') bad(&in, "expected value");
  return kind;
}

typedef struct {
  Slice token_id, receiver_id, msg;
  u128 amount;
  bool has_msg;
} Payout;

static Payout payout_of(Slice body) {
  Field m[] = {REQUIRED("token_id", IS_TEXT), REQUIRED("receiver_id", IS_ACCOUNT), REQUIRED("amount", IS_U128),
               OPTIONAL("msg", IS_TEXT)};
  READ(body, m);
  if (m[0].text.len > 0 && !is_account_id(m[0].text)) panic("ERR_TOKEN_ID_INVALID");
  return (Payout){m[0].text, m[1].text, m[3].text, m[2].number, m[3].present};
}

/* The kind as it is stored, returned and compared. */
static Slice kind_json(Slice raw) {
  KindOf kind = kind_of(raw);
  Text out = {0};
  if (kind.body.ptr == NULL) {
    put_json_string(&out, kind.name);
    return done(&out);
  }
  put_byte(&out, '{');
  put_json_string(&out, kind.name);
  put_byte(&out, ':');
  if (is(kind.name, "Transfer")) {
    Payout pay = payout_of(kind.body);
    put_literal(&out, "{\"token_id\":");
    put_json_string(&out, pay.token_id);
    put_literal(&out, ",\"receiver_id\":");
    put_json_string(&out, pay.receiver_id);
    put_literal(&out, ",\"amount\":");
    put_json_u128(&out, pay.amount);
    put_literal(&out, ",\"msg\":");
    if (pay.has_msg) put_json_string(&out, pay.msg);
    else put_literal(&out, "null");
    put_byte(&out, '}');
  } else {
    put(&out, normal(kind.body));
  }
  put_byte(&out, '}');
  return done(&out);
}

/* ---- votes ---- */

static void count_votes(Slice votes, u64 *counts) {
  for (size at = 0; at < votes.len;) {
    size len = votes.ptr[at];
    u8 vote = votes.ptr[at + 1 + len];
    counts[vote]++;
    at += len + 2;
  }
}

static bool has_voted(Slice votes, Slice account) {
  for (size at = 0; at < votes.len; at += votes.ptr[at] + 2u)
    if (same((Slice){votes.ptr + at + 1, votes.ptr[at]}, account)) return true;
  return false;
}

static Slice with_vote(Slice votes, Slice account, u8 vote) {
  Text out = {0};
  put(&out, votes);
  put_byte(&out, (u8)account.len);
  put(&out, account);
  put_byte(&out, vote);
  return done(&out);
}

/* What the votes come to now: over the period Expired, at more than half of the council a decision. */
static u8 status_by_votes(const Proposal *proposal, size members) {
  u64 counts[3] = {0}, needed = members / 2 + 1;
  if (proposal->status != IN_PROGRESS && proposal->status != FAILED) panic("ERR_PROPOSAL_NOT_IN_PROGRESS");
  if (proposal->time + PERIOD < host_block_timestamp()) return EXPIRED;
  if (needed > members) needed = members;
  count_votes(proposal->votes, counts);
  if (counts[VOTE_APPROVE] >= needed) return APPROVED;
  if (counts[VOTE_REJECT] >= needed) return REJECTED;
  if (counts[VOTE_REMOVE] >= needed) return REMOVED;
  return proposal->status;
}

/* ---- carrying out ---- */

static void return_bond(const Proposal *proposal) {
  State state = load_state();
  set_locked(&state, locked_of(&state) - BOND);
  store_state(&state);
  transfer_to(proposal->proposer, BOND);
}

static u64 pay(const Payout *pay, Slice memo) {
  if (pay->token_id.len == 0) return transfer_to(pay->receiver_id, pay->amount);
  Text args = {0};
  put_literal(&args, "{\"receiver_id\":");
  put_json_string(&args, pay->receiver_id);
  put_literal(&args, ",\"amount\":");
  put_json_u128(&args, pay->amount);
  put_literal(&args, ",\"memo\":");
  put_json_string(&args, memo);
  if (pay->has_msg) {
    put_literal(&args, ",\"msg\":");
    put_json_string(&args, pay->msg);
  }
  put_byte(&args, '}');
  u64 promise = host_promise_create(pay->token_id.len, PTR(pay->token_id.ptr));
  const char *method = pay->has_msg ? "ft_transfer_call" : "ft_transfer";
  call_method(promise, method, done(&args), 1, pay->has_msg ? 2 * GAS_FOR_PAYOUT : GAS_FOR_PAYOUT, 0);
  return promise;
}

static Slice base64(Slice text) {
  Text out = {0};
  u32 bits = 0, held = 0;
  while (text.len > 0 && text.ptr[text.len - 1] == '=') text.len--;
  for (size i = 0; i < text.len; i++) {
    u8 c = text.ptr[i];
    u32 value = c >= 'A' && c <= 'Z'   ? c - 'A'
                : c >= 'a' && c <= 'z' ? c - 'a' + 26u
                : c >= '0' && c <= '9' ? c - '0' + 52u
                : c == '+'             ? 62
                : c == '/'             ? 63
                                       : 64;
    if (value > 63) panic("Invalid base64");
    bits = bits << 6 | value;
    held += 6;
    if (held >= 8) {
      held -= 8;
      put_byte(&out, (u8)(bits >> held));
    }
  }
  return done(&out);
}

/* One promise with all calls of the proposal: together or not at all. */
static u64 call_functions(Slice body) {
  Field m[] = {REQUIRED("receiver_id", IS_ACCOUNT)};
  READ(body, m);
  Slice actions = required_member(body, "actions");
  Reader in = {actions.ptr, actions.ptr, actions.ptr + actions.len};
  u64 promise = host_promise_create(m[0].text.len, PTR(m[0].text.ptr));
  skip_space(&in);
  expect(&in, '[');
  for (skip_space(&in); peek(&in) != ']'; skip_space(&in)) {
    const u8 *from = in.at;
    skip_value(&in, 1);
    Field call[] = {REQUIRED("method_name", IS_TEXT), REQUIRED("args", IS_TEXT), REQUIRED("deposit", IS_U128),
                    REQUIRED("gas", IS_COUNT)};
    READ(((Slice){from, (size)(in.at - from)}), call);
    Slice args = base64(call[1].text);
    host_promise_call(promise, call[0].text.len, PTR(call[0].text.ptr), args.len, PTR(args.ptr), PTR(&call[2].number),
                      (u64)call[3].number, 0);
    skip_space(&in);
    if (peek(&in) == ',') in.at++;
  }
  return promise;
}

static void then_callback(u64 promise, u64 id) {
  Slice self = current_account();
  Text args = {0};
  put_literal(&args, "{\"proposal_id\":");
  put_u128(&args, id);
  put_byte(&args, '}');
  u64 callback = host_promise_then(promise, self.len, PTR(self.ptr));
  call_method(callback, "on_proposal_callback", done(&args), 0, GAS_FOR_CALLBACK, 0);
}

static void change_council(Slice body, bool add) {
  Field m[] = {REQUIRED("member_id", IS_ACCOUNT), REQUIRED("role", IS_TEXT)};
  READ(body, m);
  if (!is(m[1].text, "council")) {
    Text out = {0};
    put_literal(&out, "ERR_ROLE_NOT_FOUND:");
    put(&out, m[1].text);
    log_text(&out);
    return;
  }
  Slice *members = (Slice *)take(sizeof(Slice) * (MAX_MEMBERS + 1));
  size count = council(members), kept = 0;
  for (size i = 0; i < count; i++)
    if (!same(members[i], m[0].text)) members[kept++] = members[i];
  if (add) members[kept++] = m[0].text;
  if (kept > MAX_MEMBERS) panic("The council has at most 64 members");
  store_council(members, kept);
}

/* An approved proposal: with a promise its callback decides what it ends as. */
static void execute(u64 id, Proposal *proposal) {
  KindOf kind = kind_of(proposal->kind);
  if (is(kind.name, "Transfer")) {
    Payout what = payout_of(kind.body);
    then_callback(pay(&what, proposal->description), id);
  } else if (is(kind.name, "FunctionCall")) {
    then_callback(call_functions(kind.body), id);
  } else if (is(kind.name, "AddMemberToRole") || is(kind.name, "RemoveMemberFromRole")) {
    change_council(kind.body, is(kind.name, "AddMemberToRole"));
    return_bond(proposal);
  } else if (is(kind.name, "ChangeConfig")) {
    store(CONFIG, normal(required_member(kind.body, "config")));
    return_bond(proposal);
  } else if (is(kind.name, "Vote")) {
    return_bond(proposal);
  } else {
    log_literal("This contract does not carry out proposals of this kind");
    proposal->status = FAILED;
  }
}

/* ---- methods ---- */

EXPORT(new) void contract_new(void) {
  assert_no_deposit("new");
  Slice in = input();
  Field args[] = {REQUIRED("config", IS_OBJECT)};
  READ(in, args);
  Field config[] = {REQUIRED("name", IS_TEXT), REQUIRED("purpose", IS_TEXT), REQUIRED("metadata", IS_TEXT)};
  READ(args[0].text, config);
  if (host_storage_has_key(STATE.len, PTR(STATE.ptr))) panic("The contract has already been initialized");
  Slice *members = (Slice *)take(sizeof(Slice) * MAX_MEMBERS);
  size count = read_accounts(required_member(in, "policy"), members);
  if (count == 0) panic("The council needs a member");
  State state = {0, 0, 0};
  store_state(&state);
  store(CONFIG, normal(args[0].text));
  store_council(members, count);
}

EXPORT(add_proposal) void add_proposal(void) {
  Field args[] = {REQUIRED("proposal", IS_OBJECT)};
  READ(input(), args);
  Field given[] = {REQUIRED("description", IS_TEXT)};
  READ(args[0].text, given);
  Slice raw = required_member(args[0].text, "kind"), kind = kind_json(raw);
  KindOf named = kind_of(raw);
  State state = load_state();
  if (attached_deposit() != BOND) panic("ERR_MIN_BOND");
  if (is(named.name, "Transfer")) {
    Payout what = payout_of(named.body);
    if (what.token_id.len == 0 && what.has_msg) panic("ERR_BASE_TOKEN_NO_MSG");
  }
  Proposal proposal = {IN_PROGRESS, host_block_timestamp(), predecessor(), given[0].text, kind, {NULL, 0}};
  u64 id = state.count++;
  set_locked(&state, locked_of(&state) + BOND);
  store_state(&state);
  store_proposal(id, &proposal);
  Text out = {0};
  put_u128(&out, id);
  return_text(&out);
}

/* Records the caller's vote and does what the votes then come to; false where the proposal is gone. */
static bool vote(u64 id, Proposal *proposal, Slice account, u8 which, size members) {
  if (proposal->status != IN_PROGRESS) panic("ERR_PROPOSAL_NOT_READY_FOR_VOTE");
  if (has_voted(proposal->votes, account)) panic("ERR_ALREADY_VOTED");
  proposal->votes = with_vote(proposal->votes, account, which);
  proposal->status = status_by_votes(proposal, members);
  if (proposal->status == APPROVED) execute(id, proposal);
  if (proposal->status == REJECTED) return_bond(proposal);
  return proposal->status != REMOVED;
}

static void finalize(u64 id, Proposal *proposal, size members) {
  proposal->status = status_by_votes(proposal, members);
  if (proposal->status == APPROVED) execute(id, proposal);
  else if (proposal->status == EXPIRED) return_bond(proposal);
  else panic("ERR_PROPOSAL_NOT_EXPIRED_OR_FAILED");
}

EXPORT(act_proposal) void act_proposal(void) {
  assert_no_deposit("act_proposal");
  Slice in = input();
  Field args[] = {REQUIRED("id", IS_COUNT), REQUIRED("action", IS_TEXT), OPTIONAL("memo", IS_TEXT)};
  READ(in, args);
  Slice kind = kind_json(required_member(in, "proposal"));
  int action = index_of(args[1].text, ACTIONS, sizeof ACTIONS / sizeof *ACTIONS);
  if (action < 0) unknown_variant(args[1].text);
  Proposal proposal = load_proposal(args[0].number);
  u64 id = (u64)args[0].number;
  Slice account = predecessor();
  size members;
  /* Everyone may add proposals, which is no act on one; nobody has the permission to remove or move them. */
  if (action != ADD_PROPOSAL && (!in_council(account, &members) || action > ADD_PROPOSAL)) panic("ERR_PERMISSION_DENIED");
  if (!same(kind, proposal.kind)) panic("ERR_WRONG_KIND");
  if (action == ADD_PROPOSAL) panic("ERR_WRONG_ACTION");
  bool stays = true;
  if (action == FINALIZE) finalize(id, &proposal, members);
  else stays = vote(id, &proposal, account, (u8)action, members);
  if (stays) {
    store_proposal(id, &proposal);
  } else {
    Slice key = proposal_key(id);
    host_storage_remove(key.len, PTR(key.ptr), EVICTED);
  }
  if (args[2].present) {
    Text out = {0};
    put_literal(&out, "Memo: ");
    put(&out, args[2].text);
    log_text(&out);
  }
}

/* The payout's or the calls' end: Approved and the bond back, or Failed, which Finalize can repeat. */
EXPORT(on_proposal_callback) void on_proposal_callback(void) {
  assert_no_deposit("on_proposal_callback");
  assert_private("on_proposal_callback");
  Field args[] = {REQUIRED("proposal_id", IS_COUNT)};
  READ(input(), args);
  Proposal proposal = load_proposal(args[0].number);
  if (host_promise_results_count() != 1) panic("ERR_UNEXPECTED_CALLBACK_PROMISES");
  proposal.status = host_promise_result(0, REGISTER) == 1 ? APPROVED : FAILED;
  if (proposal.status == APPROVED) return_bond(&proposal);
  store_proposal((u64)args[0].number, &proposal);
}

/* ---- views ---- */

static void put_proposal(Text *out, u64 id, const Proposal *proposal) {
  u64 counts[3] = {0};
  put_literal(out, "{\"id\":");
  put_u128(out, id);
  put_literal(out, ",\"proposer\":");
  put_json_string(out, proposal->proposer);
  put_literal(out, ",\"description\":");
  put_json_string(out, proposal->description);
  put_literal(out, ",\"kind\":");
  put(out, proposal->kind);
  put_literal(out, ",\"status\":");
  put_json_string(out, literal(STATUSES[proposal->status]));
  put_literal(out, ",\"vote_counts\":{");
  if (proposal->votes.len > 0) {
    count_votes(proposal->votes, counts);
    put_literal(out, "\"council\":[");
    for (int i = 0; i < 3; i++) {
      if (i) put_byte(out, ',');
      put_u128(out, counts[i]);
    }
    put_byte(out, ']');
  }
  put_literal(out, "},\"votes\":{");
  for (size at = 0; at < proposal->votes.len; at += proposal->votes.ptr[at] + 2u) {
    size len = proposal->votes.ptr[at];
    if (at) put_byte(out, ',');
    put_json_string(out, (Slice){proposal->votes.ptr + at + 1, len});
    put_byte(out, ':');
    put_json_string(out, literal(VOTES[proposal->votes.ptr[at + 1 + len]]));
  }
  put_literal(out, "},\"submission_time\":");
  put_json_u128(out, proposal->time);
  put_byte(out, '}');
}

EXPORT(get_proposal) void get_proposal(void) {
  Field args[] = {REQUIRED("id", IS_COUNT)};
  READ(input(), args);
  Proposal proposal = load_proposal(args[0].number);
  Text out = {0};
  put_proposal(&out, (u64)args[0].number, &proposal);
  return_text(&out);
}

EXPORT(get_proposals) void get_proposals(void) {
  Field args[] = {REQUIRED("from_index", IS_COUNT), REQUIRED("limit", IS_COUNT)};
  READ(input(), args);
  State state = load_state();
  u128 from = args[0].number, limit = args[1].number;
  bool first = true;
  Text out = {0};
  put_byte(&out, '[');
  for (u128 id = from; id < state.count && id - from < limit; id++) {
    Proposal proposal = {0};
    if (!find_proposal((u64)id, &proposal)) continue;
    if (!first) put_byte(&out, ',');
    first = false;
    put_proposal(&out, (u64)id, &proposal);
  }
  put_byte(&out, ']');
  return_text(&out);
}

EXPORT(get_last_proposal_id) void get_last_proposal_id(void) {
  Text out = {0};
  put_u128(&out, load_state().count);
  return_text(&out);
}

EXPORT(get_policy) void get_policy(void) {
  Text out = {0};
  put_literal(&out, "{\"roles\":[{\"name\":\"all\",\"kind\":\"Everyone\",\"permissions\":[\"*:AddProposal\"],"
              "\"vote_policy\":{}},{\"name\":\"council\",\"kind\":{\"Group\":");
  put(&out, load_json(COUNCIL));
  put_literal(&out, "},\"permissions\":[\"*:AddProposal\",\"*:VoteApprove\",\"*:VoteReject\",\"*:VoteRemove\","
              "\"*:Finalize\"],\"vote_policy\":{}}],\"default_vote_policy\":{\"weight_kind\":\"RoleWeight\","
              "\"quorum\":\"0\",\"threshold\":[1,2]},\"proposal_bond\":");
  put_json_u128(&out, BOND);
  put_literal(&out, ",\"proposal_period\":");
  put_json_u128(&out, PERIOD);
  put_literal(&out, ",\"bounty_bond\":");
  put_json_u128(&out, BOND);
  put_literal(&out, ",\"bounty_forgiveness_period\":\"86400000000000\"}");
  return_text(&out);
}

EXPORT(get_config) void get_config(void) {
  Slice config = load_json(CONFIG);
  host_value_return(config.len, PTR(config.ptr));
}

/* Usage times 1e19 by halves: there is no compiler-rt to multiply a u128. */
static u128 storage_cost(void) {
  u64 usage = host_storage_usage();
  if (usage >> 32) panic("The storage usage is out of range");
  return (u128)(usage * (u32)PER_BYTE) + ((u128)(usage * (PER_BYTE >> 32)) << 32);
}

EXPORT(get_locked_storage_amount) void get_locked_storage_amount(void) { return_u128(storage_cost()); }

/* What a proposal can pay: the balance without storage and bonds. */
EXPORT(get_available_amount) void get_available_amount(void) {
  State state = load_state();
  u128 balance = 0, held = storage_cost() + locked_of(&state);
  host_account_balance(PTR(&balance));
  return_u128(balance > held ? balance - held : 0);
}

EXPORT(delegation_total_supply) void delegation_total_supply(void) { return_u128(0); }

EXPORT(get_staking_contract) void get_staking_contract(void) { host_value_return(2, PTR("\"\"")); }

EXPORT(get_last_bounty_id) void get_last_bounty_id(void) { host_value_return(1, PTR("0")); }

EXPORT(version) void version(void) { host_value_return(7, PTR("\"1.0.0\"")); }

EXPORT(contract_source_metadata) void contract_source_metadata(void) {
  Text out = {0};
  put_literal(&out, "{\"version\":\"1.0.0\",\"link\":\"contracts/localnet/sources/dao.c\","
              "\"standards\":[{\"standard\":\"nep330\",\"version\":\"1.1.0\"}]}");
  return_text(&out);
}
