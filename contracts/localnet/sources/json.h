/* A strict reader for the JSON arguments of a call.
 *
 * read_fields() takes the whole input, which must be one object, and fills a table of expected fields: any order, any
 * white space, unknown fields skipped (but checked), a field twice or of another type refused, nesting up to 64. Texts
 * are unescaped into memory of their own and checked to be UTF-8. Errors are a panic in serde_json's words.
 */
#pragma once
#include "near.h"

typedef enum { IS_TEXT, IS_ACCOUNT, IS_U128, IS_BOOL, IS_COUNT, IS_OBJECT, IS_LIST } Kind;

typedef struct {
  const char *name;
  Kind kind;
  bool required; /* an optional field may be absent or null */
  bool present;
  Slice text;  /* IS_TEXT and IS_ACCOUNT: the text; IS_OBJECT and IS_LIST: the JSON text of the object or list */
  u128 number; /* IS_U128: from a string; IS_COUNT: from a number or a string; IS_BOOL: 0 or 1 */
} Field;

#define REQUIRED(field, type) {.name = field, .kind = type, .required = true}
#define OPTIONAL(field, type) {.name = field, .kind = type}
#define READ(input, fields) read_fields(input, fields, sizeof(fields) / sizeof(fields[0]))

typedef struct {
  const u8 *start, *at, *end;
} Reader;

#define MAX_DEPTH 64

/* How the panic begins; a contract that reads JSON out of a message says so here first. */
static const char *bad_input_start = "Failed to deserialize input from JSON.: ";

/* serde's "line: L, column: C" of where reading stopped */
_Noreturn static void bad_input(const Reader *in, const char *what, Slice detail, const char *after) {
  u32 line = 1, column = 0;
  for (const u8 *p = in->start; p < in->at; p++) {
    column++;
    if (*p == '\n') line++, column = 0;
  }
  Text out = {0};
  put_literal(&out, bad_input_start);
  put_literal(&out, "Error(\"");
  put_literal(&out, what);
  put(&out, detail);
  put_literal(&out, after);
  put_literal(&out, "\", line: ");
  put_u128(&out, line);
  put_literal(&out, ", column: ");
  put_u128(&out, column);
  put_literal(&out, ")");
  panic_text(&out);
}

ONCE _Noreturn static void bad(const Reader *in, const char *what) { bad_input(in, what, TEXT(""), ""); }

ONCE static void skip_space(Reader *in) {
  while (in->at < in->end && (*in->at == ' ' || *in->at == '\n' || *in->at == '\r' || *in->at == '\t')) in->at++;
}

ONCE static u8 peek(Reader *in) {
  if (in->at == in->end) bad(in, "EOF while parsing a value");
  return *in->at;
}

ONCE static void expect(Reader *in, u8 byte) {
  if (peek(in) != byte) bad(in, "expected value");
  in->at++;
}

static bool word(Reader *in, const char *expected) {
  Slice text = literal(expected);
  if ((size)(in->end - in->at) < text.len || !same((Slice){in->at, text.len}, text)) return false;
  in->at += text.len;
  return true;
}

static u32 hex4(Reader *in) {
  u32 code = 0;
  for (int i = 0; i < 4; i++) {
    u8 c = peek(in);
    u32 digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10u : c >= 'A' && c <= 'F' ? c - 'A' + 10u : 16;
    if (digit > 15) bad(in, "invalid escape");
    code = code << 4 | digit;
    in->at++;
  }
  return code;
}

static void put_code_point(Text *out, u32 code) {
  if (code < 0x80) {
    put_byte(out, (u8)code);
  } else if (code < 0x800) {
    put_byte(out, (u8)(0xC0 | code >> 6));
    put_byte(out, (u8)(0x80 | (code & 63)));
  } else if (code < 0x10000) {
    put_byte(out, (u8)(0xE0 | code >> 12));
    put_byte(out, (u8)(0x80 | (code >> 6 & 63)));
    put_byte(out, (u8)(0x80 | (code & 63)));
  } else {
    put_byte(out, (u8)(0xF0 | code >> 18));
    put_byte(out, (u8)(0x80 | (code >> 12 & 63)));
    put_byte(out, (u8)(0x80 | (code >> 6 & 63)));
    put_byte(out, (u8)(0x80 | (code & 63)));
  }
}

static void read_escape(Reader *in, Text *out) {
  static const u8 from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
  u8 c = peek(in);
  in->at++;
  for (int i = 0; i < 8; i++)
    if (c == from[i]) {
      put_byte(out, to[i]);
      return;
    }
  if (c != 'u') bad(in, "invalid escape");
  u32 code = hex4(in);
  if (code >= 0xDC00 && code <= 0xDFFF) bad(in, "lone leading surrogate in hex escape");
  if (code >= 0xD800 && code <= 0xDBFF) {
    if (!word(in, "\\u")) bad(in, "unexpected end of hex escape");
    u32 low = hex4(in);
    if (low < 0xDC00 || low > 0xDFFF) bad(in, "lone leading surrogate in hex escape");
    code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
  }
  put_code_point(out, code);
}

/* One multi-byte character, checked: no overlong forms, no surrogates, nothing above U+10FFFF (RFC 3629). */
static void read_utf8(Reader *in, Text *out) {
  u8 lead = *in->at;
  size more = lead >= 0xC2 && lead <= 0xDF ? 1 : (lead & 0xF0) == 0xE0 ? 2 : lead >= 0xF0 && lead <= 0xF4 ? 3 : 0;
  if (more == 0 || (size)(in->end - in->at) <= more) bad(in, "invalid unicode code point");
  u8 second = in->at[1];
  bool broken = (lead == 0xE0 && second < 0xA0) || (lead == 0xED && second > 0x9F) || (lead == 0xF0 && second < 0x90) ||
             (lead == 0xF4 && second > 0x8F);
  for (size i = 1; i <= more; i++) broken |= (in->at[i] & 0xC0) != 0x80;
  if (broken) bad(in, "invalid unicode code point");
  put(out, (Slice){in->at, more + 1});
  in->at += more + 1;
}

static Slice read_string(Reader *in) {
  Text out = {0};
  expect(in, '"');
  for (;;) {
    if (in->at == in->end) bad(in, "EOF while parsing a string");
    u8 c = *in->at;
    if (c == '"') break;
    if (c < 0x20) bad(in, "control character (\\\\u0000-\\\\u001F) found while parsing a string");
    if (c >= 0x80) {
      read_utf8(in, &out);
    } else {
      in->at++;
      if (c == '\\') read_escape(in, &out);
      else put_byte(&out, c);
    }
  }
  in->at++;
  return done(&out);
}

static bool digits(Reader *in) {
  const u8 *from = in->at;
  while (in->at < in->end && *in->at >= '0' && *in->at <= '9') in->at++;
  return in->at > from;
}

static void skip_number(Reader *in) {
  if (*in->at == '-') in->at++;
  const u8 *from = in->at;
  if (!digits(in) || (*from == '0' && in->at - from > 1)) bad(in, "invalid number");
  if (in->at < in->end && *in->at == '.') {
    in->at++;
    if (!digits(in)) bad(in, "invalid number");
  }
  if (in->at < in->end && (*in->at | 0x20) == 'e') {
    in->at++;
    if (in->at < in->end && (*in->at == '+' || *in->at == '-')) in->at++;
    if (!digits(in)) bad(in, "invalid number");
  }
}

static void skip_value(Reader *in, int depth);

/* The members of an object or array, from its opening bracket to its closing one. */
static void skip_members(Reader *in, int depth, u8 closing) {
  if (depth == MAX_DEPTH) bad(in, "recursion limit exceeded");
  in->at++;
  skip_space(in);
  if (peek(in) == closing) {
    in->at++;
    return;
  }
  for (;;) {
    skip_space(in);
    if (closing == '}') {
      size mark = heap_next;
      read_string(in);
      heap_next = mark;
      skip_space(in);
      expect(in, ':');
    }
    skip_value(in, depth + 1);
    skip_space(in);
    u8 c = peek(in);
    in->at++;
    if (c == closing) return;
    if (c != ',') bad(in, "expected `,`");
  }
}

/* Gives back what its texts took: a skipped field of a million texts must not use the memory up. */
static void skip_value(Reader *in, int depth) {
  size mark = heap_next;
  skip_space(in);
  u8 c = peek(in);
  if (c == '"') read_string(in);
  else if (c == '{') skip_members(in, depth, '}');
  else if (c == '[') skip_members(in, depth, ']');
  else if (c == '-' || (c >= '0' && c <= '9')) skip_number(in);
  else if (!word(in, "true") && !word(in, "false") && !word(in, "null")) bad(in, "expected value");
  heap_next = mark;
}

/* 2 to 64 of a-z, 0-9 and separators that stand alone between other characters (near-account-id's rules). */
static bool is_account_id(Slice id) {
  if (id.len < 2 || id.len > 64) return false;
  bool separator = true;
  for (size i = 0; i < id.len; i++) {
    u8 c = id.ptr[i];
    bool now = c == '.' || c == '-' || c == '_';
    if (now ? separator : !((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))) return false;
    separator = now;
  }
  return !separator;
}

static void read_field(Reader *in, Field *field) {
  u8 c = peek(in);
  if (!field->required && word(in, "null")) return;
  const u8 *from = in->at;
  switch (field->kind) {
    case IS_TEXT:
    case IS_ACCOUNT:
    case IS_U128:
      if (c != '"') bad(in, "invalid type: expected a string");
      field->text = read_string(in);
      if (field->kind == IS_ACCOUNT && !is_account_id(field->text)) bad(in, "The account ID is invalid");
      if (field->kind == IS_U128 && !parse_u128(field->text, &field->number)) bad(in, "invalid digit found in string");
      break;
    case IS_BOOL:
      if (word(in, "true")) field->number = 1;
      else if (!word(in, "false")) bad(in, "invalid type: expected a boolean");
      break;
    case IS_COUNT:
      if (c == '"') field->text = read_string(in);
      else if (digits(in) && (*from != '0' || in->at - from == 1)) field->text = (Slice){from, (size)(in->at - from)};
      if (!parse_u128(field->text, &field->number)) bad(in, "invalid type: expected a whole number");
      break;
    case IS_OBJECT:
    case IS_LIST:
      if (c != (field->kind == IS_LIST ? '[' : '{'))
        bad(in, field->kind == IS_LIST ? "invalid type: expected a sequence" : "invalid type: expected an object");
      skip_value(in, 1);
      field->text = (Slice){from, (size)(in->at - from)};
      break;
  }
  field->present = true;
}

static Field *find_field(Field *fields, size count, Slice name) {
  for (size i = 0; i < count; i++)
    if (same(literal(fields[i].name), name)) return &fields[i];
  return NULL;
}

static void read_member(Reader *in, Field *fields, size count, u64 *seen) {
  size mark = heap_next;
  skip_space(in);
  if (peek(in) != '"') bad(in, "key must be a string");
  Slice name = read_string(in);
  skip_space(in);
  expect(in, ':');
  skip_space(in);
  Field *field = find_field(fields, count, name);
  if (field == NULL) {
    skip_value(in, 1);
    heap_next = mark;
    return;
  }
  u64 bit = 1ull << (field - fields);
  if (*seen & bit) bad_input(in, "duplicate field `", name, "`");
  *seen |= bit;
  read_field(in, field);
}

static void read_fields(Slice input, Field *fields, size count) {
  Reader in = {input.ptr, input.ptr, input.ptr + input.len};
  u64 seen = 0;
  skip_space(&in);
  if (peek(&in) != '{') bad(&in, "invalid type: expected an object");
  in.at++;
  skip_space(&in);
  bool more = peek(&in) != '}';
  if (!more) in.at++;
  while (more) {
    read_member(&in, fields, count, &seen);
    skip_space(&in);
    u8 c = peek(&in);
    in.at++;
    if (c != ',' && c != '}') bad(&in, "expected `,` or `}`");
    more = c == ',';
  }
  for (size i = 0; i < count; i++)
    if (fields[i].required && !fields[i].present) bad_input(&in, "missing field `", literal(fields[i].name), "`");
  skip_space(&in);
  if (in.at != in.end) bad(&in, "trailing characters");
}

/* ---- lists ---- */

/* Stands before the first element of a list that an IS_LIST field has read, and with that has checked. */
static Reader list_reader(Slice list) { return (Reader){list.ptr, list.ptr + 1, list.ptr + list.len}; }

/* The next element, of the kind that `item` is declared with; false at the end of the list. */
static bool next_item(Reader *in, Field *item) {
  skip_space(in);
  if (*in->at == ',') in->at++;
  skip_space(in);
  if (*in->at == ']') return false;
  item->present = false;
  item->number = 0;
  read_field(in, item);
  return true;
}
