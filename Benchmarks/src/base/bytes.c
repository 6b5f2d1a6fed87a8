#include "bytes.h"

#include <endian.h>
#include <string.h>

#include "fail.h"

void store32(uint8_t *at, uint32_t value) {
  value = htobe32(value);
  memcpy(at, &value, sizeof value);
}

void store64(uint8_t *at, uint64_t value) {
  value = htobe64(value);
  memcpy(at, &value, sizeof value);
}

uint32_t load32(const uint8_t *at) {
  uint32_t value;
  memcpy(&value, at, sizeof value);
  return be32toh(value);
}

uint64_t load64(const uint8_t *at) {
  uint64_t value;
  memcpy(&value, at, sizeof value);
  return be64toh(value);
}

struct writer writer_over(void *bytes, size_t capacity) {
  return (struct writer){bytes, bytes, (uint8_t *)bytes + capacity};
}

size_t writer_length(const struct writer *writer) {
  return (size_t)(writer->at - writer->start);
}

static uint8_t *claim(struct writer *writer, size_t length) {
  if ((size_t)(writer->end - writer->at) < length) fail("bug: a message outgrew its buffer");
  uint8_t *at = writer->at;
  writer->at += length;
  return at;
}

void put_bytes(struct writer *writer, const void *bytes, size_t length) {
  memcpy(claim(writer, length), bytes, length);
}

void put8(struct writer *writer, uint8_t value) { *claim(writer, 1) = value; }

void put16(struct writer *writer, uint16_t value) {
  value = htobe16(value);
  put_bytes(writer, &value, sizeof value);
}

void put32(struct writer *writer, uint32_t value) { store32(claim(writer, 4), value); }

void put64(struct writer *writer, uint64_t value) { store64(claim(writer, 8), value); }

void put_varint(struct writer *writer, uint64_t value) {
  for (; value >= 0x80; value >>= 7) put8(writer, (uint8_t)(value | 0x80));
  put8(writer, (uint8_t)value);
}

void put_zigzag(struct writer *writer, int64_t value) {
  put_varint(writer, ((uint64_t)value << 1) ^ (uint64_t)(value >> 63));
}

void put_string(struct writer *writer, const char *string, bool flexible) {
  size_t length = strlen(string);
  if (flexible) {
    put_varint(writer, length + 1);
  } else {
    put16(writer, (uint16_t)length);
  }
  put_bytes(writer, string, length);
}

void put_null_string(struct writer *writer, bool flexible) {
  if (flexible) {
    put8(writer, 0);
  } else {
    put16(writer, UINT16_MAX);
  }
}

void put_count(struct writer *writer, uint32_t count, bool flexible) {
  if (flexible) {
    put_varint(writer, (uint64_t)count + 1);
  } else {
    put32(writer, count);
  }
}

void put_no_tags(struct writer *writer, bool flexible) {
  if (flexible) put8(writer, 0);
}

struct reader reader_over(const void *bytes, size_t length) {
  return (struct reader){bytes, (const uint8_t *)bytes + length, false};
}

size_t reader_left(const struct reader *reader) { return (size_t)(reader->end - reader->at); }

const uint8_t *get_bytes(struct reader *reader, size_t length) {
  if (reader_left(reader) < length) {
    reader->bad = true;
    reader->at = reader->end;
    return NULL;
  }
  const uint8_t *at = reader->at;
  reader->at += length;
  return at;
}

uint8_t get8(struct reader *reader) {
  const uint8_t *at = get_bytes(reader, 1);
  return at ? *at : 0;
}

uint16_t get16(struct reader *reader) {
  const uint8_t *at = get_bytes(reader, 2);
  return at ? (uint16_t)(at[0] << 8 | at[1]) : 0;
}

uint32_t get32(struct reader *reader) {
  const uint8_t *at = get_bytes(reader, 4);
  return at ? load32(at) : 0;
}

uint64_t get64(struct reader *reader) {
  const uint8_t *at = get_bytes(reader, 8);
  return at ? load64(at) : 0;
}

uint64_t get_varint(struct reader *reader) {
  uint64_t value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    uint8_t byte = get8(reader);
    value |= (uint64_t)(byte & 0x7F) << shift;
    if (byte < 0x80) return value;
  }
  reader->bad = true;
  return 0;
}

int32_t skip_string(struct reader *reader, bool flexible) {
  int32_t length = flexible ? (int32_t)get_varint(reader) - 1 : (int16_t)get16(reader);
  if (length > 0) get_bytes(reader, (size_t)length);
  return length;
}

uint32_t get_count(struct reader *reader, bool flexible) {
  int64_t count = flexible ? (int64_t)get_varint(reader) - 1 : (int32_t)get32(reader);
  // No element is shorter than a byte; a larger count would only loop over zeros.
  if (count > (int64_t)reader_left(reader)) reader->bad = true;
  return count < 0 || reader->bad ? 0 : (uint32_t)count;
}

uint32_t get_bytes_length(struct reader *reader, bool flexible) {
  int64_t length = flexible ? (int64_t)get_varint(reader) - 1 : (int32_t)get32(reader);
  return length < 0 ? 0 : (uint32_t)length;
}

void skip_tags(struct reader *reader, bool flexible) {
  if (!flexible) return;
  uint64_t count = get_varint(reader);
  for (; count > 0 && !reader->bad; count--) {
    get_varint(reader);
    get_bytes(reader, get_varint(reader));
  }
}
