// Writing and reading Kafka's primitive types. Multi-byte integers are big-endian; "compact"
// lengths are unsigned varints holding length + 1.
//
// A writer that runs out of room is a bug of ours and ends the program. A reader never leaves its
// bytes: past the end it yields zeros and sets `bad`, which the caller checks once at the end.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct writer {
  uint8_t *start, *at, *end;
};

struct reader {
  const uint8_t *at, *end;
  bool bad;
};

struct writer writer_over(void *bytes, size_t capacity);
size_t writer_length(const struct writer *writer);
void put_bytes(struct writer *writer, const void *bytes, size_t length);
void put8(struct writer *writer, uint8_t value);
void put16(struct writer *writer, uint16_t value);
void put32(struct writer *writer, uint32_t value);
void put64(struct writer *writer, uint64_t value);
// Unsigned LEB128, and the same of the zigzag of a signed value.
void put_varint(struct writer *writer, uint64_t value);
void put_zigzag(struct writer *writer, int64_t value);

// What differs between flexible and older versions: strings, array counts, the tagged fields.
void put_string(struct writer *writer, const char *string, bool flexible);
void put_null_string(struct writer *writer, bool flexible);
void put_count(struct writer *writer, uint32_t count, bool flexible);
void put_no_tags(struct writer *writer, bool flexible);

struct reader reader_over(const void *bytes, size_t length);
size_t reader_left(const struct reader *reader);
// A pointer to the next `length` bytes, which are skipped; NULL (and bad) if there are fewer.
const uint8_t *get_bytes(struct reader *reader, size_t length);
uint8_t get8(struct reader *reader);
uint16_t get16(struct reader *reader);
uint32_t get32(struct reader *reader);
uint64_t get64(struct reader *reader);
uint64_t get_varint(struct reader *reader);
// Length or -1 for null; the bytes themselves are skipped.
int32_t skip_string(struct reader *reader, bool flexible);
// 0 for an empty and for a null array.
uint32_t get_count(struct reader *reader, bool flexible);
// The length of a nullable byte field, whose bytes are not skipped; 0 for null.
uint32_t get_bytes_length(struct reader *reader, bool flexible);
void skip_tags(struct reader *reader, bool flexible);

// In place, for fields at a known position.
void store32(uint8_t *at, uint32_t value);
void store64(uint8_t *at, uint64_t value);
uint32_t load32(const uint8_t *at);
uint64_t load64(const uint8_t *at);
