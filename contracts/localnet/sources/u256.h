/* Unsigned 256-bit numbers, for products of two u128 and their quotients; panics in the words of Rust's `uint` crate. */
#pragma once
#include "near.h"

/* Least significant limb first. */
typedef struct {
  u32 limb[8];
} U256;

static U256 u256(u128 value) {
  U256 wide = {{0}};
  memcpy(wide.limb, &value, 16);
  return wide;
}

static u128 as_u128(U256 value) {
  if (value.limb[4] | value.limb[5] | value.limb[6] | value.limb[7]) panic("Integer overflow when casting to u128");
  u128 narrow;
  memcpy(&narrow, value.limb, 16);
  return narrow;
}

ONCE static U256 add(U256 a, U256 b) {
  u64 carry = 0;
  for (int i = 0; i < 8; i++) {
    carry += (u64)a.limb[i] + b.limb[i];
    a.limb[i] = (u32)carry;
    carry >>= 32;
  }
  if (carry) panic("arithmetic operation overflow");
  return a;
}

ONCE static U256 multiply(U256 a, U256 b) {
  U256 product = {{0}};
  for (int i = 0; i < 8; i++) {
    u64 carry = 0;
    if (a.limb[i] == 0) continue;
    for (int j = 0; j < 8; j++) {
      u64 part = (u64)a.limb[i] * b.limb[j] + carry;
      if (i + j > 7) {
        if (part) panic("arithmetic operation overflow");
        continue;
      }
      part += product.limb[i + j];
      product.limb[i + j] = (u32)part;
      carry = part >> 32;
    }
    if (carry) panic("arithmetic operation overflow");
  }
  return product;
}

static int compare(const U256 *a, const U256 *b) {
  for (int i = 7; i >= 0; i--)
    if (a->limb[i] != b->limb[i]) return a->limb[i] < b->limb[i] ? -1 : 1;
  return 0;
}

static void subtract(U256 *a, const U256 *b) {
  u64 borrow = 0;
  for (int i = 0; i < 8; i++) {
    u64 part = (u64)a->limb[i] - b->limb[i] - borrow;
    a->limb[i] = (u32)part;
    borrow = part >> 63;
  }
}

/* The quotient rounded down, one bit at a time. */
ONCE static U256 divide(U256 a, U256 b) {
  U256 quotient = {{0}}, rest = {{0}};
  if (compare(&b, &rest) == 0) panic("division by zero");
  for (int bit = 255; bit >= 0; bit--) {
    /* The bit that leaves `rest` counts: without it a divisor above 2^255 would be missed. */
    bool high = rest.limb[7] >> 31;
    for (int i = 7; i > 0; i--) rest.limb[i] = rest.limb[i] << 1 | rest.limb[i - 1] >> 31;
    rest.limb[0] = rest.limb[0] << 1 | (a.limb[bit >> 5] >> (bit & 31) & 1);
    if (high || compare(&rest, &b) >= 0) {
      subtract(&rest, &b);
      quotient.limb[bit >> 5] |= 1u << (bit & 31);
    }
  }
  return quotient;
}

static u128 product(u128 a, u128 b) { return as_u128(multiply(u256(a), u256(b))); }

/* a * b / c, rounded down. */
static u128 multiply_divide(u128 a, u128 b, u128 c) { return as_u128(divide(multiply(u256(a), u256(b)), u256(c))); }
