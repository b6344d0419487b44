/* A token whose whole supply is minted to its owner once, by `new {owner_id, total_supply, metadata}`. */
#include "ft.h"

#define METADATA TEXT("m")

static Slice token_metadata(void) {
  Slice json;
  if (!load(METADATA, &json, INPUT_LIMIT)) panic("The contract is not initialized");
  return json;
}

static Slice token_link(void) { return TEXT("contracts/localnet/sources/ft.c"); }

static void put_optional(Text *out, const char *name, const Field *field) {
  put_literal(out, name);
  if (field->present) put_json_string(out, field->text);
  else put_literal(out, "null");
}

/* NEP-148's metadata, checked and written anew, so that nothing unknown is told on. */
static Slice metadata_json(Slice object) {
  Field m[] = {REQUIRED("spec", IS_TEXT),      REQUIRED("name", IS_TEXT),           REQUIRED("symbol", IS_TEXT),
               OPTIONAL("icon", IS_TEXT),      OPTIONAL("reference", IS_TEXT),      OPTIONAL("reference_hash", IS_TEXT),
               REQUIRED("decimals", IS_COUNT)};
  READ(object, m);
  if (!same(m[0].text, TEXT("ft-1.0.0"))) panic("The metadata's spec must be ft-1.0.0");
  if (m[4].present != m[5].present) panic("The metadata needs both reference and reference_hash or none");
  /* base64 of 32 bytes */
  if (m[5].present && m[5].text.len != 44) panic("Hash has to be 32 bytes");
  if (m[6].number > 255) panic("The metadata's decimals must be at most 255");
  Text out = {0};
  put_literal(&out, "{\"spec\":\"ft-1.0.0\",\"name\":");
  put_json_string(&out, m[1].text);
  put_literal(&out, ",\"symbol\":");
  put_json_string(&out, m[2].text);
  put_optional(&out, ",\"icon\":", &m[3]);
  put_optional(&out, ",\"reference\":", &m[4]);
  put_optional(&out, ",\"reference_hash\":", &m[5]);
  put_literal(&out, ",\"decimals\":");
  put_u128(&out, m[6].number);
  put_literal(&out, "}");
  return done(&out);
}

EXPORT(new) void contract_new(void) {
  assert_no_deposit("new");
  Field args[] = {REQUIRED("owner_id", IS_ACCOUNT), REQUIRED("total_supply", IS_U128), REQUIRED("metadata", IS_OBJECT)};
  READ(input(), args);
  assert_not_initialized();
  store(METADATA, metadata_json(args[2].text));
  store_u128(STATE, 0);
  register_account(args[0].text);
  mint(args[0].text, args[1].number);
  Slice memo = TEXT("new tokens are minted");
  if (args[1].number > 0) log_supply("ft_mint", args[0].text, args[1].number, &memo);
}
