/* Public keys as text: `CURVE:BASE58`, ed25519 where no curve is named. */
#pragma once
#include "json.h"

/* As Borsh writes a key: the curve's number (0 ed25519, 1 secp256k1) and its 32 or 64 bytes. */
typedef struct {
  u8 bytes[65];
  size len;
} Key;

static Slice key_bytes(const Key *key) { return (Slice){key->bytes, key->len}; }

static int base58_digit(u8 c) {
  static const u8 digits[] = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
  for (int i = 0; i < 58; i++)
    if (digits[i] == c) return i;
  return -1;
}

static bool starts_with(Slice text, Slice start) {
  return text.len >= start.len && same((Slice){text.ptr, start.len}, start);
}

/* Base58 of exactly `count` bytes, into `to`. */
static bool read_base58(Slice text, u8 *to, size count) {
  size zeros = 0, used = 0;
  memset(to, 0, count);
  for (size i = 0; i < text.len; i++) {
    int carry = base58_digit(text.ptr[i]);
    if (carry < 0) return false;
    if (used == 0 && carry == 0) {
      zeros++;
      continue;
    }
    for (size j = 0; j < used; j++) {
      carry += 58 * to[count - 1 - j];
      to[count - 1 - j] = (u8)carry;
      carry >>= 8;
    }
    if (carry) {
      if (used == count) return false;
      to[count - 1 - used++] = (u8)carry;
    }
  }
  return zeros + used == count;
}

static Key read_key(Slice text) {
  Key key = {{0}, 33};
  if (starts_with(text, TEXT("secp256k1:"))) {
    key.bytes[0] = 1;
    key.len = 65;
    text = (Slice){text.ptr + 10, text.len - 10};
  } else if (starts_with(text, TEXT("ed25519:"))) {
    text = (Slice){text.ptr + 8, text.len - 8};
  }
  if (!read_base58(text, key.bytes + 1, key.len - 1))
    panic("Failed to deserialize input from JSON.: Error(\"invalid public key\", line: 1, column: 0)");
  return key;
}
