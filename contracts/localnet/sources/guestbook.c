/* The guest book of NEAR's examples: near-abi document `near_abi_guestbook.json`. A message that comes with 0.1 NEAR or
 * more is premium. Messages are stored as the JSON that get_messages returns, one record each under "m" + u32 index. */
#include "guestbook_abi.h"
#include "json.h"

#define COUNT TEXT("STATE")
#define PREMIUM ((u128)100000000000000000ull * 1000000)
#define RECORD_LIMIT (4u << 20)

static u32 count_messages(void) {
  Slice bytes;
  u32 count = 0;
  if (!load(COUNT, &bytes, 4)) return 0;
  if (bytes.len != 4) panic("Cannot deserialize the contract state.");
  memcpy(&count, bytes.ptr, 4);
  return count;
}

static Slice message_key(u32 index) {
  u8 *key = take(5);
  key[0] = 'm';
  memcpy(key + 1, &index, 4);
  return (Slice){key, 5};
}

EXPORT(add_message) void add_message(void) {
  Field args[] = {REQUIRED("text", IS_TEXT)};
  READ(input(), args);
  u32 count = count_messages();
  if (count == ~0u) panic("The guest book is full");
  Text out = {0};
  put_literal(&out, "{\"premium\":");
  if (attached_deposit() >= PREMIUM) put_literal(&out, "true");
  else put_literal(&out, "false");
  put_literal(&out, ",\"sender\":");
  put_json_string(&out, predecessor());
  put_literal(&out, ",\"text\":");
  put_json_string(&out, args[0].text);
  put_literal(&out, "}");
  store(message_key(count), done(&out));
  count++;
  store(COUNT, (Slice){(const u8 *)&count, 4});
}

/* From from_index (0), at most limit (10) messages. */
EXPORT(get_messages) void get_messages(void) {
  Field args[] = {OPTIONAL("from_index", IS_COUNT), OPTIONAL("limit", IS_COUNT)};
  READ(input(), args);
  u32 count = count_messages();
  u128 from = args[0].number, limit = args[1].present ? args[1].number : 10;
  Text out = {0};
  put_literal(&out, "[");
  for (u32 i = 0; from < count && i < limit && from + i < count; i++) {
    Slice record;
    if (!load(message_key((u32)from + i), &record, RECORD_LIMIT)) panic("Cannot deserialize the contract state.");
    if (i > 0) put_literal(&out, ",");
    put(&out, record);
  }
  put_literal(&out, "]");
  return_text(&out);
}

EXPORT(total_messages) void total_messages(void) {
  Text out = {0};
  put_u128(&out, count_messages());
  return_text(&out);
}

EXPORT(contract_source_metadata) void contract_source_metadata(void) {
  Text out = {0};
  put_literal(&out, "{\"version\":\"1.0.0\",\"link\":\"contracts/localnet/sources/guestbook.c\","
            "\"standards\":[{\"standard\":\"nep330\",\"version\":\"1.1.0\"}]}");
  return_text(&out);
}

EXPORT(__contract_abi) void contract_abi(void) { host_value_return(sizeof ABI, PTR(ABI)); }
