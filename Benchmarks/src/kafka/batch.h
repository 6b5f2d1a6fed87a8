// Record batches of format v2, uncompressed: built once, sent many times; and their header read.
//
//   baseOffset i64 | batchLength i32 | partitionLeaderEpoch i32 | magic i8 | crc u32 |
//   attributes i16 | lastOffsetDelta i32 | baseTimestamp i64 | maxTimestamp i64 | producerId i64 |
//   producerEpoch i16 | baseSequence i32 | recordsCount i32 | records
//
// batchLength counts what follows it; crc (CRC-32C) covers what follows it.
#pragma once

#include "../base/bytes.h"

#define BATCH_HEADER_BYTES 61u
// What batchLength does not count.
#define BATCH_PREFIX_BYTES 12u
#define BATCH_CRC_AT 17u
#define BATCH_CRC_FROM 21u
#define BATCH_LAST_OFFSET_DELTA_AT 23u

struct batch_header {
  uint64_t base_offset;
  uint32_t length_bytes;  // of the whole batch, with its prefix
  uint32_t records;
};

// Fills `batch_bytes` exactly with records whose values have `value_bytes` bytes each; the last
// value is as long as the rest allows. Returns the number of records.
uint32_t batch_build(uint8_t *batch, size_t batch_bytes, size_t value_bytes);

// A batch of one record. Returns its length; *value_at is where the value lies in it.
size_t batch_build_single(uint8_t *batch, size_t capacity, size_t value_bytes, size_t *value_at);

// Computes the checksum after the batch's bytes were changed.
void batch_seal(uint8_t *batch, size_t batch_bytes);

// The header of the batch that starts at `bytes`; false if it is not one.
bool batch_header_read(const uint8_t *bytes, size_t length, struct batch_header *header);
bool batch_crc_holds(const uint8_t *batch, size_t batch_bytes);
